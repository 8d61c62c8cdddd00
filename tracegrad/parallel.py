"""A mapped function whose batch is shared out among threads.

The items of a batch don't depend on each other, and kernels release the interpreter's
lock; so nothing has to be compiled for this: each thread calls the same kernel with a
part of the batch, a view of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, update_wrapper
from itertools import pairwise
from typing import Any

import numpy as np

from tracegrad import pytree
from tracegrad.compiled import Compiled
from tracegrad.errors import ArgumentError
from tracegrad.mapping import BatchBinder, result_axes
from tracegrad.pickling import Recipe, reduced
from tracegrad.traces.scope import current

LEAST = 2
"""Items in a part: kernels for a batch of one are others."""


class Parallel:
    """A function of a batch, called for parts of it at once: see ``tracegrad.vmap``.

    In traced code and inside other compiled functions it is the mapped function, a loop
    in one thread. Whatever else it is asked for (``source``, ``out=``, …) is that, too.

    Args:
        mapped: the function of a batch.
        binder: that says which arguments hold the batch.
        out_axes: see ``tracegrad.vmap``.
        threads: how many parts there are at most.
    """

    def __init__(
        self, mapped: Compiled, binder: BatchBinder, out_axes: Any, threads: int
    ) -> None:
        update_wrapper(self, mapped, updated=())
        self.mapped = mapped
        self.recipe: Recipe | None = None
        self._binder = binder
        self._out_axes = out_axes
        self._threads = threads

    def __repr__(self) -> str:
        return f"<{self._threads} threads of {self.mapped!r}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of what isn't made yet, as by copy
            raise AttributeError(name)
        return getattr(self.mapped, name)

    def __reduce__(self) -> Any:
        return reduced(self, self.recipe)

    def __tracegrad_inline__(self, *args: Any, **kwargs: Any) -> Any:
        """Emit the loop into the trace in progress."""
        return self.mapped.__tracegrad_inline__(*args, **kwargs)

    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """Call the mapped function with each part of the batch; join the results."""
        parts = [] if current() is not None else [*self._parts(args, kwargs)]
        if len(parts) < 2:
            given = {} if out is None else {"out": out}
            return self.mapped(*args, **kwargs, **given)
        calls = [_pool().submit(self.mapped, *some, **more) for some, more in parts]
        return self._joined([call.result() for call in calls], out)

    def _parts(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments of each call: none if the sizes don't fit each other."""
        args, kwargs = self._binder.bind(args, kwargs)
        leaves, tree = pytree.flatten((args, kwargs))
        split = [
            axis if isinstance(leaf, np.ndarray) and leaf.ndim else None
            for leaf, axis in zip(leaves, self._binder.axes(args, kwargs), strict=True)
        ]
        sizes = {
            leaf.shape[axis] if -leaf.ndim <= axis < leaf.ndim else -1
            for leaf, axis in zip(leaves, split, strict=True)
            if axis is not None
        }
        if len(sizes) != 1:
            return
        (size,) = sizes
        count = max(min(self._threads, size // LEAST), 1)
        for start, stop in pairwise(size * k // count for k in range(count + 1)):
            pieces = [
                leaf if axis is None else _part(leaf, axis, slice(start, stop))
                for leaf, axis in zip(leaves, split, strict=True)
            ]
            yield pytree.unflatten(tree, pieces)

    def _joined(self, results: list[Any], out: Any) -> Any:
        """The parts' results, as one call would have returned them."""
        axes = result_axes(self._out_axes, results[0])
        flat = [pytree.leaves(result) for result in results]
        outs, tree = [None] * len(axes), pytree.flatten(results[0])[1]
        if out is not None:
            outs, given = pytree.flatten(out)
            if given != tree:
                raise ArgumentError(
                    "out= doesn't fit the results.",
                    todo="Pass an array for each array of the results, in their nest.",
                )
        joined = [
            np.concatenate(pieces, axis, out=array)
            for axis, array, *pieces in zip(axes, outs, *flat, strict=True)
        ]
        return pytree.unflatten(tree, joined)


def _part(array: np.ndarray, axis: int, items: slice) -> np.ndarray:
    """A view of some items of an axis."""
    return array[(*(slice(None),) * (axis % array.ndim), items)]


def thread_count(parallel: bool | int) -> int:
    """How many threads ``parallel=`` asks for: True for each core of the process.

    Raises:
        ArgumentError: for less than one.
    """
    if parallel is True:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else _cores()
    if parallel < 1:
        raise ArgumentError(
            f"parallel={parallel!r} is not a number of threads.",
            todo="Give a positive integer, or True for one on each core.",
        )
    return int(parallel)


def _cores() -> int:
    return os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads, which live as long as the process."""
    return ThreadPoolExecutor(thread_name_prefix="tracegrad")


# A child process has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
