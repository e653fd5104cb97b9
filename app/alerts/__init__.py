"""What an operator must look at: one open line per trouble, counted, until it is settled."""
