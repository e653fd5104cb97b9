"""Goods that were won: where to send them, what was sent, what was handed over in a store (PAY-06)."""
