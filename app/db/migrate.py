"""Bringing a database to the present schema, and telling whether it is there.

Only the first of the two needs Alembic and the migrations themselves; a web worker that starts does neither,
and is ready a tenth sooner.
"""

from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text

from app.db.engine import Database

_FOLDER = Path(__file__).resolve().parents[2] / "migrations"


@cache
def head() -> str:
    """Return the number of the newest migration; they are one line, and each file begins with its number."""
    return max(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py"))


def current(db: Database) -> str | None:
    """Return the number of the migration that `db` stands at; None for an empty database."""
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        number: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return number


def upgrade(db: Database, *, to: str = "head") -> None:
    """Run the migrations that `db` lacks; each is one re-runnable step."""
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with db.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()
