"""Tax on prizes: what is owed for each award, withheld from whom, asked of whom, reported when."""
