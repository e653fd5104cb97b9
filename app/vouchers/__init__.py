"""Codes bought elsewhere that are given away as prizes: phone credit, memberships, coupons (PAY-03 to 05)."""
