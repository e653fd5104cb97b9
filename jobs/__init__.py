"""The clock of the house: one process that knocks when something is due."""
