"""Who has joined: members, their consents, where they came from, and the codes that bring them in."""
