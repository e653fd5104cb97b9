"""`saoma policies`, `placements`, `lists`: what members agree to, where they join, who is kept out."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.codes import qr
from app.members import operations as members
from app.members.models import PlacementKind
from app.risk import operations as risk
from app.risk import queries as lists_of
from app.risk.lists import Level, ListKind, SubjectKind


@click.group()
def policies() -> None:
    """Publish versions of the privacy policy.

    \b
    Example:
      saoma policies publish 2026-11 --zh privacy.zh.txt --en privacy.en.txt
    """


_TEXT = click.Path(exists=True, dir_okay=False, path_type=Path)


@policies.command()
@click.argument("version")
@click.option("--zh", required=True, type=_TEXT, help="File with the Chinese text.")
@click.option("--en", required=True, type=_TEXT, help="File with the English text.")
@pass_cli
def publish(cli: Cli, /, *, version: str, zh: Path, en: Path) -> None:
    """Publish VERSION. Everybody who agreed to an earlier one is asked again."""
    now = cli.container.clock.now()
    texts = zh.read_text(encoding="utf-8"), en.read_text(encoding="utf-8")
    policy = cli.act(
        Act.POLICY_PUBLISHED,
        lambda session: members.publish_policy(
            session, version=version, text_zh=texts[0], text_en=texts[1], now=now
        ),
        on=f"policy {version}",
    )
    click.echo(f"policy {version} published, sha256 {policy.sha256}")


@click.group()
def placements() -> None:
    """Make join codes for touchpoints: till, parking, Wi-Fi, poster and the like.

    \b
    Example:
      saoma placements add till "Nanjing Road, till 3" --store SH-017 --svg till-3.svg
    """


@placements.command("add")
@click.argument("kind", type=click.Choice([kind.value for kind in PlacementKind]))
@click.argument("label")
@click.option("--brand", help="The brand that it belongs to.")
@click.option("--store", help="Store reference that stays with who joins here.")
@click.option("--guide", help="Guide reference that stays with who joins here.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="File for the QR picture.")
@pass_cli
def add_placement(cli: Cli, /, *, kind: str, label: str, svg: Path | None, **more: str | None) -> None:
    """Make a join code; print the link that its QR code holds, and draw the code into a file."""
    now = cli.container.clock.now()

    def work(session: Session) -> str:
        placement = members.create_placement(
            session,
            kind=PlacementKind(kind),
            label=label,
            brand_id=brand_id(session, more["brand"]),
            store_ref=more["store"],
            guide_ref=more["guide"],
            now=now,
        )
        return placement.key

    made = cli.act(Act.PLACEMENT_ADDED, work, on=lambda key: f"placement {key}", detail={"kind": kind})
    link = f"{cli.settings.public_url}/p/{made}"
    if svg is not None:
        svg.write_text(qr.svg(qr.text_matrix(link)), encoding="utf-8")
    click.echo(link)


@click.group()
def lists() -> None:
    """Keep the black and white lists.

    \b
    Examples:
      saoma lists put black phone 13800138000 --reason "fraud ring" --effect refuse --days 90
      saoma lists put black address 203.0.113.0/24 --reason "bottling plant" --effect refuse
      saoma lists put white person 382663566481377280 --reason "tester"
      saoma lists show
    """


@lists.command()
@click.argument("kind", type=click.Choice([kind.value for kind in ListKind]))
@click.argument("subject_kind", type=click.Choice([kind.value for kind in SubjectKind]))
@click.argument("subject")
@click.option("--reason", required=True, help="Why; it is kept.")
@click.option(
    "--effect",
    type=click.Choice([Level.ABNORMAL.value, Level.REFUSE.value]),
    default=Level.ABNORMAL.value,
    show_default=True,
    help="What a black entry leads to.",
)
@click.option("--days", type=click.IntRange(1, 3660), help="Ends by itself after this many days.")
@pass_cli
def put(cli: Cli, /, *, kind: str, subject_kind: str, subject: str, **more: Any) -> None:
    """Put SUBJECT (a person pe_…, a phone, an address, a batch number) on the KIND list."""
    now, actor = cli.container.clock.now(), cli.actor
    spelled = str(cli.id("pe", subject)) if subject.startswith("pe_") else subject
    ends: datetime | None = now + timedelta(days=more["days"]) if more["days"] else None
    entry = cli.act(
        Act.LIST_PUT,
        lambda session: risk.put_on_list(
            session,
            kind=ListKind(kind),
            subject_kind=SubjectKind(subject_kind),
            subject=spelled,
            reason=more["reason"],
            effect=Level(more["effect"]),
            expires_at=ends,
            now=now,
            actor=actor,
        ),
        on=lambda made: f"list entry {made}",
        detail={"list": kind, "about": subject_kind, "effect": more["effect"], "days": more["days"]},
    )
    click.echo(f"entry {entry}")


@lists.command()
@click.argument("entry", type=int)
@pass_cli
def remove(cli: Cli, /, *, entry: int) -> None:
    """Take ENTRY off its list."""
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.LIST_REMOVED,
        lambda session: risk.take_off_list(session, entry_id=entry, now=now, actor=actor),
        on=f"list entry {entry}",
    )
    click.echo("removed")


@lists.command("show")
@json_option
@pass_cli
def show_lists(cli: Cli, /, *, as_json: bool) -> None:
    """Show the living entries; phones and addresses are masked."""
    now = cli.container.clock.now()
    rows = [
        {
            "entry": entry.id,
            "list": entry.list.value,
            "what": entry.subject_kind.value,
            "subject": _masked(cli, entry),
            "effect": entry.effect.value,
            "until": entry.expires_at.date().isoformat() if entry.expires_at else "",
            "reason": entry.reason,
        }
        for entry in cli.read(lambda session: lists_of.entries(session, now=now))
    ]
    show(rows, as_json=as_json)


def _masked(cli: Cli, entry: lists_of.EntryView) -> str:
    if entry.subject_kind is SubjectKind.PERSON:
        return cli.public("pe", int(entry.subject))
    if entry.subject_kind is SubjectKind.BATCH:
        return entry.subject
    return f"{entry.subject[:5]}…{entry.subject[-2:]}"
