"""Passwords: what is accepted, and Argon2id (RFC 9106, the profile for little memory) for keeping them."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from app.access.errors import WeakPassword

_SHORTEST = 12
_LONGEST = 128  # Argon2 takes more, but nobody types it
_FEWEST_DIFFERENT = 5

_hasher = PasswordHasher()


@cache
def _nobody() -> str:
    """Return what a made-up name is compared with, so that it takes as long as a real one."""
    return _hasher.hash("nobody has this password")


def require_strong(password: str, *, login: str) -> None:
    """Raise WeakPassword unless it has 12 to 128 characters, 5 of them different, and not the login in it."""
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise WeakPassword(f"a password has {_SHORTEST} to {_LONGEST} characters; a sentence is a good one")
    if len(set(password)) < _FEWEST_DIFFERENT:
        raise WeakPassword(f"a password has at least {_FEWEST_DIFFERENT} different characters")
    if login in password.lower():
        raise WeakPassword("a password does not contain the login name")


def hash_password(password: str) -> str:
    """Return the salted hash of `password`; it names its own parameters."""
    return _hasher.hash(password)


def fits(password: str, hashed: str | None) -> bool:
    """Tell whether `password` has the hash `hashed`; None takes as long and says no."""
    try:
        _hasher.verify(hashed or _nobody(), password)
    except VerifyMismatchError:
        return False
    return hashed is not None


def is_outdated(hashed: str) -> bool:
    """Tell whether `hashed` was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(hashed)
