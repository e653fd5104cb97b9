"""What a use case answers when it will not do what was asked.

Every refusal is a named class with an HTTP status and a stable code; one handler at the edge renders all
of them as application/problem+json. `detail` says what is wrong, where, and what to do; it never repeats
untrusted input.
"""

from typing import ClassVar


class DomainError(Exception):
    """A refusal that the caller can act on. Subclass it; the code is part of the API."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "The request cannot be carried out"

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class Malformed(DomainError):
    """The input cannot be understood: 422, and only for that."""

    status = 422
    code = "malformed"
    title = "The input cannot be understood"


class Unauthenticated(DomainError):
    """Nobody is signed in, or the session has ended."""

    status = 401
    code = "unauthenticated"
    title = "Sign in first"


class Forbidden(DomainError):
    """The caller may not do this."""

    status = 403
    code = "forbidden"
    title = "This is not allowed"


class NotFound(DomainError):
    """There is no such thing, or it is not the caller's."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(DomainError):
    """The state of things does not allow it."""

    status = 409
    code = "conflict"
    title = "This does not fit the present state"


class Refused(Conflict):
    """A rule of the business says no."""

    code = "refused"
    title = "Refused"


class TooMany(DomainError):
    """Too often; later it may work."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"


class Unavailable(DomainError):
    """Somebody whom we need does not answer; later it may work."""

    status = 503
    code = "unavailable"
    title = "Not available at the moment"
