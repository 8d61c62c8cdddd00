"""python -m tests.benchmarks [--quick] [--only TEXT] [--against A,B] [--json FILE]"""

import importlib

from tests.benchmarks.threads import use_one_thread

if __name__ == "__main__":
    use_one_thread()  # before anything imports NumPy
    importlib.import_module("tests.benchmarks.report").main()
