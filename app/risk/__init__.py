"""Risk: whom and what to treat with care, always with a reason that can be shown."""
