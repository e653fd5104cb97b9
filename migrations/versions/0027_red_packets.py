"""How a payer pays: by merchant transfer, or by the red packets that some merchants still hold."""

import sqlalchemy as sa

from migrations import types
from migrations.steps import add_choice, add_column

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the method and what red packets need."""
    add_choice("payers", "method", "ck_payers_method", ("transfer", "red_packet"))
    add_column("payers", sa.Column("apiv2_key", sa.LargeBinary(), nullable=True))
    add_column("payers", sa.Column("client_certificate", types.long_text(), nullable=True))
