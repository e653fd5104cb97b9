"""`saoma doctor`: is everything in place, and if not, what to do."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import click
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.alerts.queries import open_alerts
from app.cli.context import Cli, pass_cli
from app.codes.market import accounts
from app.config import BadSettings, load_settings
from app.db import migrate
from app.db.engine import Database, db_now
from app.db.keys import key_faults
from app.identity.interfaces import AppCredentials, CorpGateway, MiniProgramGateway
from app.kernel.errors import DomainError
from app.members.queries import current_policy
from app.organisation.models import AppKind
from app.organisation.queries import apps
from app.outbox.models import MessageState
from app.outbox.queries import depths
from app.payouts.interfaces import PayMethod, TransferOutcome
from app.payouts.queries import an_appid, credentials, payers
from app.risk.interfaces import Captchas
from app.risk.interfaces import Finding as CaptchaFinding
from app.risk.policies import brands_asking_for_captcha

# A bill that cannot exist: an answer "not found" proves the keys on both sides.
_NO_SUCH_BILL = "SaomaDoctor1"
# A ticket that cannot exist: refused by whoever accepts the keys.
_NO_SUCH_TICKET = "tr03SaomaDoctor"
_CLOCK_TOLERANCE = timedelta(seconds=30)
_QUEUE_PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is empty when it is right."""

    subject: str
    told: str
    advice: str = ""


@click.command()
@pass_cli
def doctor(cli: Cli, /) -> None:
    """Check settings, database, clock and each platform account; say what to do. Changes nothing.

    Exit code 0 when everything is in place, 2 otherwise.
    """
    wrong = 0
    for finding in _examine(cli):
        wrong += bool(finding.advice)
        mark = click.style("✗", fg="red") if finding.advice else click.style("✓", fg="green")
        click.echo(f"{mark} {finding.subject}: {finding.told}")
        if finding.advice:
            click.echo(f"    → {finding.advice}")
    if wrong:
        raise click.ClickException(f"{wrong} things need attention")
    click.echo("everything is in place")


def _examine(cli: Cli) -> Iterator[Finding]:
    try:
        settings = load_settings(os.environ)
    except BadSettings as bad:
        for fault in bad.faults:
            yield Finding("settings", fault, "see docs/settings.md")
        return
    yield Finding("settings", "read without a fault")
    if settings.demo:
        yield Finding("platform", f"demo: the sandbox at {settings.sandbox_url}")
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            session.execute(text("SELECT 1"))
            drift = abs(db_now(session) - datetime.now(UTC))
    except SQLAlchemyError:
        advice = "check SAOMA_DATABASE_URL, that the server runs, and the account's rights"
        yield Finding("database", "cannot be reached", advice)
        return
    yield Finding("database", "sqlite" if settings.embedded else "reachable")
    clock_advice = (
        "" if drift <= _CLOCK_TOLERANCE else "run NTP on both machines; WeChat Pay allows 5 minutes"
    )
    yield Finding("clock", f"{drift.total_seconds():.1f} s from the database", clock_advice)
    standing, newest = migrate.current(database), migrate.head()
    if standing != newest:
        yield Finding("schema", f"at {standing or 'nothing'}, newest is {newest}", "run `saoma db upgrade`")
        return
    yield Finding("schema", f"at {standing}")
    with database.read() as session:
        wrong = key_faults(session, cli.keyring)
    for fault in wrong:
        yield Finding("master keys", fault, "docs/operations.md explains how keys are exchanged")
    if wrong:
        return
    yield Finding("master keys", f"those of this database; version {cli.keyring.sealing} seals")
    yield from _accounts(cli)
    yield _captcha(cli)
    yield from _work(cli)


def _accounts(cli: Cli) -> Iterator[Finding]:
    container = cli.container
    yield _tried("privacy policy", lambda: cli.read(current_policy).version, "`saoma policies publish`")
    known = cli.read(apps)
    if not known:
        yield Finding("apps", "none", "register a mini-program: `saoma apps add`")
    for app in known:
        credentials_of = AppCredentials(app.appid, app.secret, app.agentid or "")
        yield _tried(
            f"{app.kind} {app.appid}",
            partial(
                _sign_in,
                container.corp if app.kind is AppKind.CORP else container.mini_program,
                credentials_of,
            ),
            "see the message; `saoma apps add` renews a secret",
        )
    for account in cli.read(accounts):
        if account.copy_differs:
            advice = (
                f"`saoma marketcode account {account.appid} --opens {account.opens}` copies the app's, for"
                " the previous release; if there is no app yet, first"
                f" `saoma apps add {account.appid} --kind service`"
            )
            yield Finding(f"codes of {account.appid}", "keeps a secret that is not the app's", advice)
    paying = cli.read(payers)
    if not paying:
        yield Finding("payers", "none", "add one: `saoma payers add`")
    for payer in paying:
        appid = cli.read(partial(an_appid, payer_id=payer.id))
        answer = container.transfers.query(credentials(payer, appid), _NO_SUCH_BILL)
        subject = f"payer {payer.mchid} ({payer.state.value})"
        if answer.outcome is TransferOutcome.NOT_FOUND:
            told = "WeChat Pay accepts its keys"
            if payer.method is PayMethod.WECOM_RED_PACKET:
                told += "; the secret of the 企业支付 app is tried by nothing but a packet"
            yield Finding(subject, told)
        else:
            said = f"{answer.outcome.value} {answer.code or ''} {answer.message}".strip()
            advice = "check serial number, private key, APIv3 key, public key and the IP list in the console"
            yield Finding(subject, said, advice)


def _captcha(cli: Cli) -> Finding:
    captchas: Captchas | None = cli.container.captchas
    if captchas is None:
        asking = cli.read(brands_asking_for_captcha)
        if not asking:
            return Finding("captcha", "not set up, and no rules ask for one")
        told = f"not set up; rules of {', '.join(asking)} ask for one, and draws ask for the phone instead"
        return Finding("captcha", told, "set SAOMA_CAPTCHA_… (docs/settings.md), or enforce other rules")
    check = captchas.check(_NO_SUCH_TICKET, address="127.0.0.1")
    subject = f"captcha app {captchas.app_id}"
    if check.finding is CaptchaFinding.REFUSED:
        return Finding(subject, "the platform accepts its keys")
    advice = {
        CaptchaFinding.UNKNOWN: "the platform gave no answer that counts; try again, check the way out",
        CaptchaFinding.DOUBTFUL: "check SAOMA_CAPTCHA_APP_ID and _APP_KEY in the captcha console",
    }.get(check.finding, "check SAOMA_CAPTCHA_SECRET_ID and _SECRET_KEY, and that a package is left")
    return Finding(subject, check.reason, advice)


def _sign_in(gateway: MiniProgramGateway | CorpGateway, app: AppCredentials) -> str:
    gateway.check(app)
    return "the platform knows it and its secret"


def _work(cli: Cli) -> Iterator[Finding]:
    now = cli.container.clock.now()
    for depth in cli.read(depths):
        age = now - depth.oldest_due_at
        if depth.state is MessageState.PARKED:
            advice = "`saoma outbox parked` tells why; mend it, then `saoma outbox replay`"
            yield Finding(f"queue {depth.topic}", f"{depth.messages} parked", advice)
        elif age > _QUEUE_PATIENCE:
            minutes = round(age.total_seconds() / 60)
            advice = "does a scheduler run? `python -m jobs`"
            yield Finding(f"queue {depth.topic}", f"{depth.messages} waiting, {minutes} min late", advice)
    for alert in cli.read(open_alerts):
        yield Finding(f"alert {alert.kind} {alert.subject}", alert.detail, "docs/operations.md explains it")


def _tried(subject: str, attempt: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(subject, attempt())
    except DomainError as error:
        return Finding(subject, f"{error.detail} [{error.code}]", advice)
