"""What counts as one caller's network address, for limits and for lists alike."""

from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_CUSTOMER = 56
_IPV4_NEIGHBOURS = 24


def customer_of(address_text: str) -> str | None:
    """Return the one spelling of whoever has an address; None for what is no address.

    An IPv4 address is one customer (or a carrier's whole NAT, which nobody can tell apart). An IPv6 customer
    has a /56 and takes a new address from it whenever they like, so the network is what counts. A server
    that listens on both protocols sees 203.0.113.7 as ::ffff:203.0.113.7: the same caller.
    """
    try:
        address = ip_address(address_text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _IPV6_CUSTOMER), strict=False))


def network_of(address_text: str) -> str | None:
    """Return the network that an address is in: an IPv4 /24, an IPv6 customer's /56; None for no address.

    Neighbours in it share an owner nearly always: an office, a plant, a carrier's gateway, a rented server.
    """
    customer = customer_of(address_text)
    if customer is None or "/" in customer:
        return customer
    return str(ip_network((customer, _IPV4_NEIGHBOURS), strict=False))
