"""What the organisation room needs from others: which region an Internet address is in."""

from typing import Protocol


class AddressRegions(Protocol):
    """Knows the region of a client's address, roughly (DRAW-03: WHERE works without GPS)."""

    def region(self, address: str) -> str | None:
        """Return the six-digit adcode of `address` (IPv4 or IPv6 text), or None when it is not known.

        Anything may come in, since proxies forward what clients say; what is no address has no region.
        """
