"""`saoma risk`: rules against abuse, tried before they are switched on."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.campaigns.queries import campaign_by_key
from app.campaigns.risk_rules import Trial, switch_rules, try_policy
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.identity.queries import cluster
from app.kernel.fen import format_yuan
from app.risk import policies, watch
from app.risk.lists import Level, Step, SubjectKind
from app.risk.measures import PHRASES, Measure, Signals
from app.risk.models import Mode, RiskHit
from app.risk.policy import STANDARD, Policy, judge, parse_policy


@click.group()
def risk() -> None:
    """Measure draws, try rules on them, switch rules on, look at what they hit.

    SCOPE is a brand, or one of its campaigns as BRAND/KEY. docs/risk.md explains the measures.

    \b
    Examples:
      saoma risk switch tea-house observe --reason "before the summer"
      saoma risk standard > rules.json
      saoma risk try tea-house --rules rules.json --days 7
      saoma risk save tea-house rules.json
      saoma risk switch tea-house enforce --version 1 --reason "tried on 20,000 draws: 31 hits"
      saoma risk hits tea-house
      saoma risk marks tea-house
    """


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _scope(session: Session, name: str) -> tuple[int, int]:
    """Return the brand's and the campaign's id, the latter 0 for the whole brand."""
    slug, _, key = name.partition("/")
    owner = brand_id(session, slug)
    assert owner is not None
    return owner, campaign_by_key(session, brand_id=owner, key=key).id if key else 0


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{path} is no JSON: {error}") from None


@risk.command()
def standard() -> None:
    """Print the rules to begin with."""
    click.echo(json.dumps(STANDARD.to_json(), ensure_ascii=False, indent=2))


@risk.command()
@json_option
def measures(*, as_json: bool) -> None:
    """Show what rules may ask for."""
    rows = [
        {"measure": name.value, "zh": PHRASES[name].zh.format("…"), "en": PHRASES[name].en.format("…")}
        for name in Measure
    ]
    show(rows, as_json=as_json)


@risk.command()
@click.argument("scope")
@click.argument("file", type=_FILE)
@pass_cli
def save(cli: Cli, /, *, scope: str, file: Path) -> None:
    """Save FILE as the next version of SCOPE's rules; nothing changes until it is switched on."""
    document, now, actor = _read(file), cli.container.clock.now(), cli.actor

    def work(session: Session) -> int:
        brand, campaign = _scope(session, scope)
        return policies.save_policy(
            session, brand_id=brand, campaign_id=campaign, document=document, now=now, actor=actor
        )

    version = cli.act(Act.RISK_SAVED, work, on=lambda saved: f"risk rules {scope} version {saved}")
    click.echo(f"version {version} saved")
    if parse_policy(document).asks_for_captcha and cli.container.captchas is None:
        click.echo("it asks for a captcha: set SAOMA_CAPTCHA_… before you enforce it (docs/settings.md)")


@risk.command("try")
@click.argument("scope")
@click.option("--rules", type=_FILE, required=True, help="The rules to try.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Draws from this day (UTC) on.")
@click.option(
    "--days", type=click.IntRange(1, 400), default=7, show_default=True, help="Or so many days back."
)
@json_option
@pass_cli
def try_rules(
    cli: Cli, /, *, scope: str, rules: Path, since: datetime | None, days: int, as_json: bool
) -> None:
    """Judge past draws by a file of rules: how many would it have hit, whom, with examples.

    Only draws that were measured can be judged: `saoma risk switch SCOPE observe` begins that.
    """
    policy, now = parse_policy(_read(rules)), cli.container.clock.now()
    start = now - timedelta(days=days) if since is None else since.replace(tzinfo=now.tzinfo)

    def work(session: Session) -> Trial:
        brand, campaign = _scope(session, scope)
        return try_policy(session, policy=policy, brand_id=brand, campaign_id=campaign or None, since=start)

    trial = cli.read(work)
    if not as_json:
        levels = ", ".join(f"{number} {level.value}" for level, number in sorted(trial.levels.items()))
        click.echo(
            f"{trial.draws} draws, {trial.unmeasured} of them not measured; {levels or 'none judged'};"
            f" {format_yuan(trial.amount_fen)} yuan would have been stopped"
        )
    show(_trial_rows(cli, trial, policy), as_json=as_json)


def _trial_rows(cli: Cli, trial: Trial, policy: Policy) -> list[dict[str, Any]]:
    verdicts = {rule.key: _said(rule.verdict, rule.step) for rule in policy.rules}
    return [
        {
            "rule": key,
            "verdict": verdicts[key],
            "draws": draws,
            "persons": persons,
            "example": cli.public("dr", example.draw_id),
            "person": cli.public("pe", example.person_id),
            "code": f"{example.batch_id}/{example.code_index}",
            "yuan": format_yuan(example.amount_fen),
            "why": "; ".join(phrase.en for phrase in example.said),
            "原因": "；".join(phrase.zh for phrase in example.said),
        }
        for key, (draws, persons) in trial.rules.items()
        for example in trial.examples[key]
    ]


@risk.command()
@click.argument("scope")
@click.argument("mode", type=click.Choice([mode.value for mode in Mode]))
@click.option("--version", type=int, help="Which saved version.")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def switch(cli: Cli, /, *, scope: str, mode: str, version: int | None, reason: str) -> None:
    """Switch SCOPE's rules off, to observing, or on; every process follows within ten seconds."""
    now, actor = cli.container.clock.now(), cli.actor

    def work(session: Session) -> None:
        brand, campaign = _scope(session, scope)
        switch_rules(
            session,
            brand_id=brand,
            campaign_id=campaign,
            mode=Mode(mode),
            version=version,
            reason=reason,
            now=now,
            actor=actor,
            captchas=cli.container.captchas is not None,
        )

    said = {"mode": mode, "version": version, "reason": reason}
    cli.act(Act.RISK_SWITCHED, work, on=f"risk rules {scope}", detail=said)
    click.echo(f"{scope}: {mode}")


@risk.command("show")
@click.argument("brand")
@json_option
@pass_cli
def show_rules(cli: Cli, /, *, brand: str, as_json: bool) -> None:
    """Show BRAND's versions, and what was switched when, by whom and why."""

    def work(session: Session) -> list[dict[str, Any]]:
        owner, _ = _scope(session, brand)
        saved = [
            {
                "at": view.saved_at,
                "what": f"version {view.version} saved",
                "campaign": _campaign(cli, view.campaign_id),
                "by": view.saved_by,
                "detail": view.sha256[:16],
            }
            for view in policies.policies(session, brand_id=owner)
        ]
        switched = [
            {
                "at": view.at,
                "what": view.mode.value + (f" version {view.version}" if view.version else ""),
                "campaign": _campaign(cli, view.campaign_id),
                "by": view.by,
                "detail": view.reason,
            }
            for view in policies.switches(session, brand_id=owner)
        ]
        rows = sorted([*saved, *switched], key=lambda row: str(row["at"]), reverse=True)
        return [{**row, "at": str(row["at"])[:19]} for row in rows]

    show(cli.read(work), as_json=as_json)


def _campaign(cli: Cli, campaign_id: int) -> str:
    return cli.public("ca", campaign_id) if campaign_id else "(all)"


@risk.command()
@click.argument("brand")
@click.option("--person", help="Only of this person (pe_…), under all their identities.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@pass_cli
def hits(cli: Cli, /, *, brand: str, person: str | None, limit: int, as_json: bool) -> None:
    """Show what BRAND's rules hit, the newest first, and why."""

    def work(session: Session) -> list[dict[str, Any]]:
        owner, _ = _scope(session, brand)
        ids = cluster(session, person_id=cli.id("pe", person)).person_ids if person else ()
        rules = {view.id: parse_policy(view.document) for view in policies.policies(session, brand_id=owner)}
        found = watch.hits(session, brand_id=owner, person_ids=ids, limit=limit)
        return [_hit_row(cli, hit, rules.get(hit.policy_id, Policy(()))) for hit in found]

    show(cli.read(work), as_json=as_json)


def _said(level: Level, step: Step | None) -> str:
    """Return a verdict with what it asks for: "verify captcha"."""
    return f"{level.value} {step.value}" if level is Level.VERIFY and step is not None else level.value


def _hit_row(cli: Cli, hit: RiskHit, policy: Policy) -> dict[str, Any]:
    signals: Signals = {
        Measure(name): number for name, number in hit.signals.items() if name in list(Measure)
    }
    said = [phrase for rule in policy.hits(signals) for phrase in rule.explain(signals)]
    verdict = _said(hit.level, judge(signals, policy).step)
    return {
        "at": str(hit.at)[:19],
        "verdict": verdict if hit.enforced else f"({verdict})",
        "rules": ", ".join(hit.reasons),
        "person": cli.public("pe", hit.person_id),
        "code": f"{hit.batch_id}/{hit.code_index}",
        "why": "; ".join(phrase.en for phrase in said),
        "原因": "；".join(phrase.zh for phrase in said),
    }


@risk.command()
@click.argument("brand")
@json_option
@pass_cli
def marks(cli: Cli, /, *, brand: str, as_json: bool) -> None:
    """Show BRAND's marked persons and batches, those with most hits first."""

    def work(session: Session) -> list[dict[str, Any]]:
        owner, _ = _scope(session, brand)
        return [
            {
                "what": mark.subject_kind.value,
                "subject": _subject(cli, mark.subject_kind, mark.subject_id),
                "hits": mark.hits,
                "rules": ", ".join(mark.reasons),
                "since": str(mark.first_at)[:19],
                "last": str(mark.last_at)[:19],
            }
            for mark in watch.marks(session, brand_id=owner)
        ]

    show(cli.read(work), as_json=as_json)


def _subject(cli: Cli, kind: SubjectKind, number: int) -> str:
    return cli.public("pe", number) if kind is SubjectKind.PERSON else str(number)


@risk.command()
@click.argument("subject")
@pass_cli
def clear(cli: Cli, /, *, subject: str) -> None:
    """Forget the mark of SUBJECT (a person pe_…, a batch number) after a look; lists keep their entries."""
    is_person = subject.startswith("pe_")
    kind = SubjectKind.PERSON if is_person else SubjectKind.BATCH
    if not is_person and not subject.isdecimal():
        raise click.ClickException("name a person as pe_… or a batch by its number")
    number = cli.id("pe", subject) if is_person else int(subject)
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.RISK_MARK_CLEARED,
        lambda session: watch.clear_mark(session, subject_kind=kind, subject_id=number, now=now, actor=actor),
        on=f"{kind.value} {subject}",
    )
    click.echo("cleared")
