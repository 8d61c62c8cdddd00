"""Paired timing: contestants take turns in one process, ratios are taken per round.

A machine changes speed while it measures; what ran in the same round met the same
speed. So a contestant's figure is the median, over rounds, of its time divided by the
yardstick's time in that round.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

Call = Callable[[], Any]
BATCH_SECONDS = 1e-3
LEAST_ROUNDS, MOST_ROUNDS = 5, 500
SLOW_SECONDS, SLOW_ROUNDS = 0.3, 2


@dataclass(frozen=True)
class Timing:
    """Median seconds of a call, and median ratio to the yardstick's."""

    seconds: float
    ratio: float


def run(call: Call, times: int) -> float:
    """Seconds per call, over a number of calls."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def batch_size(call: Call) -> int:
    """How many calls fill a batch; none if one call already takes very long."""
    call()
    first = run(call, 1)
    if first > SLOW_SECONDS:
        return 0
    return max(1, int(BATCH_SECONDS / max(run(call, 3), 1e-9)))


def paired(
    calls: Mapping[str, Call], yardstick: str, budget: float
) -> dict[str, Timing]:
    """Time calls in turns, for about `budget` seconds.

    Those that are slow, beside which noise is nothing, take part in the first rounds.
    """
    batches = {name: batch_size(call) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + budget
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        for name, call in calls.items():
            if batches[name] or done < SLOW_ROUNDS:
                seconds[name].append(run(call, batches[name] or 1))
    base = np.array(seconds[yardstick])
    return {
        name: Timing(
            median(taken), float(np.median(np.array(taken) / base[: len(taken)]))
        )
        for name, taken in seconds.items()
    }
