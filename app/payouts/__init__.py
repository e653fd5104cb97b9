"""Payouts: money for an award, one bill after another, never two at once."""
