"""Graph to graph: derivatives, and what cleans up after them."""
