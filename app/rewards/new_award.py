"""A prize that is to be granted, and what could never be fulfilled."""

from dataclasses import dataclass
from datetime import datetime

from app.ledger.operations import AccountRef
from app.payouts.limits import SMALLEST_FEN
from app.rewards.models import TO_BE_COLLECTED, AwardKind, DeliveryWay
from app.tax.terms import Assessment


@dataclass(frozen=True, slots=True)
class NewAward:
    """A prize to be granted.

    Money has `amount_fen` (at least 10, the least that WeChat Pay transfers), `payer_id`, `remark` (at
    most 32 characters, on the shopper's bill) and the accounts `budget` (guarded) and `committed` (open).
    Points have `points`, `points_expire_at` if they end, and `points_source` if the account that they come
    from is known. Any prize may come out of a `stock` (guarded) into `awarded` (open), one piece.
    `held_reason` keeps it back for a review. Without `draw_id` it was granted by hand. `tax` is what is owed
    on it; of tax that the brand bears, the accounts are needed whatever is won.
    """

    brand_id: int
    campaign_id: int
    draw_id: int | None
    person_id: int
    kind: AwardKind
    name_zh: str
    name_en: str
    deadline_at: datetime
    amount_fen: int = 0
    points: int = 0
    points_expire_at: datetime | None = None
    delivery: DeliveryWay | None = None
    unlock_draws: int = 0
    unlock_helpers: int = 0
    payer_id: int | None = None
    remark: str = ""
    held_reason: str | None = None
    budget: AccountRef | None = None
    committed: AccountRef | None = None
    stock: AccountRef | None = None
    awarded: AccountRef | None = None
    points_source: AccountRef | None = None
    tax: Assessment | None = None

    @property
    def withheld_fen(self) -> int:
        """Return the tax that is taken out of it."""
        return 0 if self.tax is None else self.tax.withheld_fen

    @property
    def borne_fen(self) -> int:
        """Return the tax that the brand pays on top of it."""
        return 0 if self.tax is None else self.tax.borne_fen

    def __post_init__(self) -> None:
        """Refuse what could never be fulfilled."""
        money = self.kind is AwardKind.MONEY
        if (self.payer_id is not None) is not money or money is not (self.amount_fen >= SMALLEST_FEN):
            raise ValueError("money, and only money, has an amount from 10 fen, a payer and a budget")
        costs = money or self.borne_fen > 0
        if (self.budget is not None) is not costs or (self.committed is not None) is not costs:
            raise ValueError(
                "money and tax that the brand bears, and only they, have the accounts of a budget"
            )
        if self.tax is not None and self.kind not in TO_BE_COLLECTED:
            raise ValueError("only what its winner must collect is taxed")
        if self.withheld_fen and self.amount_fen - self.withheld_fen < SMALLEST_FEN:
            raise ValueError("what is left of money after tax is at least 10 fen")
        if (self.kind is AwardKind.POINTS) is not (self.points > 0):
            raise ValueError("points, and only points, have a number of points")
        if (self.stock is None) is not (self.awarded is None):
            raise ValueError("a piece that leaves a stock arrives somewhere")
        if self.kind in (AwardKind.VOUCHER, AwardKind.GOODS) and self.stock is None:
            raise ValueError("a voucher's code and goods come out of a stock")
        if (self.kind is AwardKind.GOODS) is not (self.delivery is not None):
            raise ValueError("goods, and only goods, are delivered in some way")
