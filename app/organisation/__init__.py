"""The enterprise: its brands, its mini-programs, and where in the country things are."""
