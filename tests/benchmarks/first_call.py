"""What is seen in a fresh process: imports, the first call, and the memory of a call.

Each figure is taken in a process of its own, in which modules are installed: Python's
bytecode of them is on disk. The first call counts everything from the function to its
first gradient, but no imports, which have a table of their own. It is the best of a few
processes: what else runs on a machine only adds. Memory is what a call needs at most
beyond what was resident before it, when the code had been compiled for a tiny size.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.peers import CONTESTANTS, Contestant
from tests.benchmarks.workload import Workload, load_workloads

IMPORT = (
    "import time; start = time.perf_counter(); "
    "import {module}; print(time.perf_counter() - start)"
)

LONG = 5.0  # seconds; such a first call is not repeated


def in_fresh_process(arguments: list[str], cache: str) -> float:
    """The seconds that a Python process prints last, its caches all in one folder."""
    caches = ("TRACEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    environment = {**os.environ, **dict.fromkeys(caches, cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
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
    workload: Workload, size: str, contestant: Contestant, repeats: int = 3
) -> dict[str, float]:
    """Seconds of a first call, with an empty cache and with the one that it left."""
    arguments = ["-m", __name__, workload.name, size, contestant.name]
    found: dict[str, list[float]] = {"cold": [], "warm cache": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            for seconds in found.values():
                seconds.append(in_fresh_process(arguments, cache))
            if found["cold"][-1] > LONG:
                break
    return {state: min(seconds) for state, seconds in found.items()}


def import_time(module: str, repeats: int = 3) -> float:
    """Median seconds of an import, once the files have been read before."""
    arguments = ["-c", IMPORT.format(module=module)]
    with tempfile.TemporaryDirectory() as cache:
        in_fresh_process(arguments, cache)
        return median(in_fresh_process(arguments, cache) for _ in range(repeats))


def peak_memory(workload: Workload, size: str, contestant: Contestant) -> float:
    """Bytes that a call needs at most, its results among them."""
    arguments = ["-m", __name__, workload.name, size, contestant.name, "memory"]
    with tempfile.TemporaryDirectory() as cache:
        return in_fresh_process(arguments, cache)


def resident(key: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return next(
        1024 * int(line.split()[1])
        for line in status.splitlines()
        if line.startswith(key)
    )


def measure_memory(workload: Workload, size: str, contestant: Contestant) -> float:
    """Call with a tiny size, which compiles, then once with the size."""
    tiny = workload.make_inputs(workload.tiny, 0)
    inputs = workload.make_inputs(workload.sizes[size], 0)
    contestant.prepare(workload, tiny)()
    call = contestant.prepare(workload, inputs)
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark is now
    before = resident("VmRSS")
    result = call()
    after = resident("VmHWM")
    del result
    return after - before


def measure(name: str, size: str, who: str, what: str = "seconds") -> float:
    """Prepare and call once, in this process."""
    workload = load_workloads()[name]
    contestant = next(c for c in CONTESTANTS if c.name == who)
    for module in (contestant.module, "tests.benchmarks.maths"):
        importlib.import_module(module)
    if what == "memory":
        return measure_memory(workload, size, contestant)
    inputs = workload.make_inputs(workload.sizes[size], 0)
    start = time.perf_counter()
    contestant.prepare(workload, inputs)()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
