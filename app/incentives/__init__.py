"""Rewards for the staff of stores who scan the cases that their store's dealer received."""
