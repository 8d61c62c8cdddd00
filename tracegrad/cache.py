"""What is kept between processes: compiled kernels, and how to see and remove them.

They lie in the user's cache directory, or where ``TRACEGRAD_CACHE_DIR`` says. Loading
an entry runs it, so a directory that others can write is refused; without a usable one
everything works, nothing is kept, and one ``CacheWarning`` says so.

>>> info().kernels >= 0
True
"""

from codegen.cache import CacheWarning, Info, clear, info

__all__ = ["CacheWarning", "Info", "clear", "info"]
