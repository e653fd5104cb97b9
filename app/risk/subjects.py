"""What a list entry is about, in its one spelling and as the keyed hash by which it is found.

A phone has the hash that identity finds it by, so that the phones a person has shown can be compared with
the lists inside the database, and no number leaves it.
"""

from functools import lru_cache
from ipaddress import ip_network

from app.db import secrets
from app.identity.queries import digest
from app.identity.values import normalise_phone, phone_claim
from app.kernel.addresses import customer_of, network_of
from app.risk.errors import InvalidEntry
from app.risk.lists import Subject, SubjectKind


def person(person_id: int) -> Subject:
    """Return a person as a subject; a cluster has as many as it has persons."""
    return _blind(SubjectKind.PERSON, str(person_id))


def batch(batch_id: int) -> Subject:
    """Return a batch of codes as a subject (an abnormal pack, say)."""
    return _batch(secrets.ring(), batch_id)


def address(text: str) -> Subject | None:
    """Return a visitor's network address as a subject; None for what is none, such as a local socket.

    An IPv6 address stands for its customer's whole network: the next one costs nothing.
    """
    return _places(secrets.ring(), text)[0]


def network(text: str) -> Subject | None:
    """Return the network that a visitor's address is in, a /24 or a /56, as a subject.

    A bottling plant, a packaging printer or an office is fenced by its network (RISK-04).
    """
    return _places(secrets.ring(), text)[1]


# Batches and addresses come again and again, and spelling and hashing them is a part of every draw.
@lru_cache(maxsize=1024)
def _batch(_ring: secrets.KeyRing, batch_id: int) -> Subject:
    return _blind(SubjectKind.BATCH, str(batch_id))


@lru_cache(maxsize=10_000)
def _places(_ring: secrets.KeyRing, text: str) -> tuple[Subject | None, Subject | None]:
    """Return an address and its network as subjects."""
    spellings = customer_of(text), network_of(text)
    own, around = (None if it is None else _blind(SubjectKind.ADDRESS, it) for it in spellings)
    return own, around


def read(kind: SubjectKind, text: str) -> tuple[Subject, str]:
    """Return what somebody typed as a subject and in its one spelling; raise InvalidEntry."""
    text = text.strip()
    if kind is SubjectKind.PHONE:
        number = normalise_phone(text)
        if number is None:
            raise InvalidEntry("this is not a phone number; write it with its country code, such as +86138…")
        return Subject(kind, digest(phone_claim(number))), number
    if kind is SubjectKind.ADDRESS:
        spelling = _spell_network(text) if "/" in text else customer_of(text)
        if spelling is None:
            raise InvalidEntry(
                "this is neither an address, such as 203.0.113.7, nor a network, a /24 or a /56"
            )
        return _blind(kind, spelling), spelling
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidEntry("a person or a batch is named by its number")
    return _blind(kind, str(int(text))), str(int(text))


def _spell_network(text: str) -> str | None:
    try:
        found = ip_network(text)
    except ValueError:
        return None
    return str(found) if str(found) == network_of(str(found.network_address)) else None


def _blind(kind: SubjectKind, value: str) -> Subject:
    return Subject(kind, secrets.ring().blind(f"risk_entries.{kind}", value))
