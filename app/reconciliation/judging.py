"""What the platform's lines about one number mean beside our own book: a pure decision."""

from typing import NamedTuple

from app.reconciliation.states import DifferenceKind

SEVERAL = "several"


class Flows(NamedTuple):
    """The lines about one number, summed. `platform_no` is that of the outgoing ones."""

    out_count: int = 0
    out_fen: int = 0
    in_count: int = 0
    in_fen: int = 0
    platform_no: str = ""

    @property
    def net_fen(self) -> int:
        """What left and did not come back, in fen."""
        return self.out_fen - self.in_fen

    def plus(self, other: "Flows") -> "Flows":
        """Return both together."""
        number = self.platform_no or other.platform_no
        if other.platform_no and other.platform_no != number:
            number = SEVERAL
        return Flows(
            self.out_count + other.out_count,
            self.out_fen + other.out_fen,
            self.in_count + other.in_count,
            self.in_fen + other.in_fen,
            number,
        )


class Ours(NamedTuple):
    """A bill of ours that has ended: whether it was paid, and the platform's number that we were told."""

    paid: bool
    amount_fen: int
    platform_no: str | None

    @property
    def expected_fen(self) -> int:
        """What should have left for good, in fen."""
        return self.amount_fen if self.paid else 0


def judge(ours: Ours, theirs: Flows) -> DifferenceKind | None:
    """Return in what way the books disagree about a bill that has ended; None when they agree.

    Money is set aside by one line and returned, if it is, by another, perhaps days apart: what counts is
    what is left of both.
    """
    if not ours.paid:
        if theirs.net_fen == 0:
            return None
        return DifferenceKind.NOT_RETURNED if theirs.net_fen > 0 else DifferenceKind.AMOUNT
    if not theirs.out_count and not theirs.in_count:
        return DifferenceKind.MISSING
    if theirs.out_count and ours.platform_no and theirs.platform_no != ours.platform_no:
        return DifferenceKind.OTHER_BILL
    if theirs.net_fen == ours.amount_fen:
        return None
    if theirs.in_count and theirs.net_fen == 0:
        return DifferenceKind.REFUNDED
    if theirs.out_count - theirs.in_count > 1:
        return DifferenceKind.DOUBLED
    return DifferenceKind.AMOUNT


def booked(ours: Ours) -> Flows:
    """Return the lines that a bill must have had if its day was closed without a difference."""
    if not ours.paid:
        return Flows()
    return Flows(1, ours.amount_fen, 0, 0, ours.platform_no or "")


def assumed_before(ours: Ours, theirs: Flows) -> Flows:
    """Return `theirs` with the outgoing line that stands on a day before the first one reconciled.

    Only for a bill that was opened before that day: its money may have been set aside then.
    """
    if theirs.out_count or not (ours.paid or theirs.in_count):
        return theirs
    return theirs._replace(out_count=1, out_fen=ours.amount_fen, platform_no=ours.platform_no or "")
