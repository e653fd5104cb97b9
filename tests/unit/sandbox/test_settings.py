from typing import Any

import pytest

from sandbox.errors import AdminError
from sandbox.settings import LiveSettings, Settings


def test_a_change_takes_effect_and_the_rest_stays() -> None:
    live = LiveSettings(Settings())
    live.change({"product_url": "http://localhost:9000/", "callback_speed": 50})

    assert live.current == Settings(product_url="http://localhost:9000", callback_speed=50)


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"product_url": "ftp://host"},
        {"product_url": "http://host/path"},
        {"product_url": "http://"},
        {"product_url": 7},
        {"callback_speed": 0},
        {"callback_speed": float("nan")},
        {"callback_speed": True},
        {"transfer_seconds": -1},
        {"expiry_state": "SUCCESS"},
        {"limits": 1},
    ],
)
def test_a_change_that_makes_no_sense_is_refused_whole(changes: dict[str, Any]) -> None:
    live = LiveSettings(Settings())

    with pytest.raises(AdminError) as caught:
        live.change({"strict_unverified": True, **changes})

    assert caught.value.status == 422
    assert live.current == Settings()
