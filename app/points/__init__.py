"""Points: granted in lots that know who bears their cost and when they end."""
