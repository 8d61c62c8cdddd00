"""The commands of ``python -m tracegrad``, one module each."""
