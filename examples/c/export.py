"""Write the gradient of the lynx–hare likelihood as C, next to this file.

    python examples/c/export.py [directory]

Then compile it with ``main.c``, as README.md here tells.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from tracegrad import export_c, value_and_grad

HERE = Path(__file__).parent


def main() -> int:
    """Export, and say what was written."""
    sys.path.insert(0, str(HERE.parent))
    model = import_module("lynx_hare")
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    function = value_and_grad(model.negative_log_likelihood)
    arguments = (np.zeros(8), model.HARES, model.LYNXES, model.STEPS)
    files = export_c({"value_and_grad": function}, arguments, directory, "lynx")
    print(f"{files.source}\n{files.header}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
