"""A notice rests in the inbox as text and comes out as it went in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.payouts import notices
from app.payouts.interfaces import TransferNotice, TransferState

moments = st.datetimes(timezones=st.just(UTC))


@given(
    st.builds(
        TransferNotice,
        notice_id=st.text(),
        mchid=st.text(),
        bill_no=st.text(),
        transfer_bill_no=st.text(),
        state=st.sampled_from(TransferState),
        amount_fen=st.integers(0, 2**62),
        openid=st.none() | st.text(),
        fail_reason=st.none() | st.text(),
        finished_at=moments,
    )
)
def test_what_was_written_is_read(notice: TransferNotice) -> None:
    assert notices.read(notices.write(notice)) == notice


def test_a_moment_keeps_its_zone() -> None:
    shanghai = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=8)))
    notice = TransferNotice("n", "m", "b", "t", TransferState.SUCCESS, 100, None, None, shanghai)
    assert notices.read(notices.write(notice)).finished_at == datetime(2026, 6, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"state": "SUCCESS"}', "not json"])
def test_anything_else_is_refused(body: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        notices.read(body)
