"""`saoma payers`: the merchant numbers that pay."""

from pathlib import Path

import click
from sqlalchemy.orm import Session

from app import approving
from app.access.approvals import Proposal
from app.access.roles import Act
from app.cli.approvals import facts_of, told
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id, secret_from
from app.kernel.fen import format_yuan, parse_yuan
from app.organisation import queries as organisation
from app.payouts import operations, queries
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.operations import PayerDetails
from app.payouts.states import PayerState


@click.group()
def payers() -> None:
    """Set up merchant numbers; pause them; let them go on after a top-up.

    \b
    Examples:
      APIV3=… saoma payers add 1900000001 --name "Head office" --serial 5B7C… \\
          --private-key apiclient_key.pem --apiv3-env APIV3 --public-key-id PUB_KEY_ID_… \\
          --public-key wechatpay.pem --app wx12… --max 200 \\
          --report 活动名称=扫码有礼 --report 奖励说明=扫码红包
      APIV3=… APIV2=… saoma payers add 1900000002 --name "Old number" --method red_packet … \
          --apiv2-env APIV2 --certificate apiclient_cert.pem --report send_name=茶铺 \
          --report wishing=恭喜发财 --report act_name=扫码有礼 --report client_ip=203.0.113.7
      … saoma payers add 1900000003 --name "Service account" --method service_red_packet --app wxabc… …
      WECOM=… … saoma payers add 1900000004 --name "WeCom" --method wecom_red_packet --app wwabc… \
          --wecom-env WECOM --report sender_name=茶铺 --report wishing=恭喜发财 --report act_name=扫码有礼 …
      saoma payers pause 1900000001 --reason "audit"
      saoma payers resume 1900000001 --reason "audit is over"
    """


@payers.command()
@click.argument("mchid")
@click.option("--name", required=True, help="What operators call it.")
@click.option("--serial", required=True, help="Serial number of the merchant certificate.")
@click.option("--private-key", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apiv3-env", required=True, help="Environment variable that holds the APIv3 key.")
@click.option("--public-key-id", required=True, help="Id of the WeChat Pay public key (PUB_KEY_ID_…).")
@click.option("--public-key", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--app",
    "appids",
    multiple=True,
    required=True,
    help="appid bound to it; several times. The one service account or corp, where that sends.",
)
@click.option("--max", "most", required=True, help="Highest single transfer of the product, in yuan.")
@click.option("--scene", help="Transfer scene, 1000 unless told; of red packets PRODUCT_…, none unless told.")
@click.option("--report", "reports", multiple=True, required=True, help="TYPE=CONTENT of the scene; all.")
@click.option(
    "--method",
    type=click.Choice([method.value for method in PayMethod]),
    default=PayMethod.TRANSFER.value,
    show_default=True,
    help="The red packets are for merchants who hold them; they are closed to new ones.",
)
@click.option("--apiv2-env", help="Environment variable that holds the APIv2 key, for red packets.")
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="apiclient_cert.pem, for red packets.",
)
@click.option("--wecom-env", help="Environment variable that holds the secret of WeCom's 企业支付 app.")
@click.option("--style", help="CONFIRM_PAGE or RED_PACKET.")
@click.option("--brand", help="The brand that pays; without it the enterprise.")
@pass_cli
def add(cli: Cli, /, *, mchid: str, name: str, serial: str, **more: object) -> None:
    """Add the payer MCHID, or bring it to these details."""
    method = PayMethod(str(more["method"]))
    packets = method.is_packet
    settings, now, actor = cli.settings, cli.container.clock.now(), cli.actor
    reports = [str(item).partition("=") for item in more["reports"]]  # type: ignore[attr-defined]
    try:
        most_fen = parse_yuan(str(more["most"]))
    except ValueError as error:
        raise click.ClickException(str(error)) from None

    def work(session: Session) -> int:
        appids: tuple[str, ...] = more["appids"]  # type: ignore[assignment]
        details = PayerDetails(
            name=name,
            mchid=mchid,
            serial_no=serial,
            private_key=Path(str(more["private_key"])).read_text(),
            apiv3_key=secret_from(str(more["apiv3_env"])),
            public_key_id=str(more["public_key_id"]),
            public_key=Path(str(more["public_key"])).read_text(),
            app_ids=tuple(organisation.app_by_appid(session, appid=appid).id for appid in appids),
            product_max_fen=most_fen,
            report_infos=tuple(ReportInfo(kind, content) for kind, _, content in reports),
            scene_id=str(more["scene"] or ("" if packets else "1000")),
            recv_style=str(more["style"]) if more["style"] else None,
            # WeChat Pay calls nobody back about red packets.
            notify_url=None if packets else f"{settings.public_url}/miniprogram/v1/callbacks/pay/{mchid}",
            method=method,
            apiv2_key=secret_from(str(more["apiv2_env"])) if more["apiv2_env"] else None,
            client_certificate=Path(str(more["certificate"])).read_text() if more["certificate"] else None,
            workwx_secret=secret_from(str(more["wecom_env"])) if more["wecom_env"] else None,
            brand_id=brand_id(session, str(more["brand"]) if more["brand"] else None),
        )
        return operations.save_payer(session, payer=details, now=now, actor=actor)

    facts = {"max_fen": most_fen, "method": method.value, "serial_no": serial, "apps": list(more["appids"])}  # type: ignore[call-overload]
    cli.act(Act.PAYER_SAVED, work, on=f"payer {mchid}", detail=facts)
    click.echo(f"payer {mchid} saved; `saoma doctor` tries it")


@payers.command("list")
@json_option
@pass_cli
def list_payers(cli: Cli, /, *, as_json: bool) -> None:
    """Show the payers and whether they pay."""
    rows = [
        {
            "mchid": payer.mchid,
            "name": payer.name,
            "state": payer.state.value,
            "max_yuan": format_yuan(payer.product_max_fen),
            "scene": payer.scene_id,
            "method": payer.method.value,
        }
        for payer in cli.read(queries.payers)
    ]
    show(rows, as_json=as_json)


@payers.command()
@click.argument("mchid")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def pause(cli: Cli, /, *, mchid: str, reason: str) -> None:
    """Open no more bills with payer MCHID until `resume`; nothing is lost."""
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.PAYER_PAUSED,
        lambda session: operations.pause(
            session, payer_id=queries.payer_of(session, mchid).id, reason=reason, now=now, actor=actor
        ),
        on=f"payer {mchid}",
    )
    click.echo("paused")


@payers.command()
@click.argument("mchid")
@click.option("--reason", help="Why; needed where somebody paused it.")
@pass_cli
def resume(cli: Cli, /, *, mchid: str, reason: str | None) -> None:
    """Let payer MCHID pay again after a top-up, or propose it where somebody paused it."""
    now, actor = cli.container.clock.now(), cli.actor
    subject = f"payer {mchid}"

    def work(session: Session) -> tuple[int, Proposal | None]:
        payer = queries.payer_of(session, mchid)
        if payer.state is not PayerState.PAUSED_OPERATOR:
            return operations.resume(session, payer_id=payer.id, now=now, actor=actor), None
        return 0, approving.propose_release(
            session, payer_id=payer.id, subject=subject, reason=reason, now=now, actor=actor
        )

    woken, proposal = cli.act(Act.PAYER_RESUMED, work, on=subject, detail=lambda done: facts_of(cli, done[1]))
    if proposal is None:
        click.echo(f"paying again; {woken} waiting bills are due now")
    else:
        click.echo(told(cli, proposal))
