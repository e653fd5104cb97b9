"""Telling a unique key's refusal from every other one."""

from sqlalchemy.exc import IntegrityError

_MYSQL_DUPLICATE = 1062


def is_duplicate(error: Exception) -> bool:
    """Tell whether `error` is a unique key speaking, not a CHECK, a foreign key or something else."""
    if not isinstance(error, IntegrityError) or error.orig is None:
        return False
    return error.orig.args[0] == _MYSQL_DUPLICATE or "UNIQUE constraint failed" in str(error.orig)
