"""Codes on products: a code is a number that can be recomputed, not a row (architecture section 1)."""
