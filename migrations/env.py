"""How Alembic reaches the database: by the connection that the caller passes in."""

from alembic import context


def run() -> None:
    """Run the migrations on the connection in the configuration's attributes."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, transactional_ddl=False, target_metadata=None)
    context.run_migrations()


run()
