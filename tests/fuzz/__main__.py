"""``python -m tests.fuzz loops 0 1000``: check random programs, shrink what fails.

Options: ``--numba 10`` compiles every tenth program by Numba (default 20; 0: none, 1:
all, which takes about 2 s for each of ``nests``); of the others, ``--c 1`` compiles
each by the C compiler (``CC=tcc`` does so fastest). The rest run their printed kernels
as plain Python.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from functools import partial
from multiprocessing import get_context

from tests.fuzz.programs import KINDS, outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--numba", type=int, default=20)
    parser.add_argument("--c", type=int, default=1)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    start = told = time.time()
    seeds = range(options.first, options.last)
    one = partial(outcome, options.kind, numba=options.numba, c=options.c)
    # What is compiled stays in memory, so a process doesn't live long.
    with get_context("spawn").Pool(1, maxtasksperchild=200) as pool:
        found = pool.imap(one, seeds)
        for seed, (category, text, by) in zip(seeds, found, strict=True):
            counts[f"{category} by {by}"] += 1
            if category == "unsuitable":
                reasons[text] += 1
            elif category != "agreed":
                print(f"{seed}: {category}: {text.splitlines()[0][:160]}", flush=True)
            if time.time() - told > 30:
                told = time.time()
                print(f"# {seed + 1}: {dict(counts)}, {told - start:.0f} s", flush=True)
    print(dict(counts))
    for text, times in reasons.most_common(30):
        print(f"{times:6} {text}")
    return int(any(k.startswith(("disagreement", "error")) for k in counts))


if __name__ == "__main__":
    sys.exit(main())
