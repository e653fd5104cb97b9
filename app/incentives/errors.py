"""What the room refuses, each with a stable code."""

from app.kernel.errors import Malformed, NotFound


class InvalidStaffReward(Malformed):
    """A brand cannot reward store staff like this."""

    code = "invalid_staff_reward"


class NotStoreStaff(NotFound):
    """This person works in no store that we know of."""

    code = "not_store_staff"
