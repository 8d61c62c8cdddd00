"""Where an interpreted function runs: its variables, cells, globals and lines.

A ``Machine`` is one trace in progress; a ``Frame`` is one call in it. Variables that a
nested function closes over move into real cells, so nested functions are real ones and
can be handed to anybody.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CellType, CodeType
from typing import Any, TypeVar

import numpy as np

from tracegrad.errors import ControlFlowError, TracingError
from tracegrad.ir.graph import Builder, Graph, Value
from tracegrad.ir.shapes import size_equals
from tracegrad.ir.source import Location
from tracegrad.primitives.identities import dim_of
from tracegrad.traces.finder import FunctionSource
from tracegrad.traces.memory import Key, Memory
from tracegrad.traces.outside import Outside, Place
from tracegrad.traces.stale import MISSING, Frozen, loaded
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.views import View
from tracegrad.traces.words import Words, plain

_T = TypeVar("_T")


class Machine:
    """A trace in progress.

    Attributes:
        builder: records equations.
        outside: what was read of the world.
        memory: its arrays and regions.
        call: calls anything as traced code does.
        silent: whether this is a repetition, so that nothing is printed twice.
        stages: graphs worth showing, by title.
        raised: what a ``raise`` statement of the program raised last.
    """

    def __init__(
        self,
        builder: Builder,
        outside: Outside,
        memory: Memory,
        call: Callable[[Machine, Any, tuple[Any, ...], dict[str, Any]], Any],
        *,
        silent: bool = False,
    ) -> None:
        self.builder = builder
        self.outside = outside
        self.memory = memory
        self.silent = silent
        self._call = call
        self.stages: dict[str, Graph] = {}
        self.raised: BaseException | None = None
        self._own: dict[int, object] = {}
        self._noted: BaseException | None = None

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call anything, with tracers among the arguments or not."""
        return self._call(self, function, args, kwargs)

    def own(self, value: _T) -> _T:
        """Take note that a cell or function is the trace's own, no outside state."""
        self._own[id(value)] = value
        return value

    def made(self, value: object) -> bool:
        """Whether a cell or function is the trace's own."""
        return id(value) in self._own

    def note(self, error: BaseException) -> None:
        """Say in an error of the user's (or Python's) which line of theirs it was."""
        location = self.builder.location
        if error is not self._noted and location is not None:
            error.add_note(f"  at {location}, while tracegrad traced it")
        self._noted = error


_machine: ContextVar[Machine | None] = ContextVar("machine", default=None)


def current() -> Machine | None:
    """The trace in progress, if there is one."""
    return _machine.get()


@contextmanager
def running(machine: Machine) -> Iterator[Machine]:
    """Make a trace the one in progress."""
    token = _machine.set(machine)
    try:
        yield machine
    except Exception as error:
        error.args = tuple(plain(x) if isinstance(x, Words) else x for x in error.args)
        raise
    finally:
        _machine.reset(token)


class Frame:
    """One call of an interpreted function, or one run of a comprehension in it.

    Attributes:
        quiet: whether it runs on behalf of its caller's line, and has none of its own.
        handling: the exception that an ``except`` block is handling.
        unrolled: the ``while`` loops around that are run while tracing.
        returned: what ``return`` gave.
    """

    def __init__(
        self,
        machine: Machine,
        source: FunctionSource,
        namespace: dict[str, Any],
        cells: dict[str, CellType],
        parent: Frame | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self.machine = machine
        self.source = source
        self.namespace = namespace
        self.parent = parent
        self.quiet = quiet
        self.values: dict[str, Any] = {}
        self.cells = cells
        self.returned: Any = None
        self.unrolled: list[Key] = []
        self.handling: BaseException | None = None
        code = source.code
        self._free = frozenset(code.co_freevars)
        self._local = frozenset((*code.co_varnames, *code.co_cellvars))
        self._locations: dict[int, Location] = {}

    def inner(self) -> Frame:
        """The scope of a comprehension: its targets, and everything around."""
        source, quiet = self.source, self.quiet
        return Frame(self.machine, source, self.namespace, {}, self, quiet=quiet)

    @property
    def code(self) -> CodeType:
        """The code object of the function."""
        return self.source.code

    # --- lines ---------------------------------------------------------------------

    def at(self, line: int) -> None:
        """Let what follows happen on behalf of a line."""
        if self.quiet:
            return
        location = self._locations.get(line)
        if location is None:
            code, text = self.code, self.source.text(line)
            location = Location(self.source.file, line, code.co_name, text)
            self._locations[line] = location
        self.machine.builder.location = location

    def refused(self, what: str, todo: str) -> TracingError:
        """The error for a construct that can't be traced, at the present line."""
        return TracingError(what, self.machine.builder.location, todo)

    @contextmanager
    def unrolling(self, key: Key) -> Iterator[None]:
        """In the body of a ``while`` loop that is run while tracing."""
        self.unrolled.append(key)
        try:
            yield
        finally:
            self.unrolled.pop()

    # --- variables -----------------------------------------------------------------

    def mangled(self, name: str) -> str:
        """A private name as the class around spells it."""
        owner = self.source.owner
        if owner and name.startswith("__") and not name.endswith("__"):
            return f"_{owner.lstrip('_')}{name}"
        return name

    def load(self, name: str) -> Any:
        """The value of a name, as Python would look it up."""
        found = self._own(name)
        if found is not MISSING:
            return loaded(self.machine.memory, name, found)
        if self.parent is not None:
            return self.parent.load(name)
        if name in self._local:
            raise UnboundLocalError(
                f"cannot access local variable {name!r} where it is not associated "
                "with a value"
            )
        return self._global(name)

    def peek(self, name: str) -> Any:
        """What a name of the function holds, ``MISSING`` if it isn't bound."""
        home = self.home()
        cell = home.cells.get(name)
        if cell is None:
            return home.values.get(name, MISSING)
        try:
            return cell.cell_contents
        except ValueError:
            return MISSING

    def put(self, name: str, content: Any) -> None:
        """Let a name of the function hold something, or not be bound."""
        home = self.home()
        cell = home.cells.get(name)
        if cell is not None:
            if self.machine.made(cell):
                if content is not MISSING:
                    cell.cell_contents = content
                elif self.peek(name) is not MISSING:
                    del cell.cell_contents
        elif content is MISSING:
            home.values.pop(name, None)
        else:
            home.values[name] = content

    def snapshot(self) -> dict[str, Any]:
        """What the names of the function hold."""
        home = self.home()
        return {name: home.peek(name) for name in (*home.values, *home.cells)}

    def restore(self, contents: dict[str, Any]) -> None:
        """Let the names of the function hold what they held, and no others."""
        for name in (*self.home().values, *self.home().cells):
            if name not in contents:
                self.put(name, MISSING)
        for name, content in contents.items():
            self.put(name, content)

    def _own(self, name: str) -> Any:
        cell = self.cells.get(name)
        if cell is None:
            return self.values.get(name, MISSING)
        try:
            content = cell.cell_contents
        except ValueError:
            raise NameError(f"free variable {name!r} is not associated yet") from None
        if self.machine.made(cell):
            return content
        place = Place("cell", cell)
        return self.machine.outside.read(self.machine.builder, place, content, name)

    def _global(self, name: str) -> Any:
        if name in self.namespace:
            place = Place("global", self.namespace, name)
            value = self.namespace[name]
            return self.machine.outside.read(self.machine.builder, place, value, name)
        try:
            return getattr(builtins, name)
        except AttributeError:
            raise NameError(f"name {name!r} is not defined") from None

    def store(self, name: str, value: Any) -> None:
        """Bind a name; a nameless traced value is called after it.

        A name that no variable can have is one of ours.
        """
        name_value(value, name)
        cell = self.cells.get(name)
        if cell is not None:
            elsewhere = name in self._free and any(
                region.owner is not self.home()
                for region in self.machine.memory.regions
            )
            if elsewhere or not self.machine.made(cell):
                raise self._outlives("nonlocal", name)
            cell.cell_contents = value
        elif self.parent is not None or name in self._local or name[0] == "<":
            self.values[name] = value
        else:
            raise self._outlives("global", name)

    def home(self) -> Frame:
        """The frame of the function itself: where ``:=`` in a comprehension binds."""
        return self if self.parent is None else self.parent.home()

    def delete(self, name: str) -> None:
        """Forget a name."""
        if self._own(name) is MISSING or name in self._free:
            raise NameError(f"name {name!r} is not defined")
        if self.cells.pop(name, None) is None:
            del self.values[name]

    def cell(self, name: str) -> CellType:
        """The cell of a variable that a nested function closes over."""
        if name in self.cells:
            return self.cells[name]
        if self.parent is not None and name not in self.values:
            return self.parent.cell(name)
        content = (self.values.pop(name),) if name in self.values else ()
        self.cells[name] = self.machine.own(CellType(*content))
        return self.cells[name]

    def _outlives(self, kind: str, name: str) -> TracingError:
        return self.refused(
            f"assigning the {kind} variable {name!r} changes state outside the traced "
            "function.",
            "It would happen once, while tracing. Return the new value instead.",
        )


def name_value(value: Any, name: str) -> None:
    """Call a nameless traced value as the user does."""
    if not name.isidentifier():
        return
    if isinstance(value, View):
        if value.whole and value.base.name is None:
            value.base.name = name
        return
    if not isinstance(value, Tracer) or not name.strip("_"):
        return
    operand = value.as_made if isinstance(value, Frozen) else value.operand
    if isinstance(operand, Value) and operand.name is None:
        operand.name = name


def touches_traced(frame: Frame, names: Iterable[str]) -> bool:
    """Whether any of some names of a function holds something traced."""
    return any(_is_traced(frame.peek(frame.mangled(name))) for name in names)


def _is_traced(content: Any) -> bool:
    if isinstance(content, (list, tuple)):
        return any(map(_is_traced, content))
    if isinstance(content, dict):
        return any(map(_is_traced, content.values()))
    return isinstance(content, Tracer)


def truth(frame: Frame, value: Any, construct: str) -> bool:
    """Whether a condition holds, where that is known while tracing.

    Raises:
        ControlFlowError: if it depends on a traced value.
    """
    if not isinstance(value, Tracer):
        return bool(value)
    size = dim_of(value.operand)
    if size is not None:
        return not size_equals(size, 0)
    try:
        return bool(value)
    except ControlFlowError:
        raise ControlFlowError(
            f"{construct} depends on a traced value.",
            frame.machine.builder.location,
            "Use np.where to choose between values (np.logical_and, np.logical_or to "
            "combine conditions), or make the condition static.",
        ) from None


def example(tracer: Tracer) -> Any:
    """A plain object of the kind that a tracer stands for."""
    if tracer.ndim:
        return np.empty((0,) * tracer.ndim, tracer.dtype)
    number = tracer.dtype.type(0)
    return number.item() if tracer.weak else number
