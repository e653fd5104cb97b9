import time

import pytest

from sandbox.clock import SandboxClock, pay_timestamp, utc_timestamp, wire_time


def test_business_time_jumps_ahead_and_wire_time_does_not() -> None:
    clock = SandboxClock()
    clock.advance(86_400)
    clock.advance(1)

    assert clock.now() - time.time() == pytest.approx(86_401, abs=1)
    assert wire_time() == pytest.approx(time.time(), abs=2)


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        SandboxClock().advance(-1)


def test_the_platform_writes_china_time_and_the_sandbox_utc() -> None:
    assert pay_timestamp(1_432_099_775.9) == "2015-05-20T13:29:35+08:00"
    assert utc_timestamp(1_432_099_775.25) == "2015-05-20T05:29:35.250Z"
