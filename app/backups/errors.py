"""Refusals of backups."""

from app.kernel.errors import Refused, Unavailable


class BadBackup(Refused):
    """The file is no backup of this installation, or no longer what was written."""

    code = "bad_backup"
    title = "This backup cannot be used"


class FileExists(Refused):
    """There is a file of that name already."""

    code = "file_exists"
    title = "The file exists"


class NothingToBackUp(Refused):
    """The database has no schema."""

    code = "nothing_to_back_up"
    title = "There is nothing to back up"


class DatabaseNotEmpty(Refused):
    """The database to restore into holds tables."""

    code = "database_not_empty"
    title = "The database is not empty"


class RestoredWrong(Refused):
    """What came out is not what went in; the database must not be used."""

    code = "restored_wrong"
    title = "The restored database is not right"


class BackupFailed(Unavailable):
    """The database or its dump program would not go on."""

    code = "backup_failed"
    title = "The database could not be copied"
