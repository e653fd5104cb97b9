"""A month's withheld tax as files for finance: a line per receipt, written page by page.

Who gave a name is listed with every receipt. The receipts of all others are added up, for the return of
random gifts that some tax offices take for them (contract 14.4): by campaign, kind and bearer.
"""

from collections.abc import Callable, Iterator, Mapping

from sqlalchemy.orm import Session

from app.kernel.fen import format_yuan
from app.reconciliation.export import Row
from app.tax import queries
from app.tax.documents import NAMES, Identity
from app.tax.periods import BEIJING
from app.tax.queries import Receipt
from app.tax.terms import TaxBearer, TaxedKind

_PAGE = 1000

PERSON_COLUMNS = (
    "姓名 name",
    "证件类型 document",
    "证件号码 number",
    "所得项目 income",
    "收入额 income (yuan)",
    "税率 rate (%)",
    "税额 tax (yuan)",
    "实得 net (yuan)",
    "税款承担方 borne by",
    "日期 date",
    "奖品类别 kind",
    "活动 campaign",
    "奖品编号 award",
)
UNNAMED_COLUMNS = (
    "所得项目 income",
    "活动 campaign",
    "奖品类别 kind",
    "税款承担方 borne by",
    "笔数 receipts",
    "收入额 income (yuan)",
    "税额 tax (yuan)",
    "实得 net (yuan)",
)
_INCOME = "偶然所得 incidental income"
_BEARERS = {TaxBearer.WINNER: "中奖人 winner", TaxBearer.BRAND: "主办方 organiser"}
_KINDS = {
    TaxedKind.MONEY: "现金 money",
    TaxedKind.GOODS: "实物 goods",
    TaxedKind.PHONE_CREDIT: "话费 phone credit",
    TaxedKind.MEMBERSHIP: "会员权益 membership",
    TaxedKind.GIFT_CARD: "礼品卡 gift card",
    TaxedKind.COUPON: "优惠券 coupon",
}


class MonthBook:
    """What is exported of a brand's month. Read `persons` to its end, then `unnamed`.

    `campaigns` names the campaigns; `award` gives the public form of an award's id.
    """

    def __init__(
        self,
        session: Session,
        *,
        brand_id: int,
        month: str,
        campaigns: Mapping[int, str],
        award: Callable[[int], str],
    ) -> None:
        self._session = session
        self._brand_id = brand_id
        self._month = month
        self._campaigns = campaigns
        self._award = award
        self._unnamed: dict[tuple[int, TaxedKind, TaxBearer], list[int]] = {}

    def persons(self) -> Iterator[Row]:
        """Yield one row per receipt of somebody who gave a name; personal data."""
        after = None
        while page := queries.receipts(
            self._session, brand_id=self._brand_id, month=self._month, after=after, limit=_PAGE
        ):
            known = queries.identities_of(self._session, person_ids=[one.person_id for one in page])
            for one in page:
                if one.person_id in known:
                    yield self._row(one, known[one.person_id])
                else:
                    self._add(one)
            after = (page[-1].due_at, page[-1].award_id)

    def unnamed(self) -> Iterator[Row]:
        """Yield the sums of all other receipts, by campaign, kind and bearer."""
        for (campaign_id, kind, bearer), sums in sorted(self._unnamed.items()):
            count, *amounts = sums
            named = (_INCOME, self._campaigns[campaign_id], _KINDS[kind], _BEARERS[bearer])
            yield (*named, count, *(_yuan(amount) for amount in amounts))

    def _add(self, one: Receipt) -> None:
        sums = self._unnamed.setdefault((one.campaign_id, one.kind, one.bearer), [0, 0, 0, 0])
        for place, amount in enumerate((1, one.base_fen, one.tax_fen, one.net_fen)):
            sums[place] += amount

    def _row(self, one: Receipt, who: Identity) -> Row:
        return (
            who.name,
            NAMES[who.document],
            who.number,
            _INCOME,
            _yuan(one.base_fen),
            one.rate_bps / 100,
            _yuan(one.tax_fen),
            _yuan(one.net_fen),
            _BEARERS[one.bearer],
            one.due_at.astimezone(BEIJING).date().isoformat(),
            _KINDS[one.kind],
            self._campaigns[one.campaign_id],
            self._award(one.award_id),
        )


def _yuan(fen: int) -> float:
    """Return yuan as a number that a spreadsheet adds up."""
    return float(format_yuan(fen))
