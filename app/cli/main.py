"""The root of the command."""

import click

from app.cli.accounts import accounts, login, logout, whoami
from app.cli.alerts import alerts
from app.cli.approvals import approvals
from app.cli.audit import audit
from app.cli.awards import awards
from app.cli.backups import backup, restore
from app.cli.campaigns import campaigns, draws
from app.cli.codes import batches, packs
from app.cli.context import OneLineGroup
from app.cli.database import db
from app.cli.doctor import doctor
from app.cli.foreign import import_list
from app.cli.goods import goods
from app.cli.keys import keys
from app.cli.marketcode import marketcode
from app.cli.members import lists, placements, policies
from app.cli.outbox import outbox
from app.cli.payers import payers
from app.cli.payouts import payouts
from app.cli.persons import persons
from app.cli.places import apps, brands, dealers, products, stores
from app.cli.reconcile import reconcile
from app.cli.risk import risk
from app.cli.staff import staff
from app.cli.tax import tax
from app.cli.trace import trace
from app.cli.vouchers import vouchers


@click.group(
    cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
def saoma() -> None:
    """Run a Saoma installation from the shell.

    Settings come from the environment (docs/settings.md). `saoma COMMAND --help` shows examples.
    """


_GROUPS = (
    accounts,
    alerts,
    approvals,
    apps,
    audit,
    awards,
    backup,
    batches,
    brands,
    campaigns,
    db,
    dealers,
    doctor,
    draws,
    goods,
    keys,
    lists,
    login,
    logout,
    marketcode,
    outbox,
    packs,
    payers,
    payouts,
    persons,
    placements,
    policies,
    products,
    reconcile,
    restore,
    risk,
    staff,
    stores,
    tax,
    trace,
    vouchers,
    whoami,
)

batches.add_command(import_list)
for group in _GROUPS:
    saoma.add_command(group)


def run() -> None:
    """Entry point of `bin/saoma`."""
    saoma(prog_name="saoma")
