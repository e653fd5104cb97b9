"""What is sold: products, each of one brand."""
