"""WeChat's risk rank: asked as the contract says, in 300 ms or not at all."""

import time

import pytest

from app.db.engine import Database
from app.gateways.miniprogram.risk_rank import WeChatRiskRanks
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.identity.interfaces import AppCredentials
from app.risk.interfaces import RankUnknown
from tests.support.loopback import LoopbackServer
from tests.support.sandbox import SandboxProcess


@pytest.fixture
def ranks(api: WeChatApi, sqlite_db: Database) -> WeChatRiskRanks:
    return WeChatRiskRanks(api, TokenProvider(sqlite_db), deadline_seconds=5)


@pytest.mark.parametrize("rank", [0, 3, 4])
def test_the_platform_tells_its_rank(
    sandbox: SandboxProcess, app: AppCredentials, ranks: WeChatRiskRanks, rank: int
) -> None:
    shopper = sandbox.shopper(risk_rank=rank)
    assert ranks.rank(app, openid=shopper["openids"][app.appid], address="36.112.9.7") == rank


def test_what_the_platform_refuses_is_unknown(
    sandbox: SandboxProcess, app: AppCredentials, ranks: WeChatRiskRanks
) -> None:
    openid = sandbox.shopper()["openids"][app.appid]
    with pytest.raises(RankUnknown, match="40003"):
        ranks.rank(app, openid="oNobody", address="36.112.9.7")
    with pytest.raises(RankUnknown, match="47001"):
        ranks.rank(app, openid=openid, address="")
    with pytest.raises(RankUnknown, match="errcode"):
        ranks.rank(AppCredentials("wxnobody", "wrong"), openid=openid, address="36.112.9.7")


def test_a_silent_platform_costs_300_ms(app: AppCredentials, sqlite_db: Database) -> None:
    with LoopbackServer() as server:
        server.answer = lambda _handler, _seen: time.sleep(1)
        silent = WeChatRiskRanks(WeChatApi(server.url), TokenProvider(sqlite_db))
        began = time.monotonic()
        with pytest.raises(RankUnknown, match="timeout"):
            silent.rank(app, openid="o", address="36.112.9.7")
        assert 0.25 < time.monotonic() - began < 2
