"""`saoma keys`: making keys."""

import base64
import secrets

import click


@click.group()
def keys() -> None:
    """Make keys for SAOMA_MASTER_KEYS and SAOMA_CODE_KEY.

    \b
    Example:
      saoma keys new
    """


@keys.command()
def new() -> None:
    """Print a new key of 32 bytes in base64. Keep it where you keep your database backups' keys."""
    click.echo(base64.b64encode(secrets.token_bytes(32)).decode())
