"""Clients of the outside world, one folder per platform; each fills a Protocol that a room declares."""
