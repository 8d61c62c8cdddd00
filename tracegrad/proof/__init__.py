"""Proof: gradients checked against SymPy, against many digits, and numerically."""
