"""Refusals of this surface."""

from app.kernel.errors import Refused


class PhoneUnusable(Refused):
    """The number stands for nobody (a test number, a switchboard): the walk goes on without it."""

    code = "phone_unusable"
    title = "This phone number cannot be used"
