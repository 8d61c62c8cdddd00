"""Modules: functions with parameters, nested as you like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tracegrad.tape.inplace import assign
from tracegrad.tape.modes import no_grad
from tracegrad.tape.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module counts among its parameters.

    Args:
        data: a tensor, whose memory it shares, or numbers.
        requires_grad: whether gradients are wanted.
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        if isinstance(data, Tensor):
            self._array = data._memory()
            self._cell = data._cell

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module:
    """The base of modules: parameters and modules set as attributes are its own.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = Parameter([2.0])
    ...     def forward(self, x):
    ...         return self.slope * x
    >>> line = Line()
    >>> line(3.0), [name for name, _ in line.named_parameters()]
    (tensor([6.], grad_fn=<MulBackward0>), ['slope'])
    """

    training: bool

    def __init__(self) -> None:
        vars(self).update(
            training=True, _parameters={}, _modules={}, _buffers={}, _hooks=[]
        )

    def __setattr__(self, name: str, value: Any) -> None:
        own = vars(self)
        if "_modules" not in own:
            raise AttributeError("call super().__init__() before assigning attributes")
        tables = (own["_parameters"], own["_modules"], own["_buffers"])
        parameters, modules, buffers = tables
        if isinstance(value, (Parameter, Module)) or name in buffers:
            for table in tables:
                table.pop(name, None)
            own.pop(name, None)
            kind = parameters if isinstance(value, Parameter) else modules
            (kind if isinstance(value, (Parameter, Module)) else buffers)[name] = value
            return
        if name in parameters and value is not None:
            raise TypeError(
                f"cannot assign a {type(value).__name__} as parameter {name!r}: "
                "Parameter or None expected"
            )
        for table in tables:
            table.pop(name, None)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_modules", "_buffers"):
            found = vars(self).get(table, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._modules, self._buffers):
            if name in table:
                del table[name]
                return
        object.__delattr__(self, name)

    def register_buffer(self, name: str, tensor: Any) -> None:
        """Keep a tensor that isn't trained with the module's state."""
        self._buffers[name] = tensor

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as setting an attribute."""
        setattr(self, name, param)

    def add_module(self, name: str, module: Module) -> None:
        """The same as setting an attribute."""
        self._modules[name] = module

    # --- calling -------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f"{type(self).__name__} is missing the required forward function"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and the hooks."""
        result = self.forward(*args, **kwargs)
        for hook in self._hooks:
            changed = hook(self, args, result)
            result = result if changed is None else changed
        return result

    def register_forward_hook(self, hook: Callable[..., Any]) -> None:
        """Call ``hook(module, args, output)`` after each call."""
        self._hooks.append(hook)

    # --- looking inside ------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module itself and all inside it, by path."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """The module itself and all inside it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules set on it."""
        return iter(self._modules.items())

    def children(self) -> Iterator[Module]:
        """The modules set on it."""
        return iter(self._modules.values())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters by path, each once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, parameter in module._parameters.items():
                if parameter is not None and id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{path}.{name}" if path else name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def _named_state(self) -> Iterator[tuple[str, Any]]:
        yield from self.named_parameters()
        for path, module in self.named_modules():
            for name, buffer in module._buffers.items():
                yield f"{path}.{name}" if path else name, buffer

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers by path, detached."""
        return {name: tensor.detach() for name, tensor in self._named_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Overwrite parameters and buffers.

        Raises:
            RuntimeError: if the names don't match.
        """
        own = dict(self._named_state())
        if own.keys() != state_dict.keys():
            missing, extra = (
                own.keys() - state_dict.keys(),
                state_dict.keys() - own.keys(),
            )
            raise RuntimeError(
                f"state_dict doesn't fit: missing {sorted(missing)}, unexpected "
                f"{sorted(extra)}"
            )
        with no_grad():
            for name, value in state_dict.items():
                assign(own[name], value)

    # --- changing ------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            clear(parameter, set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Say of all parameters whether gradients are wanted."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Module:
        """Set whether it is being trained."""
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Module:
        """The same as ``train(False)``."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call a function with each module, inner ones first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def double(self) -> Module:
        """All parameters in float64."""
        return self._converted(np.float64)

    def float(self) -> Module:
        """All parameters in float32."""
        return self._converted(np.float32)

    def _converted(self, dtype: Any) -> Module:
        for parameter in self.parameters():
            parameter._array = parameter._array.astype(dtype)
            parameter._cell[0] += 1
        return self

    def extra_repr(self) -> str:
        """What stands in the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def clear(parameter: Any, set_to_none: bool) -> None:
    """Forget a gradient, or make it zero."""
    if parameter._grad is None:
        return
    if set_to_none:
        parameter._grad = None
    else:
        with no_grad():
            parameter._grad = parameter._grad.detach()
            parameter._grad.zero_()


class ModuleList(Module):
    """Modules in a list."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        """Add one at the end."""
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int) -> Module:
        found: Module = list(self._modules.values())[index]
        return found
