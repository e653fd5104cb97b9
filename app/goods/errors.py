"""Refusals of deliveries."""

from app.kernel.errors import Malformed, NotFound, Refused


class BadAddress(Refused):
    """Nothing could be sent there."""

    code = "bad_address"
    title = "The address is not complete"


class AddressFixed(Refused):
    """The parcel is being made: its address has been handed to whoever sends it."""

    code = "address_fixed"
    title = "The address cannot be changed any more"


class UnknownDelivery(NotFound):
    """Nobody has asked for this to be sent."""

    code = "unknown_delivery"
    title = "There is no such delivery"


class BadShipment(Malformed):
    """What was said about a parcel cannot be right."""

    code = "bad_shipment"
    title = "The parcel is not described"


class BadRedemptionCode(Malformed):
    """The code was not made here, or its minutes are over."""

    code = "bad_redemption_code"
    title = "This code is not good"
