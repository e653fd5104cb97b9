from datetime import UTC, datetime, timedelta

import pytest

from app.campaigns import help_links
from app.campaigns.errors import BadHelpLink
from app.goods import redemption

KEYS = [b"k" * 32]
NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def test_a_link_says_its_award_until_the_deadline_and_nothing_else_is_one() -> None:
    deadline = NOW + timedelta(days=7)
    token = help_links.sign(KEYS, award_id=77, deadline_at=deadline)
    assert help_links.verify(KEYS, text=token, now=deadline - timedelta(seconds=1)) == 77
    with pytest.raises(BadHelpLink):
        help_links.verify(KEYS, text=token, now=deadline)
    other = "H1" + redemption.sign(KEYS, award_id=77, now=NOW)[2:]
    for text in ("", token[:-1], token.lower(), other, "H1" + "!" * 47):
        with pytest.raises(BadHelpLink):
            help_links.verify(KEYS, text=text, now=NOW)
