"""The ledger against a plain model: dictionaries of balances, a set of keys, and the rules in ten lines."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, or_, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.ledger.errors import AlreadyPosted, InsufficientBalance
from app.ledger.models import AccountKind, Asset, TransferRow
from app.ledger.operations import AccountRef, Transfer, ensure_account, post
from app.ledger.queries import audit, balances, is_posted, open_balance

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = [
    AccountKind.OPEN,
    AccountKind.OPEN,
    AccountKind.GUARDED,
    AccountKind.GUARDED,
    AccountKind.PERSONAL,
    AccountKind.PERSONAL,
]
ASSETS = [Asset.FEN, Asset.POINTS]
PER_ASSET = len(KINDS)

amounts = st.integers(1, 20) | st.sampled_from([0, -5, 10**12])
moves = st.tuples(st.integers(0, 40), st.integers(0, PER_ASSET - 1), st.integers(1, PER_ASSET - 1), amounts)
batches = st.lists(moves, min_size=1, max_size=4)
Move = tuple[int, int, int, int]


class Model:
    """What the ledger promises, without a database."""

    def __init__(self) -> None:
        self.balances: dict[AccountRef, int] = {}
        self.posted: set[str] = set()

    def faults(self, transfers: Sequence[Transfer]) -> set[type[Exception]]:
        """Return what may be raised for these; nothing means that they must be posted."""
        if any(one.amount <= 0 or one.debit.asset is not one.credit.asset for one in transfers):
            return {ValueError}
        found: set[type[Exception]] = set()
        keys = [one.key for one in transfers]
        if len(set(keys)) < len(keys) or self.posted & set(keys):
            found.add(AlreadyPosted)
        after = dict(self.balances)
        for one in transfers:
            after[one.debit] -= one.amount
            # A person spends what they have at that moment; a shared account must hold at the end.
            if one.debit.kind is AccountKind.PERSONAL and after[one.debit] < 0:
                found.add(InsufficientBalance)
            after[one.credit] += one.amount
        if any(left < 0 for account, left in after.items() if account.kind is AccountKind.GUARDED):
            found.add(InsufficientBalance)
        return found

    def post(self, transfers: Sequence[Transfer]) -> None:
        """Move the amounts."""
        for one in transfers:
            self.balances[one.debit] -= one.amount
            self.balances[one.credit] += one.amount
            self.posted.add(one.key)


class Ledger(RuleBasedStateMachine):
    """Two assets with six accounts each."""

    def __init__(self, template: Path, folder: Path) -> None:
        super().__init__()
        path = folder / "machine.db"
        for rest in ("", "-wal", "-shm"):
            Path(f"{path}{rest}").unlink(missing_ok=True)
        shutil.copyfile(template, path)
        self.db = Database(f"sqlite:///{path}")
        # Nobody pulls the plug in the middle of an example.
        event.listen(self.db.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        self.model = Model()
        self.accounts = list(self.db.transact(lambda session: list(self._open_accounts(session))))
        self.model.balances = dict.fromkeys(self.accounts, 0)

    def teardown(self) -> None:
        self.db.dispose()

    @initialize(funds=st.integers(0, 40))
    def fund(self, funds: int) -> None:
        """Begin with something in every account that can run dry, or with nothing anywhere."""
        for first in (0, PER_ASSET) if funds else ():
            works, *others = self.accounts[first : first + PER_ASSET]
            self._try(
                [
                    Transfer(f"fund:{account.id}", works, account, funds, "fund", 1)
                    for account in others
                    if account.kind is not AccountKind.OPEN
                ]
            )

    @rule(batch=batches, points=st.booleans())
    def post(self, batch: list[Move], points: bool) -> None:
        self._try([self._transfer(move, PER_ASSET if points else 0) for move in batch])

    @rule(batch=batches, also=batches)
    def post_both_assets(self, batch: list[Move], also: list[Move]) -> None:
        self._try(
            [
                *(self._transfer(move, 0) for move in batch),
                *(self._transfer(move, PER_ASSET) for move in also),
            ]
        )

    @rule(key=st.integers(0, 40), fen=st.integers(0, 5), points=st.integers(0, 5))
    def mix_assets(self, key: int, fen: int, points: int) -> None:
        debit, credit = self.accounts[fen], self.accounts[PER_ASSET + points]
        self._try([Transfer(f"key:{key}", debit, credit, 1, "test", 1)])

    @rule(batch=batches, instead=batches, points=st.booleans())
    def fall_back_in_the_same_transaction(self, batch: list[Move], instead: list[Move], points: bool) -> None:
        """What a draw does when the stock is empty: a savepoint takes the first try back."""
        asset = PER_ASSET if points else 0
        first = [self._transfer(move, asset) for move in batch]
        second = [self._transfer(move, asset) for move in instead]

        def draw(session: Session) -> list[type[Exception] | None]:
            outcomes = []
            for transfers in (first, second):
                outcomes.append(_outcome(lambda transfers=transfers: self._post_inside(session, transfers)))
                if outcomes[-1] is None:
                    break
            return outcomes

        outcomes = self.db.transact(draw)
        for transfers, outcome in zip((first, second), outcomes, strict=False):
            self._compare(transfers, outcome)

    @rule()
    def accounts_are_opened_once(self) -> None:
        assert self.db.transact(lambda session: list(self._open_accounts(session))) == self.accounts

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        with self.db.read() as session:
            running = balances(session, [account.id for account in self.accounts])
            for account, expected in self.model.balances.items():
                if account.kind is AccountKind.OPEN:
                    assert running[account.id] == 0, "an open account's row is never touched"
                    assert open_balance(session, account.id) == expected
                else:
                    assert running[account.id] == expected

    @invariant()
    def the_book_holds(self) -> None:
        with self.db.read() as session:
            assert audit(session) == []
            keys = {key for key in (f"key:{number}" for number in range(41)) if is_posted(session, key)}
        assert keys == {key for key in self.model.posted if key.startswith("key:")}

    @invariant()
    def a_person_can_follow_each_change(self) -> None:
        with self.db.read() as session:
            for account in self.accounts:
                if account.kind is AccountKind.PERSONAL:
                    self._follow(session, account.id)

    def _follow(self, session: Session, account: int) -> None:
        mine = select(TransferRow).where(
            or_(TransferRow.debit_account == account, TransferRow.credit_account == account)
        )
        steps = []
        for row in session.scalars(mine):
            out = row.debit_account == account
            number, after = (
                (row.debit_sequence, row.debit_balance) if out else (row.credit_sequence, row.credit_balance)
            )
            steps.append((number, after, -row.amount if out else row.amount))
        balance = 0
        for position, (number, after, change) in enumerate(sorted(steps), start=1):
            balance += change
            assert (number, after) == (position, balance)

    def _try(self, transfers: Sequence[Transfer]) -> None:
        self._compare(
            transfers,
            _outcome(lambda: self.db.transact(lambda session: post(session, transfers, now=NOW))),
        )

    def _compare(self, transfers: Sequence[Transfer], outcome: type[Exception] | None) -> None:
        expected = self.model.faults(transfers)
        assert outcome in (expected or {None})
        if outcome is None:
            self.model.post(transfers)

    @staticmethod
    def _post_inside(session: Session, transfers: Sequence[Transfer]) -> None:
        with session.begin_nested():
            post(session, transfers, now=NOW)

    def _transfer(self, move: Move, first: int) -> Transfer:
        key, debit, step, amount = move
        credit = (debit + step) % PER_ASSET
        return Transfer(
            f"key:{key}",
            self.accounts[first + debit],
            self.accounts[first + credit],
            amount,
            "t",
            1,
        )

    @staticmethod
    def _open_accounts(session: Session) -> Iterator[AccountRef]:
        for asset in ASSETS:
            for number, kind in enumerate(KINDS):
                yield ensure_account(
                    session, kind=kind, asset=asset, purpose=f"p{number}", owner_id=1, brand_id=None, now=NOW
                )


def _outcome(work: Callable[[], None]) -> type[Exception] | None:
    try:
        work()
    except (AlreadyPosted, InsufficientBalance, ValueError) as error:
        return type(error)
    return None


def test_the_ledger_against_a_plain_model(sqlite_url: str, tmp_path: Path) -> None:
    template = Path(sqlite_url.removeprefix("sqlite:///"))
    run_state_machine_as_test(
        lambda: Ledger(template, tmp_path),
        settings=settings(
            max_examples=25, stateful_step_count=15, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
