"""A code's whole life, from every room that knows something of it: `saoma trace life`.

Persons are numbered as they appear and never named; nothing here is personal data.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from sqlalchemy.orm import Session

from app.catalogue.queries import product
from app.codes import queries as codes
from app.incentives import queries as incentives
from app.payouts.queries import bills_of
from app.rewards.queries import award_of_draw
from app.trace import queries as trace
from app.trace.queries import CodeRef

Rows = Sequence[Mapping[str, Any]]
Life = dict[str, Rows]

_SCANS = 100
_TITLES = {
    "code": "码 Code",
    "packages": "包装 Packaging",
    "events": "事件 Events",
    "scans": "扫码 Scans",
    "stores": "门店 Stores",
    "award": "奖励 Award",
    "bills": "打款 Payout",
}
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;margin:0 0 1.5rem}"
    "td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left}"
)


def life_of(session: Session, *, code: CodeRef) -> Life:
    """Return what is known of a code, section by section, each in the order of time (CODE-05)."""
    batch_id, index = code
    facts = codes.code_facts(session, batch_id=batch_id, code_index=index)
    thing = product(session, product_id=facts.product_id)
    persons: dict[int, int] = {}

    def number(person_id: int | None) -> int | None:
        return None if person_id is None else persons.setdefault(person_id, len(persons) + 1)

    scans = codes.history(session, batch_id=batch_id, code_index=index, limit=_SCANS)[::-1]
    told = [
        {
            "at": _time(scan.at),
            "outcome": scan.outcome.value,
            "region": scan.region,
            "person": number(scan.person_id),
        }
        for scan in scans
    ]
    about = {
        "batch": batch_id,
        "index": index,
        "level": facts.level.value,
        "lot": facts.lot,
        "product": f"{thing.sku} {thing.name_zh}",
        "activated": facts.activated,
        "frozen": facts.frozen,
        "shipped to": facts.region if facts.shipped else None,
        "dealer": facts.attributes.get("dealer"),
        "drawn by person": number(facts.drawn_by),
    }
    life: Life = {
        "code": [about],
        "packages": [ref._asdict() for ref in trace.packages_of(session, batch_id=batch_id, index=index)],
        "events": _events(session, code),
        "scans": told,
        "stores": [
            {
                "at": _time(seen.at),
                "store": seen.store,
                "dealer": seen.dealer,
                "person": number(seen.person_id),
            }
            for seen in incentives.cases(session, code=(batch_id, index))[::-1]
        ],
    }
    return life | _won(session, facts.draw_id)


def _events(session: Session, code: CodeRef) -> Rows:
    return [
        {
            "at": _time(event.event_time),
            "step": event.step.value,
            "dealer": event.dealer,
            "store": event.store,
            "region": event.region,
            "place": event.location or event.read_point,
            "wrong": event.wrong,
            "event": event.event_id,
        }
        for event in trace.events_of(session, batch_id=code.batch_id, index=code.code_index)
    ]


def _won(session: Session, draw_id: int | None) -> Life:
    award = None if draw_id is None else award_of_draw(session, draw_id=draw_id)
    if award is None:
        return {"award": [], "bills": []}
    won = {
        "at": _time(award.granted_at),
        "prize": award.name_zh,
        "kind": award.kind.value,
        "amount_fen": award.amount_fen,
        "points": award.points,
        "state": award.state.value,
    }
    bills = [
        {"at": _time(bill.opened_at), "bill": bill.bill_no, "state": bill.state.value}
        for bill in bills_of(session, award_id=award.id)
    ]
    return {"award": [won], "bills": bills}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def title(section: str) -> str:
    """Return what people read above a section."""
    return _TITLES[section]


def as_page(life: Life) -> str:
    """Return a life as one HTML page that needs nothing else."""
    parts = [f'<!doctype html><html lang="zh"><meta charset="utf-8"><style>{_STYLE}</style>']
    for section, rows in life.items():
        parts.append(f"<h2>{escape(title(section))}</h2>")
        if not rows:
            parts.append("<p>—</p>")
            continue
        head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
        lines = "".join(
            "<tr>"
            + "".join(f"<td>{'' if cell is None else escape(str(cell))}</td>" for cell in row.values())
            + "</tr>"
            for row in rows
        )
        parts.append(f"<table><tr>{head}</tr>{lines}</table>")
    return "\n".join([*parts, "</html>"]) + "\n"
