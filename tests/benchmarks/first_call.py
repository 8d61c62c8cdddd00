"""What is seen in a fresh process: imports, the first call, and the memory of a call.

Each figure is taken in a process of its own, in which modules are installed: Python's
bytecode of them is on disk. The first call counts everything from the function to its
first gradient, but no imports, which have a table of their own. Contestants take turns,
as they do in `timing`: a machine that changes speed between two processes had given one
contestant 1.3 and 1.9 times the same yardstick. Memory is what a call needs at most
beyond what was resident before it, when the code had been compiled for a tiny size.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.peers import CONTESTANTS, Contestant
from tests.benchmarks.workload import Workload, load_workloads

IMPORT = (
    "import time; start = time.perf_counter(); "
    "import {module}; print(time.perf_counter() - start)"
)

LONG = 5.0  # seconds; such a first call is not repeated
ROUNDS = 5


@dataclass(frozen=True)
class FirstCall:
    """Median seconds with an empty cache and with the cache that this left.

    Attributes:
        ratio: the median ratio of the former to the yardstick's in the same round.
    """

    cold: float
    cached: float
    ratio: float


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


def first_calls(
    workload: Workload, size: str, names: Sequence[str], yardstick: str
) -> dict[str, FirstCall]:
    """What each contestant's first call takes, medians over rounds.

    One that is slow takes part in the first round alone.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, pairs in taken.items():
            if not pairs or pairs[-1][0] < LONG:
                pairs.append(once_and_again(workload, size, name))
    base = [cold for cold, _ in taken[yardstick]]
    return {
        name: FirstCall(
            cold=median(cold for cold, _ in pairs),
            cached=median(cached for _, cached in pairs),
            ratio=median(cold / by for (cold, _), by in zip(pairs, base, strict=False)),
        )
        for name, pairs in taken.items()
    }


def once_and_again(workload: Workload, size: str, name: str) -> tuple[float, float]:
    """Seconds of a first call with an empty cache, and with the one that it left."""
    arguments = ["-m", __name__, workload.name, size, name]
    with tempfile.TemporaryDirectory() as cache:
        return in_fresh_process(arguments, cache), in_fresh_process(arguments, cache)


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
