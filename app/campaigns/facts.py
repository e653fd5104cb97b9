"""Everything that a draw looks at, gathered before it decides and stored with what it decided.

No personal data: regions are administrative codes, tags and tiers are the brand's own words, and of the
person's tags only those that the rules name are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.campaigns.reader import Node, write_moment
from app.kernel.json import Json
from app.risk.lists import Level


class Behaviour(StrEnum):
    """How a chance is played. Sharing is not among them, and never will be (operation norms 5.1)."""

    SCAN = "scan"
    SHAKE = "shake"
    SIGN_IN = "sign_in"
    VIDEO = "video"


class RegionSource(StrEnum):
    """Where the knowledge of the region comes from, so that a dispute can be answered."""

    SHIPPED = "shipped"
    ADDRESS = "address"
    LOCATION = "location"


@dataclass(frozen=True, slots=True)
class Region:
    """A GB/T 2260 code of six digits and its source."""

    code: str
    source: RegionSource


def choose_region(
    *, shipped: str | None, address: str | None, location: str | None, location_counts: bool
) -> Region | None:
    """Return the region that counts for a draw, or None when nothing is known (DRAW-03, contract 13.3).

    Without GPS it works: the region that the code was shipped to comes first, then that of the shopper's
    address. A position counts only in campaigns that switched it on, and then before both: it is what
    they asked for. It can be forged by its sender, which is one more reason for being off.
    """
    ranked = (
        (location if location_counts else None, RegionSource.LOCATION),
        (shipped, RegionSource.SHIPPED),
        (address, RegionSource.ADDRESS),
    )
    return next((Region(code, source) for code, source in ranked if code), None)


@dataclass(frozen=True, slots=True)
class DrawFacts:
    """What a draw saw.

    nth_draw: which draw of this person in this campaign it is, from 1; refused attempts do not count.
    draws_today: how many came before it on the same calendar day of the market.
    new_customer: this person has drawn in no campaign before.
    product_tags, tags: ascending.
    store: of a case, the code of the store that the person works in, supplied by the dealer whom the case was
    shipped to.
    sold_out: keys of limited prizes of which nothing was left.
    budget_left_fen: what the campaign's budget held; pool_budgets_left_fen: by pool, of pools with their own.
    stock_left: pieces left of the limited prizes that a budget keeps money for, by prize; before there was
    such a rule nothing was kept, and draws of that time say nothing here.
    signals: what risk measured, by name; risk_policy: the id of the risk rules that judged it, 0 for none.
    """

    at: datetime
    nth_draw: int = 1
    draws_today: int = 0
    behaviour: Behaviour = Behaviour.SCAN
    new_customer: bool = False
    tier: str | None = None
    tags: tuple[str, ...] = ()
    sku: str | None = None
    line: str | None = None
    category: str | None = None
    spec: str | None = None
    product_tags: tuple[str, ...] = ()
    case: str | None = None
    channel: str | None = None
    order: str | None = None
    origin: str | None = None
    store: str | None = None
    region: Region | None = None
    level: Level = Level.PASS
    reasons: tuple[str, ...] = ()
    sold_out: tuple[str, ...] = ()
    budget_left_fen: int = 0
    pool_budgets_left_fen: Mapping[str, int] = field(default_factory=dict)
    stock_left: Mapping[str, int] = field(default_factory=dict)
    signals: Mapping[str, int] = field(default_factory=dict)
    risk_policy: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return the facts as they are stored with the draw; what is absent is left out."""
        region = self.region
        written: dict[str, Json] = {
            "at": write_moment(self.at),
            "nth_draw": self.nth_draw,
            "draws_today": self.draws_today,
            "behaviour": str(self.behaviour),
            "new_customer": self.new_customer,
            "level": str(self.level),
            "budget_left_fen": self.budget_left_fen,
            "region": {"code": region.code, "source": str(region.source)} if region else None,
            "pool_budgets_left_fen": dict(self.pool_budgets_left_fen) or None,
            "stock_left": dict(self.stock_left) or None,
            "signals": dict(self.signals) or None,
            "risk_policy": self.risk_policy or None,
        }
        for name in _WORDS:
            written[name] = getattr(self, name)
        for name in _WORD_LISTS:
            written[name] = list(getattr(self, name)) or None
        return {name: value for name, value in written.items() if value is not None}


_WORDS = ("tier", "sku", "line", "category", "spec", "case", "channel", "order", "origin", "store")
_WORD_LISTS = ("tags", "product_tags", "reasons", "sold_out")
_REQUIRED = ("at", "nth_draw", "draws_today", "behaviour", "new_customer", "level", "budget_left_fen")
_OTHERS = ("region", "pool_budgets_left_fen", "stock_left", "signals", "risk_policy")
_MOST = 1 << 62


def read_facts(node: Node) -> DrawFacts:
    """Return stored facts; what cannot be read becomes a fault on the node's list."""
    got = node.fields(_REQUIRED, (*_WORDS, *_WORD_LISTS, *_OTHERS))
    if not all(name in got for name in _REQUIRED):
        return DrawFacts(at=node.moment() if not got else got.get("at", node).moment())
    words = {name: got[name].word() for name in _WORDS if name in got}
    lists = {name: got[name].items(Node.word) for name in _WORD_LISTS if name in got}
    return DrawFacts(
        at=got["at"].moment(),
        nth_draw=got["nth_draw"].integer(1, _MOST),
        draws_today=got["draws_today"].integer(0, _MOST),
        behaviour=got["behaviour"].choice(Behaviour),
        new_customer=got["new_customer"].boolean(),
        level=got["level"].choice(Level),
        budget_left_fen=got["budget_left_fen"].integer(0, _MOST),
        region=_read_region(got["region"]) if "region" in got else None,
        pool_budgets_left_fen=_read_numbers(got.get("pool_budgets_left_fen")),
        stock_left=_read_numbers(got.get("stock_left")),
        signals=_read_numbers(got.get("signals")),
        risk_policy=got["risk_policy"].integer(0, _MOST) if "risk_policy" in got else 0,
        **words,  # type: ignore[arg-type]  # names and types are those of the fields
        **lists,  # type: ignore[arg-type]  # likewise
    )


def _read_region(node: Node) -> Region:
    got = node.fields(("code", "source"))
    if len(got) < 2:
        return Region("", RegionSource.ADDRESS)
    return Region(got["code"].word(), got["source"].choice(RegionSource))


def _read_numbers(node: Node | None) -> dict[str, int]:
    if node is None:
        return {}
    names = list(node.value) if isinstance(node.value, dict) else []
    return {name: child.integer(0, _MOST) for name, child in node.fields(optional=names).items()}
