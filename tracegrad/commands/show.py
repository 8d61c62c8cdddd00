"""``source`` and ``graph``: print what a gradient is compiled from, or draw it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from tracegrad.commands.target import add_target, add_transform, derived, examples
from tracegrad.errors import ArgumentError

_TEXT = (".dot", ".gv")
_DRAWN = (".svg", ".png", ".pdf")


def add(subparsers: Any) -> None:
    """Describe the commands."""
    for name, run, text in (
        ("source", _source, "print the Python source of a gradient"),
        ("graph", _graph, "print the graph of a gradient, or draw it"),
    ):
        parser = subparsers.add_parser(name, help=text, description=f"{text}.")
        add_target(parser)
        add_transform(parser)
        parser.set_defaults(run=run)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a picture (.svg, .png, .pdf) drawn by Graphviz, or its text (.dot)",
    )


def _source(options: argparse.Namespace) -> int:
    print(_compiled(options).source)
    return 0


def _graph(options: argparse.Namespace) -> int:
    if options.output is None:
        print(_compiled(options).graph)
        return 0
    path = Path(options.output)
    if path.suffix not in _TEXT + _DRAWN:
        raise ArgumentError(
            f"{path} is no kind of picture.",
            todo=f"End it in {', '.join(_DRAWN)}, or {_TEXT[0]} for its text.",
        )
    if path.suffix in _DRAWN and shutil.which("dot") is None:
        raise ArgumentError(
            f"{path.name} can't be drawn: Graphviz's program dot is not here.",
            todo=f"Install Graphviz, or write -o {path.with_suffix('.dot')}: "
            "the text that any Graphviz viewer draws.",
        )
    picture = _compiled(options).picture()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in _TEXT:
        path.write_text(picture.source, encoding="utf-8")
    else:
        path.write_bytes(picture.pipe(path.suffix[1:]))
    print(path)
    return 0


def _compiled(options: argparse.Namespace) -> Any:
    function = derived(options)
    args, kwargs = examples(options)
    return function.compile(*args, **kwargs)
