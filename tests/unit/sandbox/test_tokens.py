import pytest

from sandbox.clock import SandboxClock
from sandbox.errors import WeChatError
from sandbox.tokens import Tokens


def errcode(tokens: Tokens, text: str | None) -> int:
    """0 for a token that is valid."""
    try:
        tokens.check(text)
    except WeChatError as error:
        return error.errcode
    return 0


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock()


@pytest.fixture
def tokens(clock: SandboxClock) -> Tokens:
    return Tokens(clock)


def test_a_token_is_long_and_belongs_to_its_app(tokens: Tokens) -> None:
    text, seconds = tokens.issue_plain("wx1")

    assert len(text) == 512
    assert seconds == 7200
    assert tokens.check(text) == "wx1"


def test_a_missing_an_unknown_and_an_expired_token_differ(tokens: Tokens, clock: SandboxClock) -> None:
    text, _ = tokens.issue_plain("wx1")

    assert errcode(tokens, None) == errcode(tokens, "") == 41001
    assert errcode(tokens, "x") == 40001
    clock.advance(7199)
    assert errcode(tokens, text) == 0
    clock.advance(1)
    assert errcode(tokens, text) == 42001


def test_a_new_plain_token_lets_the_old_one_live_five_minutes(tokens: Tokens, clock: SandboxClock) -> None:
    old, _ = tokens.issue_plain("wx1")
    new, _ = tokens.issue_plain("wx1")

    clock.advance(299)
    assert (errcode(tokens, old), errcode(tokens, new)) == (0, 0)
    clock.advance(1)
    assert (errcode(tokens, old), errcode(tokens, new)) == (40001, 0)


def test_the_stable_token_repeats_until_its_last_five_minutes(tokens: Tokens, clock: SandboxClock) -> None:
    first, seconds = tokens.issue_stable("wx1", force=False, limited=True)
    clock.advance(6899)
    same, left = tokens.issue_stable("wx1", force=False, limited=True)
    clock.advance(2)
    second, _ = tokens.issue_stable("wx1", force=False, limited=True)

    assert seconds == 7200
    assert same == first
    assert 300 <= left <= 301
    assert second != first
    assert (errcode(tokens, first), errcode(tokens, second)) == (0, 0)
    clock.advance(299)
    assert (errcode(tokens, first), errcode(tokens, second)) == (42001, 0)


def test_forcing_kills_the_old_stable_token_at_once(tokens: Tokens) -> None:
    old, _ = tokens.issue_stable("wx1", force=False, limited=True)
    new, _ = tokens.issue_stable("wx1", force=True, limited=True)

    assert (errcode(tokens, old), errcode(tokens, new)) == (40001, 0)


def test_forcing_is_limited_to_once_in_thirty_seconds_and_twenty_times_a_day(
    tokens: Tokens, clock: SandboxClock
) -> None:
    tokens.issue_stable("wx1", force=True, limited=True)
    with pytest.raises(WeChatError) as soon:
        tokens.issue_stable("wx1", force=True, limited=True)
    for _ in range(19):
        clock.advance(30)
        tokens.issue_stable("wx1", force=True, limited=True)
    clock.advance(30)
    with pytest.raises(WeChatError) as often:
        tokens.issue_stable("wx1", force=True, limited=True)

    assert (soon.value.errcode, often.value.errcode) == (45011, 45009)
    tokens.issue_stable("wx2", force=True, limited=True)
    tokens.issue_stable("wx1", force=True, limited=False)


def test_the_two_kinds_of_token_do_not_touch_each_other(tokens: Tokens, clock: SandboxClock) -> None:
    stable, _ = tokens.issue_stable("wx1", force=False, limited=True)
    plain, _ = tokens.issue_plain("wx1")
    tokens.issue_plain("wx1")
    tokens.issue_stable("wx1", force=True, limited=True)
    clock.advance(10)

    assert errcode(tokens, plain) == 0
    assert errcode(tokens, stable) == 40001
    clock.advance(291)
    assert errcode(tokens, plain) == 40001
