"""What a user waits for: imports, and the first call in a fresh process.

Each figure is taken in a process of its own. The first call counts everything from the
function to its first gradient, but no imports.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from tests.benchmarks.peers import CONTESTANTS, Contestant
from tests.benchmarks.workload import Workload, load_workloads

IMPORT = (
    "import time; start = time.perf_counter(); "
    "import {module}; print(time.perf_counter() - start)"
)


def in_fresh_process(arguments: list[str], cache: str) -> float:
    """The seconds that a Python process prints last, its caches all in one folder."""
    caches = ("TRACEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    environment = {**os.environ, **dict.fromkeys(caches, cache)}
    environment["PYTENSOR_FLAGS"] = f"base_compiledir={cache}/pytensor"
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.splitlines()[-1])


def first_call(
    workload: Workload, size: str, contestant: Contestant
) -> dict[str, float]:
    """Seconds of a first call, with an empty cache and with the one that it left."""
    arguments = ["-m", __name__, workload.name, size, contestant.name]
    with tempfile.TemporaryDirectory() as cache:
        states = ("cold", "warm cache")
        return {state: in_fresh_process(arguments, cache) for state in states}


def import_time(module: str, repeats: int = 3) -> float:
    """Median seconds of an import, once the files have been read before."""
    arguments = ["-c", IMPORT.format(module=module)]
    with tempfile.TemporaryDirectory() as cache:
        in_fresh_process(arguments, cache)
        return median(in_fresh_process(arguments, cache) for _ in range(repeats))


def measure(name: str, size: str, who: str) -> float:
    """Prepare and call once, in this process."""
    workload = load_workloads()[name]
    inputs = workload.make_inputs(workload.sizes[size], 0)
    contestant = next(c for c in CONTESTANTS if c.name == who)
    for module in (contestant.module, "tests.benchmarks.maths"):
        importlib.import_module(module)
    start = time.perf_counter()
    contestant.prepare(workload, inputs)()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
