"""Reconciliation: a day of a million lines, from the file to the closed day, in time and in memory.

A process of its own does what the scheduler does when both bills of a day have come: it reads the gzipped
file, lays it beside a million bills on MariaDB and closes the day. One bill in twenty has not ended and is
carried; seven lines lie, and the run counts only if exactly these are named.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.kernel.ids import new_id
from app.payouts.interfaces import ReportInfo
from app.payouts.operations import PayerDetails, save_payer
from app.reconciliation.closing import statement_path
from app.reconciliation.days import BEIJING
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import Statement
from app.reconciliation.states import StatementState
from bench.row import Row, at_most, figure
from bench.support import Bench, say

LINES = 1_000_000
OPEN_EVERY = 20
DAY = date(2026, 6, 1)
MCHID = "1900000001"
# A prime just above the number of lines spreads the numbers of bills over the day, each once.
PRIME, STEP = 1_000_003, 7919
LIES = 7
_PORTION = 100_000

_FILL = """
INSERT INTO bills (id, payout_id, payer_id, generation, bill_no, state, app_id, appid, openid, amount_fen,
  remark, scene_id, report_infos, transfer_bill_no, message_id, polls, opened_by, opened_at, ended_at)
SELECT seq, seq, :payer, 1,
  CONCAT('SBAAAAAA', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(
    LPAD(seq * :step % :prime, 7, '0'),
    '0', 'A'), '1', 'B'), '2', 'C'), '3', 'D'), '4', 'E'), '5', 'F'), '6', 'G'), '7', 'H'), '8', 'I'),
    '9', 'J'), '01'),
  IF(seq % :open, 'success', 'wait_user_confirm'), 1, 'wx', X'00', 100 + seq % 400,
  'prize', '1000', '[]', CONCAT('1330000', LPAD(seq, 21, '0')), seq, 0, 'bench',
  :start + INTERVAL (seq % 80000) SECOND,
  IF(seq % :open, :start + INTERVAL (seq % 80000 + 60) SECOND, NULL)
FROM seq_{first}_to_{last}
"""

_CLOSER = """
import json, sys, time
from datetime import UTC, date, datetime
from pathlib import Path
from app.db import secrets
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.kernel.actor import SYSTEM
from app.reconciliation.closing import close_day

secrets.bind(KeyRing({1: bytes(range(32))}))
db = Database(sys.argv[1])
started = time.perf_counter()
closed = close_day(db, payer_id=int(sys.argv[3]), day=date.fromisoformat(sys.argv[4]),
    folder=Path(sys.argv[2]), now=datetime.now(UTC), actor=SYSTEM)
seconds = time.perf_counter() - started
assert closed
# Not ru_maxrss: a child inherits the peak of the parent that started it.
status = open("/proc/self/status").read()
kilobytes = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps({"seconds": seconds, "megabytes": kilobytes * 1024 / 1e6}))
"""


def run(bench: Bench) -> list[Row]:
    """Measure; about two minutes, most of which make the day."""
    lines = bench.of(LINES, 20_000)
    with (
        bench.database("reconcile") as (db, url),
        tempfile.TemporaryDirectory(prefix="saoma-bench-") as name,
    ):
        folder = Path(name)
        with bench.relaxed():
            payer_id = db.transact(_payer)
            _fill(db, payer_id, lines)
        _write_bill(statement_path(folder, mchid=MCHID, day=DAY, account=AccountType.OPERATION), lines)
        say("the day is made")
        process = subprocess.run(
            [sys.executable, "-c", _CLOSER, url, name, str(payer_id), DAY.isoformat()],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=True,
        )
        measured: dict[str, float] = json.loads(process.stdout)
        with db.read() as session:
            named = session.execute(text("SELECT COUNT(*) FROM statement_differences")).scalar_one()
            carried = session.execute(text("SELECT COUNT(*) FROM statement_carries")).scalar_one()
        assert (named, carried) == (LIES, lines // OPEN_EVERY), (named, carried)
    return [
        at_most("reconcile_1m_s", measured["seconds"] * LINES / lines, "s", 60),
        at_most("reconcile_rss_mb", measured["megabytes"], "MB", 300),
        figure("reconcile_lines_per_second", lines / measured["seconds"], "lines/s"),
    ]


def _payer(session: Session) -> int:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    details = PayerDetails(
        name="Bench",
        mchid=MCHID,
        serial_no="5B" * 20,
        private_key="private",
        apiv3_key="apiv3",
        public_key_id="PUB_KEY_ID_1",
        public_key="public",
        app_ids=(),
        product_max_fen=20_000,
        report_infos=(ReportInfo("活动名称", "扫码有礼"), ReportInfo("奖励说明", "扫码红包")),
        scene_id="1000",
    )
    payer_id = save_payer(session, payer=details, now=now, actor=SYSTEM)
    for account, state in (
        (AccountType.BASIC, StatementState.EMPTY),
        (AccountType.OPERATION, StatementState.LOADED),
    ):
        row = {
            "id": new_id(),
            "payer_id": payer_id,
            "day": DAY.isoformat(),
            "account": account,
            "state": state,
            "message_id": 1,
            "gaps": 0,
            "asked_at": now,
        }
        session.execute(insert(Statement), row)
    return payer_id


def _fill(db: Database, payer_id: int, lines: int) -> None:
    start = datetime(2026, 5, 31, 16)  # noqa: DTZ001 - as the server keeps it: UTC
    values = {"payer": payer_id, "step": STEP, "prime": PRIME, "open": OPEN_EVERY, "start": start}
    with db.engine.connect() as connection:
        connection.execute(text("SET foreign_key_checks = 0"))
        # In portions, each well within the time that a connection waits for an answer.
        for first in range(1, lines + 1, _PORTION):
            last = min(first + _PORTION - 1, lines)
            connection.execute(text(_FILL.format(first=first, last=last)), values)
            connection.commit()
        connection.execute(text("SET foreign_key_checks = 1"))
        connection.execute(text("ANALYZE TABLE bills"))
        connection.commit()


def _write_bill(path: Path, lines: int) -> None:
    """Write the day as WeChat Pay would, but for seven lies: three gone, two other amounts, two strangers."""
    moment, balance, spent, count = datetime(2026, 6, 1, tzinfo=BEIJING), 10**9, 0, 0
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="\n") as file:
        file.write(
            "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
            "资金变更提交申请人,备注,业务凭证号\n"
        )
        for number, bill_no, fen in _rows(lines):
            balance, spent, count = balance - fen, spent + fen, count + 1
            at = moment + timedelta(seconds=number % 80000)
            file.write(
                f"`{at:%Y-%m-%d %H:%M:%S},`1330000{number:021d},`{number:020d},`转账,`转账,`支出,"
                f"`{fen // 100}.{fen % 100:02d},`{balance // 100}.{balance % 100:02d},`system,`扫码奖励,"
                f"`{bill_no}\n"
            )
        total = f"{spent // 100}.{spent % 100:02d}"
        file.write("资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\n")
        file.write(f"`{count}.0,`0.0,`0.00,`{count}.0,`{total}\n")


def _rows(lines: int) -> Iterator[tuple[int, str, int]]:
    letters = str.maketrans("0123456789", "ABCDEFGHIJ")
    for number in range(1, lines + 1):
        bill_no = f"SBAAAAAA{f'{number * STEP % PRIME:07d}'.translate(letters)}01"
        fen = 100 + number % 400
        if number in (101, 201, 301):
            continue
        yield number, bill_no, fen + (number in (401, 501))
    for number in (PRIME + 1, PRIME + 2):
        yield number, f"THEIRS{number}", 4200
