"""``source`` and ``graph``: print what a gradient is compiled from."""

from __future__ import annotations

import argparse
from typing import Any

from tracegrad.commands.target import add_target, add_transform, derived, examples


def add(subparsers: Any) -> None:
    """Describe the commands."""
    for name, run, text in (
        ("source", _source, "print the Python source of a gradient"),
        ("graph", _graph, "print the graph of a gradient"),
    ):
        parser = subparsers.add_parser(name, help=text, description=f"{text}.")
        add_target(parser)
        add_transform(parser)
        parser.set_defaults(run=run)


def _source(options: argparse.Namespace) -> int:
    print(_compiled(options).source)
    return 0


def _graph(options: argparse.Namespace) -> int:
    print(_compiled(options).graph)
    return 0


def _compiled(options: argparse.Namespace) -> Any:
    function = derived(options)
    args, kwargs = examples(options)
    return function.compile(*args, **kwargs)
