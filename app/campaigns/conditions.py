"""Conditions on WHEN, WHERE, WHO, WHICH, WHAT and the code's own attributes (DRAW-01 to DRAW-07).

A condition is flat on purpose: inside one field any of the listed values will do, and all fields that are
given must hold. "Everywhere but Shanghai" is a Shanghai pool of higher priority, not a negation; nobody
has to read a tree of ands and ors to know what a shopper may win, and the published text can say it in a
sentence. The one exception is `tags_none`, which keeps marked persons out.

A fact that is unknown never satisfies a condition on it: without a region no regional pool matches, and
the draw falls to the pool that asks for less.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, time
from enum import StrEnum

from app.campaigns.facts import Behaviour, DrawFacts
from app.campaigns.reader import Node, write_moment
from app.kernel.json import Json
from app.organisation.regions import contains, is_adcode

LAST_DAY = -1
_SHARE_WORDS = frozenset({"share", "sharing", "forward", "moments", "invite", "help"})
_MOST_DRAWS = 1_000_000


class Customer(StrEnum):
    """New has drawn in no campaign before this draw; old has."""

    NEW = "new"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time; the start belongs to it, the end does not."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of the day in the market's zone; start included, end not; it may pass midnight."""

    start: time
    end: time

    def hold(self, moment: time) -> bool:
        """Tell whether a local time of day lies in the stretch."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


@dataclass(frozen=True, slots=True)
class When:
    """Windows, ISO weekdays (1 is Monday), days of the month (-1 is the last one), hours of the day."""

    windows: tuple[Window, ...] = ()
    weekdays: tuple[int, ...] = ()
    days_of_month: tuple[int, ...] = ()
    hours: tuple[Hours, ...] = ()

    def hold(self, local: datetime) -> bool:
        """Tell whether a moment, given in the market's zone, satisfies every field that is set."""
        if self.windows and not any(window.start <= local < window.end for window in self.windows):
            return False
        if self.weekdays and local.isoweekday() not in self.weekdays:
            return False
        if self.days_of_month:
            is_last = local.day == monthrange(local.year, local.month)[1]
            if local.day not in self.days_of_month and not (is_last and LAST_DAY in self.days_of_month):
                return False
        return not self.hours or any(hours.hold(local.time()) for hours in self.hours)


@dataclass(frozen=True, slots=True)
class Where:
    """Administrative areas (GB/T 2260): a province holds its cities, a city its districts."""

    areas: tuple[str, ...] = ()

    def hold(self, facts: DrawFacts) -> bool:
        """Tell whether the draw's region lies in one of the areas."""
        if not self.areas:
            return True
        region = facts.region
        return region is not None and any(contains(area, region.code) for area in self.areas)


@dataclass(frozen=True, slots=True)
class Who:
    """New or old customer, tier, tags of the person."""

    customer: Customer | None = None
    tiers: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()

    def hold(self, facts: DrawFacts) -> bool:
        """Tell whether the person satisfies every field that is set."""
        tags = facts.tags
        return (
            (self.customer is None or (self.customer is Customer.NEW) == facts.new_customer)
            and (not self.tiers or facts.tier in self.tiers)
            and (not self.tags_any or any(tag in tags for tag in self.tags_any))
            and all(tag in tags for tag in self.tags_all)
            and not any(tag in tags for tag in self.tags_none)
        )


@dataclass(frozen=True, slots=True)
class Which:
    """Product: stock-keeping unit, line, category, specification, tag."""

    skus: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def hold(self, facts: DrawFacts) -> bool:
        """Tell whether the product satisfies every field that is set."""
        return (
            (not self.skus or facts.sku in self.skus)
            and (not self.lines or facts.line in self.lines)
            and (not self.categories or facts.category in self.categories)
            and (not self.specs or facts.spec in self.specs)
            and (not self.tags or any(tag in facts.product_tags for tag in self.tags))
        )


@dataclass(frozen=True, slots=True)
class What:
    """How it is played, and which of the person's draws in this campaign it is (both ends included)."""

    behaviours: tuple[Behaviour, ...] = ()
    draw_from: int | None = None
    draw_to: int | None = None

    def hold(self, facts: DrawFacts) -> bool:
        """Tell whether behaviour and count satisfy every field that is set."""
        return (
            (not self.behaviours or facts.behaviour in self.behaviours)
            and (self.draw_from is None or facts.nth_draw >= self.draw_from)
            and (self.draw_to is None or facts.nth_draw <= self.draw_to)
        )


@dataclass(frozen=True, slots=True)
class Own:
    """The code's own attributes: case, sales channel, shipping order, place of origin; compared exactly."""

    cases: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def hold(self, facts: DrawFacts) -> bool:
        """Tell whether the code satisfies every field that is set."""
        return (
            (not self.cases or facts.case in self.cases)
            and (not self.channels or facts.channel in self.channels)
            and (not self.orders or facts.order in self.orders)
            and (not self.origins or facts.origin in self.origins)
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """All dimensions together; an empty one asks for nothing."""

    when: When = When()
    where: Where = Where()
    who: Who = Who()
    which: Which = Which()
    what: What = What()
    own: Own = Own()

    @property
    def always(self) -> bool:
        """Tell whether these conditions ask for nothing at all."""
        return self == EVERYBODY

    @property
    def depends_on_time(self) -> bool:
        """Tell whether the moment matters."""
        return self.when != When()

    def hold(self, facts: DrawFacts, local: datetime) -> bool:
        """Tell whether all dimensions hold. `local` is the draw's moment in the market's zone."""
        return (
            self.what.hold(facts)
            and self.which.hold(facts)
            and self.who.hold(facts)
            and self.where.hold(facts)
            and self.own.hold(facts)
            and self.when.hold(local)
        )

    def to_json(self) -> dict[str, Json]:
        """Return the conditions in their normal form: fields that are not set are left out."""
        written: dict[str, Json] = {}
        for dimension in fields(self):
            part = getattr(self, dimension.name)
            values = {item.name: _write(getattr(part, item.name)) for item in fields(part)}
            kept: dict[str, Json] = {name: value for name, value in values.items() if value not in (None, [])}
            if kept:
                written[dimension.name] = kept
        return written


EVERYBODY = Conditions()


def _write(value: object) -> Json:
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if isinstance(value, Window):
        return {"from": write_moment(value.start), "to": write_moment(value.end)}
    if isinstance(value, Hours):
        return {"from": f"{value.start:%H:%M}", "to": f"{value.end:%H:%M}"}
    if isinstance(value, StrEnum):
        return str(value)
    if value is None or isinstance(value, int | str):
        return value
    raise TypeError(f"{type(value).__name__} is no part of a condition")


def read_conditions(node: Node) -> Conditions:
    """Return the conditions that are written at `node`; faults go to its list (DRAW-01 to DRAW-07)."""
    got = node.fields(optional=("when", "where", "who", "which", "what", "own"))
    return Conditions(
        when=_read_when(got["when"]) if "when" in got else When(),
        where=_read_where(got["where"]) if "where" in got else Where(),
        who=_read_who(got["who"]) if "who" in got else Who(),
        which=_read_which(got["which"]) if "which" in got else Which(),
        what=_read_what(got["what"]) if "what" in got else What(),
        own=_read_own(got["own"]) if "own" in got else Own(),
    )


def _words(got: dict[str, Node], name: str) -> tuple[str, ...]:
    return got[name].distinct(Node.word) if name in got else ()


def _read_when(node: Node) -> When:
    got = node.fields(optional=("windows", "weekdays", "days_of_month", "hours"))

    def numbers(name: str, read: Callable[[Node], int]) -> tuple[int, ...]:
        return got[name].distinct(read) if name in got else ()

    def day(item: Node) -> int:
        return LAST_DAY if item.value == LAST_DAY else item.integer(1, 31)

    windows = got["windows"].items(_read_window, least=1, most=100) if "windows" in got else ()
    hours = got["hours"].items(_read_hours, least=1, most=24) if "hours" in got else ()
    return When(
        windows=tuple(sorted(windows, key=lambda window: (window.start, window.end))),
        weekdays=numbers("weekdays", lambda item: item.integer(1, 7)),
        days_of_month=numbers("days_of_month", day),
        hours=tuple(sorted(hours, key=lambda stretch: (stretch.start, stretch.end))),
    )


def _read_window(node: Node) -> Window:
    got = node.fields(("from", "to"))
    window = Window(got.get("from", node).moment(), got.get("to", node).moment())
    if len(got) == 2 and window.start >= window.end:
        node.fault("ends_before_start", "the end comes after the start")
    return window


def _read_hours(node: Node) -> Hours:
    got = node.fields(("from", "to"))
    hours = Hours(got.get("from", node).time_of_day(), got.get("to", node).time_of_day())
    if len(got) == 2 and hours.start == hours.end:
        node.fault("empty_stretch", "leave the field out for the whole day")
    return hours


def _read_where(node: Node) -> Where:
    def area(item: Node) -> str:
        if isinstance(item.value, str) and is_adcode(item.value):
            return item.value
        item.fault("not_a_region", "an administrative code of six digits is expected, such as 310000")
        return ""

    got = node.fields(optional=("areas",))
    return Where(areas=got["areas"].distinct(area) if "areas" in got else ())


def _read_who(node: Node) -> Who:
    got = node.fields(optional=("customer", "tiers", "tags_any", "tags_all", "tags_none"))
    return Who(
        customer=got["customer"].choice(Customer) if "customer" in got else None,
        tiers=_words(got, "tiers"),
        tags_any=_words(got, "tags_any"),
        tags_all=_words(got, "tags_all"),
        tags_none=_words(got, "tags_none"),
    )


def _read_which(node: Node) -> Which:
    names = ("skus", "lines", "categories", "specs", "tags")
    got = node.fields(optional=names)
    return Which(**{name: _words(got, name) for name in names})


def _read_what(node: Node) -> What:
    def behaviour(item: Node) -> Behaviour:
        if isinstance(item.value, str) and item.value in _SHARE_WORDS:
            item.fault(
                "share_not_allowed",
                "neither a chance nor a better pool may depend on sharing (WeChat operation norms 5.1)",
            )
            return Behaviour.SCAN
        return item.choice(Behaviour)

    got = node.fields(optional=("behaviours", "draw_from", "draw_to"))
    what = What(
        behaviours=got["behaviours"].distinct(behaviour) if "behaviours" in got else (),
        draw_from=got["draw_from"].integer(1, _MOST_DRAWS) if "draw_from" in got else None,
        draw_to=got["draw_to"].integer(1, _MOST_DRAWS) if "draw_to" in got else None,
    )
    if what.draw_from and what.draw_to and what.draw_to < what.draw_from:
        node.fault("ends_before_start", "draw_to is not below draw_from")
    return what


def _read_own(node: Node) -> Own:
    names = ("cases", "channels", "orders", "origins")
    got = node.fields(optional=names)
    return Own(**{name: _words(got, name) for name in names})
