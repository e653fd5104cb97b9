"""What all ways to pay share in these tests: shoppers who win, and a platform that answers badly."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.gateways.wechat import WeChatApi
from app.payouts.states import BillState
from app.rewards.queries import AwardView
from tests.factories.prizes import PrizeWorld
from tests.support.sandbox import SandboxProcess

TROUBLES = [
    ("system_error", False),
    ("system_error", True),
    ("html_502", True),
    ("timeout_before", False),
    ("timeout_after_commit", True),
    ("frequency_limited", False),
    ("accepted_first", False),
]
"""What the platform may answer to whatever opens a bill, and whether it has done it all the same."""


def make_trouble(sandbox: SandboxProcess, path: str, kind: str, *, after_commit: bool) -> None:
    """Let the platform answer the next two calls of `path` badly."""
    hold = {"hold_seconds": 0.1} if kind.startswith("timeout") else {}
    commit = {"after_commit": True} if after_commit and kind != "timeout_after_commit" else {}
    sandbox.fault(path, kind, times=2, **hold, **commit)


@dataclass
class PayingShop:
    """A brand that pays prizes through a platform in a process of its own."""

    APPID: ClassVar[str]
    SECRET: ClassVar[str]
    world: PrizeWorld
    sandbox: SandboxProcess

    def log_in(self, shopper: dict[str, Any]) -> int:
        """Somebody with WeChat opens the mini-program; return who they are to us."""
        fields = {
            "appid": self.APPID,
            "secret": self.SECRET,
            "js_code": self.sandbox.js_code(shopper["id"], self.APPID),
            "grant_type": "authorization_code",
        }
        answer = WeChatApi(self.sandbox.base_url).get("/sns/jscode2session", fields)
        return self.world.person(openid=str(answer["openid"]))

    def shopper(self) -> tuple[str, int]:
        """Somebody with WeChat who has logged in; returns the shopper's id and ours."""
        shopper = self.sandbox.shopper()
        return shopper["id"], self.log_in(shopper)

    def won(self) -> tuple[str, AwardView]:
        """A shopper and the yuan that they have won and begun to collect."""
        shopper_id, person_id = self.shopper()
        won = self.world.grant(person_id)
        self.world.collect(won)
        return shopper_id, won

    def states(self) -> list[BillState]:
        """Our bills' states, the oldest first."""
        return [bill.state for bill in self.world.bill_rows()]
