"""Tensors: arrays that remember where they came from.

>>> x = Tensor([1.0, 2.0], requires_grad=True)
>>> y = (x * x).sum()
>>> y
tensor(5., grad_fn=<SumBackward0>)
>>> y.backward()
>>> x.grad
tensor([2., 4.])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracegrad.primitives import comparisons as cmp
from tracegrad.tape import engine
from tracegrad.tape.backward import backward, is_leaf
from tracegrad.tape.defaults import array_of, as_dtype
from tracegrad.tape.display import text_of
from tracegrad.tape.inplace import assign, check_writable, fill, set_item
from tracegrad.tape.methods import Methods
from tracegrad.tape.modes import is_inference_mode_enabled, refuse_frozen
from tracegrad.tape.node import LEAF, AccumulateGrad
from tracegrad.tape.protocols import array_function, array_ufunc
from tracegrad.tape.record import View, detached, edge_of, value_of
from tracegrad.tape.shaping import flatten, select, subscript, transpose
from tracegrad.tape.taps import Handle, Hook, Retain
from tracegrad.tape.value import Value, made


class Size(tuple[int, ...]):
    """A shape."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return int(np.prod(self, dtype=int))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    __str__ = __repr__


class _Count(int):
    """The number of elements, as NumPy's ``size``; called, PyTorch's ``size()``."""

    _shape: Size

    def __call__(self, dim: int | None = None) -> Any:
        return self._shape if dim is None else self._shape[dim]


class Tensor(Methods):
    """An array with a gradient.

    Args:
        data: numbers, nested as you like, or an array.
        requires_grad: whether gradients are wanted.
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = False) -> None:
        given = isinstance(data, Value)
        array = value_of(data, "a new tensor") if given else array_of(data)
        self._array = array if array.ndim else array[()]
        self._edge = None
        self._cell = [0]
        self._grad = None
        self._extra = None
        if is_inference_mode_enabled():
            self._extra = {"inference": True}
        if requires_grad:
            self.requires_grad_()

    # --- what an array has ---------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of its axes."""
        return Size(self._array.shape)

    @property
    def size(self) -> Any:
        """The number of elements; ``size()`` is the shape."""
        count = _Count(self._array.size)
        count._shape = self.shape
        return count

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    nelement = numel

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.t() if self.ndim == 2 else self.permute(*reversed(range(self.ndim)))

    @property
    def mT(self) -> Any:
        """Each matrix transposed."""
        return transpose(self, -2, -1)

    @property
    def device(self) -> str:
        """Where it lives."""
        return "cpu"

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self._array.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (select(self, 0, k) for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return subscript(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        set_item(self, index, value)

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    # --- plain values --------------------------------------------------------------

    def item(self) -> Any:
        """Its one element as a Python number."""
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to "
                "Scalar"
            )
        return value_of(self, "item()").item()

    def tolist(self) -> Any:
        """Its elements as nested lists of Python numbers."""
        return value_of(self, "tolist()").tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Its array, which shares its memory.

        Raises:
            RuntimeError: if it requires gradients: they would be lost.
        """
        value_of(self, "numpy()")
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use "
                "tensor.detach().numpy() instead."
            )
        return self._memory()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and dtype != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "ib":
            raise TypeError("only integer tensors of a single element can be an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self._array.size} values is ambiguous"
            )
        truth = self if self._array.dtype.kind in "bi" else self != 0
        return bool(value_of(truth, "bool()").item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.ndim else repr(self)

    def __repr__(self) -> str:
        return text_of(value_of(self, "a text"), edge_of(self), self._edge is LEAF)

    # --- gradients -----------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it."""
        return self._edge is not None and edge_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say whether gradients are wanted; of a leaf only.

        Raises:
            RuntimeError: for a tensor that isn't a leaf, or isn't floating-point.
        """
        if not requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. Use "
                    "detach() for a tensor that carries no gradient."
                )
            self._edge = None
            return self
        if self._array.dtype.kind != "f":
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require "
                f"gradients, not {self._array.dtype}"
            )
        made_inside = self._extra is not None and "inference" in self._extra
        if made_inside and not is_inference_mode_enabled():
            raise RuntimeError(
                "Setting requires_grad=True on an inference tensor outside of "
                "inference_mode is not allowed: clone it first."
            )
        if edge_of(self) is None:
            self._edge = LEAF
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by recorded operations."""
        return is_leaf(self)

    @property
    def grad_fn(self) -> Any:
        """The node that made it; None for a leaf."""
        if self._edge is None or self._edge is LEAF:
            return None
        edge = edge_of(self)
        return None if edge is None else edge.grad_fn_or_accumulate

    @property
    def grad(self) -> Any:
        """The gradient that ``backward`` accumulated, or None."""
        if self._grad is None and not self.is_leaf and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being "
                "accessed. It stays None: call .retain_grad() on it before backward().",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None:
            self._grad = None
            return
        if not isinstance(value, Value):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None, not "
                f"{type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._array.dtype != self._array.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: {value._array.dtype}, "
                f"not {self._array.dtype}"
            )
        if value._array.shape != self._array.shape:
            raise RuntimeError(
                "assigned grad has data of a different size: "
                f"{list(value._array.shape)}, not {list(self.shape)}"
            )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add its gradients to ``.grad`` of the leaves: see ``autograd.backward``."""
        backward(self, gradient, retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that isn't a leaf.

        Raises:
            RuntimeError: if it doesn't require gradients.
        """
        edge = edge_of(self)
        if edge is None:
            raise RuntimeError(
                "can't retain_grad on Tensor that has requires_grad=False"
            )
        if self._edge is not LEAF and not self.retains_grad:
            edge.taps = [*(edge.taps or ()), Retain(self)]

    @property
    def retains_grad(self) -> bool:
        """Whether it isn't a leaf, and keeps its gradient."""
        if self._edge is LEAF:
            return False
        taps = getattr(edge_of(self), "taps", None) or ()
        return any(isinstance(t, Retain) and t.tensor() is self for t in taps)

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(grad)`` with its gradient; a tensor it returns replaces that.

        Raises:
            RuntimeError: if it doesn't require gradients.
        """
        edge = edge_of(self)
        if edge is None:
            raise RuntimeError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )
        refuse_frozen("a hook", "Leave it out of the function that is frozen.")
        entry = Hook(hook, self._result)
        if self._edge is LEAF:
            self._extra = self._extra or {}
            taps = self._extra.setdefault("taps", [])
        else:
            taps = edge.taps = edge.taps or []
        taps.append(entry)
        return Handle(taps, entry)

    def register_post_accumulate_grad_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(tensor)`` after its ``.grad`` has been accumulated."""
        if self._edge is not LEAF:
            raise RuntimeError("post accumulate grad hooks are for leaf tensors only")
        self._extra = self._extra or {}
        hooks = self._extra.setdefault("after", [])
        hooks.append(hook)
        return Handle(hooks, hook)

    # --- as an edge of the tape ----------------------------------------------------

    @property
    def grad_fn_or_accumulate(self) -> AccumulateGrad:
        """What stands for a leaf in ``next_functions``."""
        return AccumulateGrad(self)

    @property
    def output_number(self) -> int:
        """Which result of its node it is."""
        edge = edge_of(self)
        return 0 if edge is None or edge is self else edge.output_number

    output_nr = output_number

    # --- copies and memory -----------------------------------------------------------

    @property
    def _version(self) -> int:
        """How often its memory was written to."""
        return int(self._cell[0])

    @property
    def data(self) -> Any:
        """The same memory without history; writes to it are counted all the same."""
        return detached(self)

    @data.setter
    def data(self, value: Any) -> None:
        refuse_frozen("assigning to .data", "Make a new tensor.")
        array = value._array if isinstance(value, Value) else array_of(value)
        if array.dtype != self._array.dtype:
            raise RuntimeError(
                f"data of dtype {array.dtype} can't take the place of "
                f"{self._array.dtype}"
            )
        self._array = array
        self._cell[0] += 1

    def detach(self) -> Any:
        """A tensor of the same memory that carries no gradient."""
        return detached(self)

    def detach_(self) -> Any:
        """Cut off from its history."""
        refuse_frozen("detach_()", "Use detach().")
        if type(self._edge) is View:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead of detach_()."
            )
        self._edge = None
        return self

    def to(self, *args: Any, dtype: Any = None, **_: Any) -> Any:
        """With elements of another dtype."""
        for given in args:
            if isinstance(given, Value):
                dtype = given._array.dtype
            elif given is not None and not isinstance(given, str):
                dtype = given
        if dtype is None or as_dtype(dtype) == self._array.dtype:
            return self
        return cmp.convert(self, dtype=str(as_dtype(dtype)))

    def ravel(self) -> Any:
        """All elements on one axis."""
        return flatten(self)

    def copy_(self, src: Any) -> Any:
        """Overwritten with the values of another tensor."""
        check_writable(self, src)
        return assign(self, cmp.select(np.zeros(self.dims, bool), self, src))

    def fill_(self, value: Any) -> Any:
        """Overwritten with a number."""
        check_writable(self, value)
        if isinstance(value, Value):
            return self.copy_(value)
        return assign(self, fill(self, value=value))

    def zero_(self) -> Any:
        """Overwritten with zeros."""
        return self.fill_(0)

    def is_floating_point(self) -> bool:
        """Whether its elements are floats."""
        return bool(self._array.dtype.kind == "f")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if not self.is_leaf:
            raise RuntimeError("only leaf tensors can be copied with deepcopy")
        copy = made(type(self), self._array.copy(), self._edge)
        if self._grad is not None:
            copy._grad = made(self._result, self._grad._array.copy(), None)
        memo[id(self)] = copy
        return copy

    __array_ufunc__ = array_ufunc
    __array_function__ = array_function


Tensor._result = Tensor
engine.TENSOR[:] = [Tensor]
