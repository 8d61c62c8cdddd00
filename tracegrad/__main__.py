"""The command line: ``python -m tracegrad <command> module:function …``.

Each command is a module of ``tracegrad.commands`` with ``add(subparsers)``, which
describes its options and says what to run. Exit codes: what the command says (0 for
success), and 2 where it could say nothing: for a wrong command line, a function that
can't be traced, an error in a module.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from tracegrad import __version__
from tracegrad.commands import build, show, verify
from tracegrad.errors import TracegradError

COMMANDS = (show, verify, build)


def parser() -> argparse.ArgumentParser:
    """Of the whole command line."""
    result = argparse.ArgumentParser(
        prog="python -m tracegrad", description="Look at, and check, gradients."
    )
    result.add_argument("--version", action="version", version=__version__)
    subparsers = result.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(subparsers)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (TracegradError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except Exception:  # of the user's own code: no verdict on its gradient
        traceback.print_exc()
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
