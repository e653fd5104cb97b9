"""Fund-flow bills over HTTP: contract 11.1 to 11.3."""

import gzip
import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contract.sandbox.conftest import Till
from tests.contract.sandbox.pay_client import verifies

CHINA = timezone(timedelta(hours=8))


@pytest.fixture(autouse=True)
def _truth(till: Till) -> Iterator[None]:
    yield
    till.sandbox.tell_the_truth()


def now(till: Till) -> datetime:
    """Business time of the sandbox, in Beijing."""
    told = till.sandbox._admin("GET", "/clock")["now"]
    return datetime.fromisoformat(told).astimezone(CHINA)


def to_the_next(till: Till, hour: float) -> str:
    """Goes to `hour` on the next day; returns the day that is left."""
    today = now(till)
    target = datetime(today.year, today.month, today.day, tzinfo=CHINA) + timedelta(days=1, hours=hour)
    till.sandbox.advance((target - today).total_seconds())
    return today.date().isoformat()


def ask(till: Till, day: str, account: str = "OPERATION", more: str = "&tar_type=GZIP") -> Any:
    return till.client.request("GET", f"/v3/bill/fundflowbill?bill_date={day}&account_type={account}{more}")


def fetch(till: Till, url: str) -> Any:
    parts = urlsplit(url)
    return till.client.request("GET", f"{parts.path}?{parts.query}")


def lines(till: Till, day: str) -> list[dict[str, str]]:
    """The file's detail lines by the names of their columns, verified against hash and summary."""
    answer = ask(till, day).json()
    content = gzip.decompress(fetch(till, answer["download_url"]).content)
    assert hashlib.sha1(content).hexdigest() == answer["hash_value"]
    header, *rows, footer, summary = content.decode().splitlines()
    names = header.split(",")
    found = []
    for row in rows:
        assert row.startswith("`")
        found.append(dict(zip(names, row[1:].split(",`"), strict=True)))
    counted = dict(zip(footer.split(","), summary[1:].split(",`"), strict=True))
    assert float(counted["资金流水总笔数"]) == len(found)
    balance = None
    for row in found:
        change = float(row["收支金额(元)"]) * (1 if row["收支类型"] == "收入" else -1)
        if balance is not None:
            assert float(row["账户结余(元)"]) == pytest.approx(balance + change)
        balance = float(row["账户结余(元)"])
    return found


def test_a_day_is_ready_at_ten_on_the_next_and_lists_what_moved(till: Till) -> None:
    paid, open_bill = till.opened(), till.opened()
    till.confirm(paid)
    today = now(till).date().isoformat()
    assert ask(till, today).json()["code"] == "INVALID_REQUEST"
    day = to_the_next(till, 9.9)
    assert (ask(till, day).status_code, ask(till, day).json()["code"]) == (400, "STATEMENT_CREATING")
    till.sandbox.advance(600)

    rows = lines(till, day)

    assert [(row["收支类型"], row["收支金额(元)"], row["业务凭证号"]) for row in rows] == [
        ("收入", "10000.00", ""),
        ("支出", "1.00", paid["out_bill_no"]),
        ("支出", "1.00", open_bill["out_bill_no"]),
    ]
    assert rows[1]["微信支付业务单号"] == paid["transfer_bill_no"]
    assert rows[-1]["账户结余(元)"] == "9998.00"


def test_what_nobody_confirmed_returns_on_the_day_it_ends(till: Till) -> None:
    opened = till.opened()
    to_the_next(till, 23)
    day = to_the_next(till, 11)
    till.client.query(opened["out_bill_no"])
    to_the_next(till, 11)
    found = [row for row in lines(till, day) if row["业务凭证号"] == opened["out_bill_no"]]
    assert [row["收支类型"] for row in found] == ["收入"]


def test_a_day_without_movement_has_no_file(till: Till) -> None:
    day = to_the_next(till, 11)
    assert ask(till, day, "BASIC").json()["code"] == "NO_STATEMENT_EXIST"
    quiet = to_the_next(till, 11)
    assert ask(till, quiet).json()["code"] == "NO_STATEMENT_EXIST"


def test_the_address_lives_five_minutes_and_belongs_to_one_merchant(till: Till, shared_till: Till) -> None:
    day = to_the_next(till, 11)
    url = ask(till, day, more="").json()["download_url"]
    answer = fetch(till, url)
    assert answer.status_code == 200
    assert answer.content.startswith("记账时间,".encode())
    assert not any(name.lower().startswith("wechatpay-") for name in answer.headers)
    assert fetch(shared_till, url).status_code == 400
    till.sandbox.advance(301)
    assert fetch(till, url).status_code == 400


def test_applications_are_signed_and_answered_signed(till: Till) -> None:
    day = to_the_next(till, 11)
    answer = ask(till, day)
    assert verifies(till.account, answer.headers, answer.content)
    old = (now(till) - timedelta(days=91)).date().isoformat()
    assert ask(till, old).json()["code"] == "INVALID_REQUEST"
    for wrong in ("yesterday", "20260601", ""):
        assert ask(till, wrong).json()["code"] == "PARAM_ERROR"
    assert ask(till, day, "ALL").json()["code"] == "PARAM_ERROR"
    assert ask(till, day, more="&tar_type=ZIP").json()["code"] == "PARAM_ERROR"


def test_a_day_can_be_falsified(till: Till) -> None:
    numbers = {}
    for kind in ("missing", "doubled", "amount", "other_bill", "late", "refunded"):
        opened = till.opened()
        till.confirm(opened)
        numbers[kind] = opened["out_bill_no"]
    day = now(till).date().isoformat()
    for kind, number in numbers.items():
        till.sandbox.falsify(till.account.mchid, day, kind, number=number, fen=7)
    till.sandbox.falsify(till.account.mchid, day, "unknown", number="NOBODY1", fen=5)
    to_the_next(till, 11)
    to_the_next(till, 11)
    next_day = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()

    rows, later = lines(till, day), lines(till, next_day)

    def of(kind: str) -> list[tuple[str, str]]:
        return [(r["收支类型"], r["收支金额(元)"]) for r in rows if r["业务凭证号"] == numbers[kind]]

    assert of("missing") == of("late") == []
    assert of("doubled") == [("支出", "1.00")] * 2
    assert of("amount") == [("支出", "0.07")]
    assert of("refunded") == [("支出", "1.00"), ("收入", "1.00")]
    (other,) = [row for row in rows if row["业务凭证号"] == numbers["other_bill"]]
    told = till.client.query(numbers["other_bill"]).json()["transfer_bill_no"]
    assert other["微信支付业务单号"] != told
    assert [row["业务凭证号"] for row in later] == [numbers["late"]]
    assert [row["收支金额(元)"] for row in rows if row["业务凭证号"] == "NOBODY1"] == ["0.05"]


def test_a_false_hash_is_sent_on_demand(till: Till) -> None:
    day = to_the_next(till, 11)
    till.sandbox.falsify(till.account.mchid, day, "wrong_hash")
    answer = ask(till, day).json()
    content = gzip.decompress(fetch(till, answer["download_url"]).content)
    assert hashlib.sha1(content).hexdigest() != answer["hash_value"]
