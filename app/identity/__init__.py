"""Identity: one person, many identifiers; merged and unmerged without losing anything."""
