"""Campaigns: published rules, and the draws that follow them to the letter."""
