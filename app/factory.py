"""The composition root: the one place where rooms and gateways meet.

Everything long-lived is built here, once per process, and handed on; nothing is found by import side
effects. A process that forks builds its container after the fork.
"""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flask import Flask

from app.campaigns.book import CampaignBook
from app.codes.book import CodeBook
from app.codes.format import CodeKeys
from app.codes.interfaces import MarketGateway
from app.codes.links import CodeLink
from app.codes.market_handlers import ActivateCodes, LoadFiles, OrderCodes
from app.config import Settings
from app.db import secrets
from app.db.engine import Database
from app.db.keys import require_keys
from app.db.nodes import claim_node
from app.db.secrets import KeyRing
from app.gateways.captcha import TencentCaptchas
from app.gateways.mail import NullMailer, SmtpMailer, read_server
from app.gateways.market_codes import FILE_DEADLINE_SECONDS, LARGEST_FILE_BYTES, WeChatMarketCodes
from app.gateways.miniprogram.gateway import WeChatMiniProgram
from app.gateways.miniprogram.messages import PushedMessages
from app.gateways.miniprogram.risk_rank import WeChatRiskRanks
from app.gateways.pay.balances import WeChatPayBalances
from app.gateways.pay.methods import ByMethod
from app.gateways.pay.red_packets import WeChatRedPackets
from app.gateways.pay.statements import WeChatPayStatements
from app.gateways.pay.transfers import WeChatPayTransfers
from app.gateways.pay.wecom_packets import WeComRedPackets
from app.gateways.service_account import WeChatServiceAccount
from app.gateways.sms import NullTexter, WebhookTexter
from app.gateways.tc3 import CloudKey
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.gateways.wecom.visitors import WeComVisitors
from app.http.kit import build_app
from app.identity.interfaces import CorpGateway, MiniProgramGateway, ServiceAccountGateway
from app.kernel.clock import Clock, SystemClock
from app.kernel.ids import PublicIds
from app.notices.handlers import SendDigest, SendText
from app.notices.interfaces import Mailer, Texter
from app.organisation.address_regions import CsvAddressRegions, NullAddressRegions
from app.organisation.handlers import AppMessages
from app.organisation.interfaces import AddressRegions, MessageReader
from app.outbox.drain import Drainer
from app.outbox.registry import Registry
from app.payouts.closing import CloseBills
from app.payouts.handlers import BillNotices, OpenBills, QueryBills
from app.payouts.interfaces import PayMethod, TransferGateway
from app.reconciliation.handlers import FetchBalances, FetchStatements
from app.reconciliation.interfaces import StatementGateway
from app.rewards.handlers import SettleAwards, UnlockAwards
from app.risk.book import RiskBook
from app.risk.interfaces import Captchas
from app.risk.ranks import RankDesk
from app.vouchers.interfaces import VoucherSupplier
from app.vouchers.operations import StockFile


@dataclass(frozen=True, slots=True)
class Container:
    """What a process works with."""

    settings: Settings
    clock: Clock
    db: Database
    keyring: KeyRing
    public_ids: PublicIds
    code_book: CodeBook
    campaign_book: CampaignBook
    risk_book: RiskBook
    risk_ranks: RankDesk | None
    captchas: Captchas | None
    address_regions: AddressRegions
    mini_program: MiniProgramGateway
    service_account: ServiceAccountGateway
    corp: CorpGateway
    messages: MessageReader
    market_codes: MarketGateway
    transfers: TransferGateway
    statements: StatementGateway
    vouchers: VoucherSupplier
    registry: Registry
    drainer: Drainer

    def close(self) -> None:
        """Let the calls in flight end, then close the connections."""
        self.drainer.close()
        self.db.dispose()


class Surface(Protocol):
    """A set of routes that stands on the container."""

    def register(self, app: Flask, container: Container) -> None:
        """Add the routes to `app`."""


def build_container(
    settings: Settings,
    *,
    clock: Clock | None = None,
    mini_program: MiniProgramGateway | None = None,
    transfers: TransferGateway | None = None,
    statements: StatementGateway | None = None,
) -> Container:
    """Build the container of this process on a migrated database; it takes a node number for its ids.

    Raises BadSettings when the master keys are not those that the database was written with.
    """
    clock = clock or SystemClock()
    keyring = KeyRing(settings.master_keys, sealing=settings.sealing_version)
    secrets.bind(keyring)
    db = Database(settings.database_url, fast=settings.fast_driver)
    require_keys(db, keyring, now=clock.now())
    node = claim_node(db)
    api, tokens = WeChatApi(settings.wechat_api_url), TokenProvider(db)
    transfers = transfers or _payments(settings.pay_api_url)
    statements = statements or WeChatPayStatements(settings.pay_api_url)
    registry = build_registry(transfers, statements, settings.statements)
    market_codes = WeChatMarketCodes(
        api,
        WeChatApi(
            settings.wechat_api_url,
            deadline_seconds=FILE_DEADLINE_SECONDS,
            largest_answer_bytes=LARGEST_FILE_BYTES,
        ),
        tokens,
    )
    registry.add(effects=[FetchBalances(WeChatPayBalances(settings.pay_api_url))])
    registry.add(effects=[OrderCodes(market_codes), LoadFiles(market_codes), ActivateCodes(market_codes)])
    registry.add(
        effects=[
            SendDigest(_mailer(settings), settings.alert_to),
            SendText(_texter(settings), settings.sms_to),
        ]
    )
    regions = (
        CsvAddressRegions(settings.address_regions) if settings.address_regions else NullAddressRegions()
    )
    return Container(
        settings=settings,
        clock=clock,
        db=db,
        keyring=keyring,
        public_ids=PublicIds(keyring.derive("public-ids")),
        code_book=CodeBook(CodeKeys(settings.code_key), CodeLink(settings.link_prefix)),
        campaign_book=CampaignBook(),
        risk_book=RiskBook(captchas=settings.captcha is not None),
        risk_ranks=RankDesk(WeChatRiskRanks(api, tokens)) if settings.risk_rank else None,
        captchas=_captchas(settings),
        address_regions=regions,
        mini_program=mini_program or WeChatMiniProgram(api, tokens),
        service_account=WeChatServiceAccount(api),
        corp=WeComVisitors(WeChatApi(settings.wecom_api_url), tokens),
        messages=PushedMessages(),
        market_codes=market_codes,
        transfers=transfers,
        statements=statements,
        vouchers=StockFile(),
        registry=registry,
        drainer=Drainer(db, registry, clock, worker=f"{socket.gethostname()[:40]}-{os.getpid()}-{node}"),
    )


def _payments(api_url: str) -> TransferGateway:
    packets = WeChatRedPackets(api_url)
    return ByMethod(
        {
            PayMethod.TRANSFER: WeChatPayTransfers(api_url),
            PayMethod.RED_PACKET: packets,
            PayMethod.SERVICE_RED_PACKET: packets,
            PayMethod.WECOM_RED_PACKET: WeComRedPackets(api_url),
        }
    )


def _captchas(settings: Settings) -> Captchas | None:
    account = settings.captcha
    if account is None:
        return None
    key = CloudKey(account.secret_id, account.secret_key)
    return TencentCaptchas(account.api_url, key=key, app_id=account.app_id, app_key=account.app_key)


def _texter(settings: Settings) -> Texter:
    return NullTexter() if settings.sms_url is None else WebhookTexter(settings.sms_url, settings.sms_key)


def _mailer(settings: Settings) -> Mailer:
    if settings.smtp_url is None:
        return NullMailer()
    return SmtpMailer(read_server(settings.smtp_url), settings.alert_from)


def build_registry(transfers: TransferGateway, statements: StatementGateway, folder: Path) -> Registry:
    """Join effects, facts and callbacks with the rooms that handle them; bills are kept in `folder`."""
    registry = Registry()
    registry.add(
        effects=[
            OpenBills(transfers, registry),
            QueryBills(transfers, registry),
            CloseBills(transfers, registry),
            FetchStatements(statements, folder),
        ],
        fact_handlers=[SettleAwards(), UnlockAwards()],
        callback_handlers=[BillNotices(registry), AppMessages()],
    )
    return registry


def create_app(container: Container, surfaces: Iterable[Surface]) -> Flask:
    """Build the Flask application of `surfaces`; the kit gives it problems, logs, limits and metrics."""
    app = build_app(container)
    for surface in surfaces:
        surface.register(app, container)
    return app
