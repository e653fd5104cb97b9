"""Backups: one file that holds a whole database, and the way back (SEC-03)."""
