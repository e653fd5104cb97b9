"""A lot of points tells itself how it came; the table of entries, which said it again, goes."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_index, drop_table

revision = "0018"
down_revision = "0017"

_TOLD = ("manner", "ref_id", "transfer_key")
_LOTS = sa.table("points_lots", sa.column("id"), *map(sa.column, _TOLD))
_ENTRIES = sa.table("points_entries", sa.column("lot_id"), *map(sa.column, _TOLD))


def _told(name: str) -> sa.ScalarSelect[object]:
    return sa.select(_ENTRIES.c[name]).where(_ENTRIES.c.lot_id == _LOTS.c.id).scalar_subquery()


def upgrade() -> None:
    """Move what entries say of a grant to its lot."""
    add_column("points_lots", sa.Column("manner", types.exact(48), nullable=False, server_default=""))
    add_column(
        "points_lots",
        sa.Column("ref_id", types.bigint(), autoincrement=False, nullable=False, server_default="0"),
    )
    add_column("points_lots", sa.Column("transfer_key", types.exact(96), nullable=False, server_default=""))
    create_index("ix_points_lots_person_id_id", "points_lots", ["person_id", "id"])
    if sa.inspect(op.get_bind()).has_table("points_entries"):
        op.execute(
            _LOTS.update()
            .where(_LOTS.c.id.in_(sa.select(_ENTRIES.c.lot_id)))
            .values({name: _told(name) for name in _TOLD})
        )
        drop_table("points_entries")
