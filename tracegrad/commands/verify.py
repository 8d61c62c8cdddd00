"""``verify``: check a gradient; the exit code says what was found.

0: proved or agreed; 1: it differs; 2: a wrong command line, or a function that can't be
differentiated; 3: it could not be checked.
"""

from __future__ import annotations

import argparse
from typing import Any

from tracegrad.arguments import Binder
from tracegrad.commands.target import add_target, examples, find
from tracegrad.errors import ArgumentError
from tracegrad.proof.report import Report
from tracegrad.proof.verify import verify

_EXIT = {"proved": 0, "agreed": 0, "differs": 1, "unchecked": 3}


def add(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "verify",
        help="check a gradient by every means",
        description="Check a gradient by SymPy, in many digits and by values. "
        "Exit code 0: proved or agreed; 1: differs; 3: could not be checked.",
    )
    add_target(parser)
    parser.add_argument(
        "--argnames", help="what to differentiate by, as x,y (default: every float)"
    )
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="where to draw an argument from; may be repeated",
    )
    parser.add_argument("--order", type=int, default=1, help="2: the Hessian as well")
    parser.add_argument("--points", type=int, default=2, help="random points")
    parser.add_argument("--budget", type=float, default=60.0, help="in seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    function = find(options.target)
    binder = Binder(function)
    args, kwargs = examples(options)
    args, kwargs = binder.bind(args, kwargs)
    report: Report = verify(
        function,
        *args,
        argnums=_argnums(options.argnames, binder),
        domain=dict(_interval(text) for text in options.domain),
        order=options.order,
        points=options.points,
        budget=options.budget,
        seed=options.seed,
    )
    print(report.to_json() if options.json else report)
    return _EXIT[report.verdict]


def _argnums(names: str | None, binder: Binder) -> list[int] | None:
    if names is None:
        return None
    positions = [binder.position(name) for name in names.split(",")]
    if None in positions:
        raise ArgumentError(f"{binder.title} has no argument {names}.")
    return [p for p in positions if p is not None]


def _interval(text: str) -> tuple[str, tuple[float, float]]:
    name, _, interval = text.partition("=")
    low, _, high = interval.partition(":")
    try:
        return name, (float(low), float(high))
    except ValueError:
        raise ArgumentError(
            f"can't read the domain {text!r}.", todo="Write it as x=0.5:2."
        ) from None
