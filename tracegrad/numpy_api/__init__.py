"""NumPy's functions as compositions of primitives, on tracers and plain arrays alike.

Each module states a part of NumPy and ends with ``NUMPY``, its NumPy functions with
their implementations, and ``METHODS``, those that are array methods too. ``table``
joins them and is what interpreters look functions up in. A keyword that isn't
implemented is refused by name, never ignored.
"""
