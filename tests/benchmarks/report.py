"""The tables that `python -m tests.benchmarks` prints."""

import argparse
import json
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.first_call import (
    FirstCall,
    first_calls,
    import_time,
    peak_memory,
)
from tests.benchmarks.peers import (
    CONTESTANTS,
    HAND,
    OURS,
    Contestant,
    why_not,
)
from tests.benchmarks.table import duration, ratio, table
from tests.benchmarks.timing import paired
from tests.benchmarks.workload import Workload, load_workloads


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="one size, short runs")
    parser.add_argument("--only", metavar="TEXT", help="workloads whose name has this")
    parser.add_argument("--against", metavar="A,B", help="contestants beside hand")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write figures here")
    parser.add_argument("--seconds", type=float, help="for each workload and size")
    parser.add_argument(
        "--skip",
        default="",
        help="any of run, spellings, first, memory, import, separated by commas",
    )
    return parser.parse_args()


def disagreement(workload: Workload, inputs: tuple, calls: dict) -> dict[str, float]:
    """Each contestant's largest error against the gradient by hand, relative."""
    by_name = {contestant.name: contestant for contestant in CONTESTANTS}
    value, grads = HAND.result(calls[HAND.name])
    errors = {}
    for name, call in calls.items():
        other, other_grads = by_name[name].result(call)
        error = abs(other - value) / abs(value)
        errors[name] = max(error, distance(other_grads, grads))
    return errors


def distance(grads: Any, expected: Any) -> float:
    """The largest error of gradients, relative to the largest element."""
    return max(
        float(np.max(np.abs(np.ravel(a) - np.ravel(b))) / np.max(np.abs(b)))
        for a, b in zip(grads, expected, strict=True)
    )


def measure(
    workload: Workload, size: str, entrants: list[Contestant], seconds: float
) -> dict[str, dict[str, float]]:
    """Prepare, check and time the contestants that can run a workload."""
    inputs = workload.make_inputs(workload.sizes[size], 0)
    calls = {}
    for contestant in entrants:
        if reason := why_not(contestant, workload, size):
            print(f"  {contestant.name}: {reason}", file=sys.stderr)
            continue
        calls[contestant.name] = contestant.prepare(workload, inputs)
    errors = disagreement(workload, inputs, calls)
    timings = paired(calls, HAND.name, seconds)
    return {
        name: {
            "seconds": timing.seconds,
            "ratio": timing.ratio,
            "error": errors[name],
            "agrees": errors[name] <= workload.rtol,
        }
        for name, timing in timings.items()
    }


def run_table(selected, entrants, quick, seconds) -> dict:
    figures: dict = {}
    rows = []
    for workload in selected:
        for size in [workload.quick] if quick else workload.sizes:
            print(f"{workload.name}, {size} …", file=sys.stderr)
            row = measure(workload, size, entrants, seconds)
            figures.setdefault(workload.name, {})[size] = row
            cells = []
            for contestant in entrants:
                cell = row.get(contestant.name)
                if cell is None:
                    cells.append("–")
                elif contestant is HAND:
                    cells.append(duration(cell["seconds"]))
                else:
                    wrong = "" if cell["agrees"] else f" WRONG ({cell['error']:.0e})"
                    cells.append(ratio(cell["ratio"]) + wrong)
            rows.append([workload.name, size, *cells])
    means = [geometric_mean(figures, contestant.name) for contestant in entrants]
    rows.append(["geometric mean", "", *means])
    head = ["workload", "size", *(contestant.name for contestant in entrants)]
    title = "Value and gradient; the others as multiples of the time by hand"
    print("\n" + table(title, head, rows) + "\n")
    return figures


def geometric_mean(figures: dict, name: str) -> str:
    """Of a contestant's ratios, over the workloads and sizes that it runs."""
    rows = [row for sizes in figures.values() for row in sizes.values()]
    ratios = [row[name]["ratio"] for row in rows if name in row]
    return ratio(float(np.exp(np.mean(np.log(ratios))))) if ratios else "–"


def spellings_table(selected: list[Workload], seconds: float) -> dict:
    """The same models written in other ways, all by tracegrad."""
    figures: dict = {}
    rows = []
    for workload in selected:
        if not workload.spellings:
            continue
        print(f"{workload.name}, spellings …", file=sys.stderr)
        inputs = workload.make_inputs(workload.sizes[workload.quick], 0)
        ways = {"as above": workload, **respelt(workload)}
        calls = {HAND.name: HAND.prepare(workload, inputs)}
        calls |= {name: OURS.prepare(way, inputs) for name, way in ways.items()}
        expected = HAND.result(calls[HAND.name])[1]
        timings = paired(calls, HAND.name, seconds)
        for name in ways:
            error = distance(OURS.result(calls[name])[1], expected)
            found = timings[name]
            figures.setdefault(workload.name, {})[name] = {
                "seconds": found.seconds,
                "ratio": found.ratio,
                "error": error,
            }
            wrong = "" if error <= workload.rtol else f" WRONG ({error:.0e})"
            cells = [duration(found.seconds), ratio(found.ratio) + wrong]
            rows.append([workload.name, name, *cells])
    head = ["workload", "written with", "time", "by hand = 1"]
    print("\n" + table("The same models, written otherwise", head, rows) + "\n")
    return figures


def respelt(workload: Workload) -> dict[str, Workload]:
    """The workload once for each other way to write it."""
    return {
        name: replace(workload, objective=objective, own={})
        for name, objective in workload.spellings.items()
    }


def memory_table(selected: list[Workload]) -> dict:
    """What a call of the largest size needs beyond its arguments."""
    figures: dict = {}
    rows = []
    for workload in selected:
        *_, size = workload.sizes
        found = {c.name: peak_memory(workload, size, c) for c in (HAND, OURS)}
        figures[workload.name] = found
        cells = [f"{taken / 2**20:.1f}" for taken in found.values()]
        rows.append([workload.name, size, *cells])
    head = ["workload", "size", HAND.name, OURS.name]
    print("\n" + table("Peak memory of a call, MiB", head, rows) + "\n")
    return figures


def first_call_table(selected, entrants) -> dict:
    figures: dict = {}
    rows = []
    for workload in selected:
        print(f"{workload.name}, first call …", file=sys.stderr)
        size = workload.quick
        names = [c.name for c in entrants if not why_not(c, workload, size)]
        taken = first_calls(workload, size, names, HAND.name)
        figures[workload.name] = {name: asdict(found) for name, found in taken.items()}
        cells = [first_call_cell(taken.get(c.name), c is HAND) for c in entrants]
        rows.append([workload.name, *cells])
    head = ["workload", *(contestant.name for contestant in entrants)]
    title = (
        "First call in a fresh process, imports apart, seconds: empty cache / the "
        "cache it left (empty cache, by hand = 1)"
    )
    print("\n" + table(title, head, rows) + "\n")
    return figures


def first_call_cell(taken: FirstCall | None, is_yardstick: bool) -> str:
    if taken is None:
        return "–"
    cell = f"{taken.cold:.2f} / {taken.cached:.2f}"
    return cell if is_yardstick else f"{cell} ({ratio(taken.ratio)})"


def import_table(entrants: list[Contestant]) -> dict[str, float]:
    installed = (entrant.module for entrant in entrants if entrant.installed)
    modules = dict.fromkeys(["numpy", *installed])
    figures = {module: import_time(module) for module in modules}
    rows = [[name, duration(seconds)] for name, seconds in figures.items()]
    print("\n" + table("Import", ["module", "time"], rows) + "\n")
    return figures


def main() -> None:
    options = arguments()
    selected = [
        workload
        for workload in load_workloads().values()
        if options.only is None or options.only.lower() in workload.name.lower()
    ]
    wanted = options.against.split(",") if options.against else None
    entrants = [
        contestant
        for contestant in CONTESTANTS
        if contestant is HAND
        or (contestant.name in wanted if wanted else contestant.installed)
    ]
    for contestant in CONTESTANTS:
        if contestant not in entrants and not contestant.installed:
            print(f"{contestant.name}: not installed", file=sys.stderr)
    skip = options.skip.split(",")
    seconds = options.seconds or (1.0 if options.quick else 5.0)
    figures: dict = {"python": platform.python_version(), "machine": platform.machine()}
    if "run" not in skip:
        figures["run"] = run_table(selected, entrants, options.quick, seconds)
    if "spellings" not in skip:
        figures["spellings"] = spellings_table(selected, seconds)
    if "memory" not in skip and Path("/proc/self/clear_refs").exists():
        figures["memory"] = memory_table(selected)
    if "first" not in skip:
        figures["first call"] = first_call_table(selected, entrants)
    if "import" not in skip:
        figures["import"] = import_table(entrants)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
