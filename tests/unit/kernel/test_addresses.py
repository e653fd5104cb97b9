"""One caller, one spelling."""

import pytest

from app.kernel.addresses import customer_of


@pytest.mark.parametrize(
    ("text", "customer"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1::1", "2001:db8::/56"),
        ("2001:DB8:0:FF:FFFF:FFFF:FFFF:FFFF", "2001:db8::/56"),
        ("2001:db8:0:100::1", "2001:db8:0:100::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", None),
        ("unix:", None),
        ("localhost", None),
        ("203.0.113.7/32", None),
    ],
)
def test_an_ipv6_customer_is_a_network(text: str, customer: str | None) -> None:
    assert customer_of(text) == customer
