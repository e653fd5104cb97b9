"""Access: who may do what, who did what, and what takes two."""
