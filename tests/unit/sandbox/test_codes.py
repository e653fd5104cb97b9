from collections.abc import Callable

import pytest

from sandbox.clock import SandboxClock
from sandbox.codes import Codes
from sandbox.errors import WeChatError


def errcode(action: Callable[[], object]) -> int:
    with pytest.raises(WeChatError) as caught:
        action()
    return caught.value.errcode


def test_a_code_is_used_once_and_looking_does_not_use_it() -> None:
    codes = Codes(SandboxClock())
    text = codes.issue(purpose="login", appid="wx1", shopper_id="s1")

    assert len(text) == 32
    assert codes.look_up(text, purpose="login", appid="wx1").shopper_id == "s1"
    assert codes.use(text, purpose="login", appid="wx1").shopper_id == "s1"
    assert errcode(lambda: codes.use(text, purpose="login", appid="wx1")) == 40163


def test_a_code_dies_after_five_minutes() -> None:
    clock = SandboxClock()
    codes = Codes(clock)
    text = codes.issue(purpose="login", appid="wx1", shopper_id="s1")
    clock.advance(299)
    codes.look_up(text, purpose="login", appid="wx1")
    clock.advance(1)

    assert errcode(lambda: codes.use(text, purpose="login", appid="wx1")) == 40029


@pytest.mark.parametrize(("purpose", "appid"), [("phone", "wx1"), ("login", "wx2")])
def test_a_code_is_worth_nothing_for_another_purpose_or_app(purpose: str, appid: str) -> None:
    codes = Codes(SandboxClock())
    text = codes.issue(purpose="login", appid="wx1", shopper_id="s1")

    assert errcode(lambda: codes.use(text, purpose=purpose, appid=appid)) == 40029


def test_the_answer_to_another_apps_code_can_be_named() -> None:
    codes = Codes(SandboxClock())
    text = codes.issue(purpose="phone", appid="wx1", shopper_id="s1")

    assert errcode(lambda: codes.look_up(text, purpose="phone", appid="wx2", foreign=40013)) == 40013


def test_an_unknown_code_is_invalid() -> None:
    assert errcode(lambda: Codes(SandboxClock()).use("0", purpose="login", appid="wx1")) == 40029
