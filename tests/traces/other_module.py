"""A module whose functions and state traced functions use."""

import numpy as np

RATE = 0.25
WEIGHTS = np.array([1.0, -2.0, 3.0])
_HIDDEN = 2.0


def scaled(x, factor=2.0):
    return _HIDDEN * factor * x
