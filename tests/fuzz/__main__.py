"""``python -m tests.fuzz loops 0 1000``: check random programs, shrink what fails.

Options: ``--numba 10`` compiles every tenth program (default 20; 0: none, 1: all); the
others run their printed kernels as plain Python, which is ten times as fast.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.fuzz.programs import KINDS, outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--numba", type=int, default=20)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    start = time.time()
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=100
    ) as pool:
        seeds = range(options.first, options.last)
        found = pool.map(
            outcome,
            *zip(*((options.kind, s, options.numba) for s in seeds), strict=True),
        )
        for seed, (category, text) in zip(seeds, found, strict=True):
            counts[category] += 1
            if category == "unsuitable":
                reasons[text] += 1
            elif category != "agreed":
                print(f"{seed}: {category}: {text.splitlines()[0][:160]}", flush=True)
            if (seed + 1) % 100 == 0:
                print(
                    f"# {seed + 1}: {dict(counts)}, {time.time() - start:.0f} s",
                    flush=True,
                )
    print(dict(counts))
    for text, times in reasons.most_common(30):
        print(f"{times:6} {text}")
    return int(counts["disagreement"] + counts["error"] > 0)


if __name__ == "__main__":
    sys.exit(main())
