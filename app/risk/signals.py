"""From raw rows to measures: buckets of time, neighbourhoods of codes, networks.

Pure but for the keyed hashes of neighbourhoods and networks, which are made once a draw (`places_of`).

Counting distinct persons exactly would take a row for each person and place. A set of 60 bits does: each
person sets one, and from how many are set follows how many there were (linear counting), within a tenth up
to about a hundred, and never more than 245. "Many" is all that a rule asks.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise
from typing import NamedTuple

from app.db import secrets
from app.kernel.addresses import network_of
from app.organisation.regions import contains
from app.risk.measures import Measure, Signals

RANGE_BITS = 12
"""A neighbourhood is 4,096 codes: a few pallets."""

RECENT_SCANS = 40
"""How many of a person's latest scans are looked at."""

HASTY = timedelta(seconds=3)
_PERSON_BITS = 60
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
# The first seven digits of Chinese numbers are a segment; these belong to resellers of the carriers.
_VIRTUAL_PREFIXES = ("162", "165", "167", "170", "171")


def hour_bucket(at: datetime) -> int:
    """Return the bucket of the clock hour of a moment; hours and days share one order of time."""
    return int(at.timestamp()) // 3600 * 2


def day_bucket(at: datetime) -> int:
    """Return the bucket of the UTC day of a moment."""
    return int(at.timestamp()) // 86400 * 48 + 1


def buckets_read(at: datetime) -> list[int]:
    """Return the buckets that a draw looks at: this hour, the one before, this day."""
    hour = hour_bucket(at)
    return [hour - 2, hour, day_bucket(at)]


def range_subject(batch_id: int, code_index: int) -> bytes:
    """Return the name of a code's neighbourhood."""
    return _blind("range", f"{batch_id}/{code_index >> RANGE_BITS}")


def address_block(address: str | None) -> str | None:
    """Return the network of an address, "36.112.9.0/24" or a /56; None for none and for private ones.

    A ring's accounts change their address within a network; a private one is the server's own neighbour.
    """
    block = network_of(address or "")
    if block is None or not ip_network(block).is_global:
        return None
    return block


def address_subject(address: str | None) -> bytes | None:
    """Return the keyed hash of an address's network; None for what says nothing."""
    block = address_block(address)
    return None if block is None else _blind("address", block)


def _blind(kind: str, value: str) -> bytes:
    return secrets.ring().blind(f"risk_counters.{kind}", value)


def person_bit(person_id: int) -> int:
    """Return the set that holds one person."""
    # Ids grow with time and end in zeros: the finaliser of splitmix64 spreads them evenly.
    mixed = ((person_id ^ person_id >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
    return 1 << (mixed ^ mixed >> 31) % _PERSON_BITS


def persons_in(bits: int) -> int:
    """Return about how many persons a set was made from."""
    empty = _PERSON_BITS - bits.bit_count()
    return round(_PERSON_BITS * math.log(_PERSON_BITS / max(empty, 1)))


@dataclass(frozen=True, slots=True)
class Count:
    """One counter: how often, and the set of persons."""

    bucket: int
    subject: bytes
    events: int
    persons: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One scan by the person, of a code of ours that is no package."""

    batch_id: int
    code_index: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that the person has shown: by how many persons, with how many scans today, when at last."""

    number: str
    persons: int
    scans_today: int
    shown_at: datetime


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the counters. `rank` is WeChat's, None when it was not asked or did not answer.

    draws_today: those with cases left out. captcha_passed: the platform has said that a captcha was solved
    for this very draw.

    regions are adcodes: where the code was shipped to, and that of the shopper's network.
    """

    batch_id: int
    code_index: int
    address: str | None = None
    draws_today: int = 0
    shipped_region: str | None = None
    address_region: str | None = None
    rank: int | None = None
    rank_asked: bool = False
    captcha_passed: bool = False


class Places(NamedTuple):
    """Under which hashes a draw's surroundings are counted; `network` None for what says nothing."""

    here: bytes
    network: bytes | None


def places_of(about: Circumstances) -> Places:
    """Return the hashes of a draw's surroundings."""
    return Places(range_subject(about.batch_id, about.code_index), address_subject(about.address))


def measure(
    about: Circumstances,
    places: Places,
    *,
    counts: Iterable[Count],
    scans: Sequence[Seen],
    phones: Collection[Phone],
    now: datetime,
) -> Signals:
    """Return the measures of a draw at `now`, those that are 0 left out. Pure."""
    found = {
        Measure.CONSECUTIVE_CODES: _run(about, scans),
        Measure.HASTY_SCANS: _hasty(scans, now),
        Measure.PERSON_HOUR: sum(scan.at > now - _HOUR for scan in scans),
        Measure.PERSON_DAY: about.draws_today,
        Measure.FAR_FROM_SHIPMENT: _distance(about.shipped_region, about.address_region),
        Measure.WECHAT_RANK: about.rank or 0,
        Measure.WECHAT_RANK_UNKNOWN: int(about.rank_asked and about.rank is None),
        Measure.CAPTCHA_PASSED: int(about.captcha_passed),
        **_crowds(places, counts, now),
        **_phones(phones, now),
    }
    return {name: number for name, number in found.items() if number}


def _run(about: Circumstances, scans: Sequence[Seen]) -> int:
    """Return the length of the run of neighbouring indexes that the code belongs to (RISK-01)."""
    mine = {scan.code_index for scan in scans if scan.batch_id == about.batch_id}
    first = last = about.code_index
    while first - 1 in mine:
        first -= 1
    while last + 1 in mine:
        last += 1
    return last - first + 1 if last > first else 0


def _hasty(scans: Sequence[Seen], now: datetime) -> int:
    """Return how many scans of the last hour followed the one before within three seconds (RISK-02)."""
    moments = sorted(scan.at for scan in scans if scan.at > now - _HOUR)
    return sum(later - earlier < HASTY for earlier, later in pairwise(moments))


def _crowds(places: Places, counts: Iterable[Count], now: datetime) -> dict[Measure, int]:
    day = day_bucket(now)
    totals: dict[tuple[bytes, bool], tuple[int, int]] = {}
    for count in counts:
        place = (count.subject, count.bucket == day)
        events, persons = totals.get(place, (0, 0))
        totals[place] = (events + count.events, persons | count.persons)
    none = (0, 0)
    here, network = places.here, places.network or b""
    range_hour, range_day = totals.get((here, False), none), totals.get((here, True), none)
    address_hour, address_day = totals.get((network, False), none), totals.get((network, True), none)
    return {
        Measure.RANGE_HOUR: range_hour[0],
        Measure.RANGE_PERSONS_HOUR: persons_in(range_hour[1]),
        Measure.RANGE_DAY: range_day[0],
        Measure.RANGE_PERSONS_DAY: persons_in(range_day[1]),
        Measure.ADDRESS_HOUR: address_hour[0],
        Measure.ADDRESS_PERSONS_HOUR: persons_in(address_hour[1]),
        Measure.ADDRESS_DAY: address_day[0],
    }


def _phones(phones: Collection[Phone], now: datetime) -> dict[Measure, int]:
    if not phones:
        return {}
    latest = max(phones, key=lambda phone: phone.shown_at)
    return {
        Measure.PHONE_PERSONS: max(phone.persons for phone in phones),
        Measure.PHONE_DAY: max(phone.scans_today for phone in phones),
        Measure.PHONE_VIRTUAL: int(is_virtual(latest.number)),
        Measure.PHONE_FRESH: int(latest.shown_at > now - _DAY),
    }


def is_virtual(number: str) -> bool:
    """Tell whether a normalised number belongs to a virtual operator (RISK-08)."""
    return number.startswith("+86") and number[3:].startswith(_VIRTUAL_PREFIXES)


def _distance(shipped: str | None, seen: str | None) -> int:
    """Return 2 for another province, 1 for another city, 0 when it fits or nothing is known."""
    if not shipped or not seen or contains(shipped, seen) or contains(seen, shipped):
        return 0
    if shipped[:2] != seen[:2]:
        return 2
    return int(shipped[:4] != seen[:4])
