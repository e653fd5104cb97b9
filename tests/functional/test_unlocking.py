"""Money that its winner unlocks by drawing again, over HTTP."""

from sqlalchemy import update

from app.rewards.models import Award
from tests.support.shop import Shop


def test_money_that_draws_unlock_is_collected_after_them(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    assert award["unlock_draws"] == 0
    locked = shop.container.public_ids.decode("aw", award["id"])
    with shop.container.db.engine.begin() as connection:
        connection.execute(update(Award).where(Award.id == locked).values(unlock_draws=1))

    refused = shopper.collect(award).json()
    assert (refused["status"], refused["code"], refused["missing"]) == (409, "draws_wanted", 1)
    shopper.win()
    assert shopper.collect(award).status_code in {200, 202}
