"""What to write instead of functions that have no rule, where something will do.

The nearest name is no advice: ``np.invert`` doesn't do what ``np.insert`` does.
"""

from __future__ import annotations

from tracegrad.errors import ControlFlowError
from tracegrad.ir.source import Location

_ASSIGN = "Assign the elements: y[index] = values."
_GAMMA = "Use math.gamma, whose value at n + 1 is the factorial of n."

_INSTEAD = {
    "math.comb": _GAMMA,
    "math.factorial": _GAMMA,
    "math.fsum": "Use sum(), which differs by rounding.",
    "math.ldexp": "Use x * 2.0**n.",
    "math.modf": "Use np.trunc(x) and x - np.trunc(x).",
    "math.perm": _GAMMA,
    "math.remainder": "Use x - y * np.round(x / y).",
    "numpy.argpartition": "Use np.argsort.",
    "numpy.block": "Use np.concatenate.",
    "numpy.choose": "Use np.select, or np.where.",
    "numpy.cumulative_prod": "Use np.cumprod.",
    "numpy.cumulative_sum": "Use np.cumsum.",
    "numpy.delete": "Join what stays: np.concatenate((x[:k], x[k + 1:])).",
    "numpy.fromfunction": "Use np.arange and broadcasting, or np.indices.",
    "numpy.insert": "Join the parts: np.concatenate((x[:k], values, x[k:])).",
    "numpy.ix_": "Use index arrays that broadcast: x[i[:, None], j].",
    "numpy.ldexp": "Use x * 2.0**n.",
    "numpy.linalg.matrix_norm": "Use np.linalg.norm.",
    "numpy.linalg.tensorsolve": "Use np.linalg.solve of reshaped arrays.",
    "numpy.linalg.vector_norm": "Use np.linalg.norm.",
    "numpy.matvec": "Use np.einsum('...ij,...j->...i', a, x).",
    "numpy.matrix_transpose": "Use np.swapaxes(x, -1, -2).",
    "numpy.modf": "Use np.trunc(x) and x - np.trunc(x).",
    "numpy.nanargmax": "Use np.argmax(np.where(np.isnan(x), -np.inf, x)).",
    "numpy.nanargmin": "Use np.argmin(np.where(np.isnan(x), np.inf, x)).",
    "numpy.partition": "Use np.sort.",
    "numpy.place": _ASSIGN,
    "numpy.put": _ASSIGN,
    "numpy.put_along_axis": _ASSIGN,
    "numpy.putmask": _ASSIGN,
    "numpy.row_stack": "Use np.vstack.",
    "numpy.vecdot": "Use np.sum(a * b, axis=-1).",
    "numpy.vecmat": "Use np.einsum('...i,...ij->...j', x, a).",
}


def instead(name: str) -> str | None:
    """What to do instead of calling a function, by its full name."""
    return _INSTEAD.get(name)


class ValueNeeded(ControlFlowError):
    """What isn't interpreted asks for the value of what is traced."""

    def __init__(self, where: Location | None, what: str) -> None:
        super().__init__(
            f"{what} depends on a traced value.",
            where,
            "Use np.where, or compute it from shapes and static values.",
        )

    def by(self, name: str) -> ControlFlowError:
        """The error for a function that asked."""
        return ControlFlowError(
            f"{name}() needs to know a traced value.",
            self.where,
            instead(name) or "Use a function of np in its place, or call it outside.",
        )
