import time
from concurrent.futures import ThreadPoolExecutor

from sandbox.limits import RateLimiter


def test_a_key_is_used_up_and_recovers() -> None:
    limiter = RateLimiter()
    uses = [limiter.allows("a", calls=2, seconds=0.05) for _ in range(3)]
    time.sleep(0.06)

    assert uses == [True, True, False]
    assert limiter.allows("a", calls=2, seconds=0.05)


def test_keys_do_not_share() -> None:
    limiter = RateLimiter()
    limiter.allows("a", calls=1, seconds=60)

    assert limiter.allows("b", calls=1, seconds=60)
    assert not limiter.allows("a", calls=1, seconds=60)


def test_threads_cannot_slip_past() -> None:
    limiter = RateLimiter()
    with ThreadPoolExecutor(16) as pool:
        uses = list(pool.map(lambda _: limiter.allows("a", calls=10, seconds=60), range(200)))

    assert sum(uses) == 10
