"""``build``: write a gradient as a Python file, as C, or as a compiled library."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tracegrad.commands.target import add_target, add_transform, derived, examples
from tracegrad.errors import ArgumentError
from tracegrad.shipping import export_c, export_python

_KINDS = ("python", "c", "library")


def add(subparsers: Any) -> None:
    """Describe the command."""
    text = "write a gradient as a Python file, as C, or as a compiled library"
    parser = subparsers.add_parser("build", help=text, description=f"{text}.")
    add_target(parser)
    add_transform(parser)
    parser.add_argument(
        "--signature", dest="types", help="the same as the second argument"
    )
    parser.add_argument(
        "-o", "--output", default=".", help="directory to write to (default: here)"
    )
    parser.add_argument(
        "--as",
        dest="kinds",
        nargs="+",
        choices=_KINDS,
        default=["python", "c"],
        help="what to write (default: python c); library compiles the C",
    )
    parser.add_argument("--name", help="of the files (default: the function's)")
    parser.add_argument("--cc", help="the C compiler (default: CC, cc, gcc or clang)")
    parser.add_argument("--march", help='the processor to compile for, as "native"')
    parser.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    if options.types is not None:
        options.signature = options.types
    function = derived(options)
    args, kwargs = examples(options)
    title = options.target.rpartition(":")[2].rpartition(".")[2]
    name = options.name or title
    if not name.isidentifier():
        raise ArgumentError(f"--name {name} is no identifier.")
    signature = kwargs or args
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path | None] = []
    if "python" in options.kinds:
        path = folder / f"{name}_gradient.py"
        written.append(export_python(function, signature, path))
    if "c" in options.kinds or "library" in options.kinds:
        files = export_c(
            function,
            signature,
            folder,
            name,
            build="library" in options.kinds,
            compiler=options.cc,
            march=options.march,
        )
        written += [files.source, files.header, files.library, files.description]
    for file in written:
        if file is not None:
            print(file)
    return 0
