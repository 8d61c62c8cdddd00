"""Numba's compiler, asked each question about types once.

Numba finds out anew what `*` of two float64 is at each place where one stands, in each
round of its inference, and twice again as it makes code of it: a third of a
millisecond each time, in kernels with hundreds. Here an operation's type remembers.
"""

from functools import cache
from typing import Any

from numba.core import compiler, types
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.typing.context import Context

from codegen.allocation import INSTEAD


class RememberedFunction(types.Function):
    """The type of a function or operator, with what its calls were found to be.

    That depends on the arguments' types alone: of what else it might, as of a user's
    functions that call each other, Numba makes other types.
    """

    def __init__(self, template: Any) -> None:
        super().__init__(template)
        self._known: dict[Any, Any] = {}

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """The signature of a call; a call that can't be raises each time."""
        call = args, tuple(kws.items())
        if call not in self._known:
            self._known[call] = super().get_call_type(context, args, kws)
        return self._known[call]


register_default(RememberedFunction)(models.OpaqueModel)


class RememberingContext(Context):
    """A typing context whose functions remember; all else it shares with the given."""

    def __init__(self, context: Any) -> None:
        vars(self).update(vars(context))
        self._shared = context
        self._remembered: dict[Any, Any] = {}

    def refresh(self) -> None:
        """Load what has been registered since, for all who share it."""
        self._shared.refresh()

    def _lookup_global(self, value: Any) -> Any:
        return self._remembering(super()._lookup_global(value))

    def resolve_getattr(self, typ: Any, attr: str) -> Any:
        """The type of an attribute, such as a module's function."""
        return self._remembering(super().resolve_getattr(typ, attr))

    def _remembering(self, found: Any) -> Any:
        """This type if it isn't a function's; else one that remembers."""
        if type(found) is not types.Function:
            return found
        if found not in self._remembered:
            if found.typing_key in INSTEAD:
                found = super()._lookup_global(INSTEAD[found.typing_key])
            self._remembered[found] = RememberedFunction(found.templates)
        return self._remembered[found]


_context = cache(RememberingContext)


def remembering(typing: Any, target: Any, *others: Any) -> Any:
    """Numba's compiler (a ``pipeline_class``), with functions that remember."""
    context = _context(typing)
    target = target.subtarget(typing_context=context)
    return compiler.Compiler(context, target, *others)
