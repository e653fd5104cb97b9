"""What happens to a code outside the draw: packaging, events of the supply chain, diversion."""
