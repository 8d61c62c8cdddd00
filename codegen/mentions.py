"""What statements mention: variables they read and write, arrays they use and make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from codegen.loop_ir import (
    Accumulate,
    Allocate,
    Array,
    Expr,
    Fill,
    Grow,
    Library,
    Load,
    Reshape,
    Size,
    Stmt,
    Store,
    Swap,
    Var,
    View,
    expressions,
    nested,
    targets,
    walk,
)


@dataclass(slots=True)
class Mentions:
    """What statements and expressions mention.

    times: how often each name stands there.
    arrays: those mentioned, by name.
    read: the variables that are read, by name.
    written: the names of the variables that are given a value.
    made: the names of the arrays that are made there, or named.
    """

    times: Counter[str] = field(default_factory=Counter)
    arrays: dict[str, Array] = field(default_factory=dict)
    read: dict[str, Var] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def statements(self, body: Sequence[Stmt]) -> Mentions:
        """Add all that a body mentions."""
        for stmt in walk(tuple(body)):
            self._statement(stmt)
        return self

    def expressions(self, exprs: Iterable[Expr]) -> Mentions:
        """Add all that expressions read."""
        for expr in exprs:
            for part in nested(expr):
                match part:
                    case Var():
                        self._variable(part)
                    case Load(array=array) | Size(array=array):
                        self._array(array)
                    case _:
                        pass
        return self

    def _statement(self, stmt: Stmt) -> None:
        self.expressions(expressions(stmt))
        self.written.update(targets(stmt))
        self.times.update(targets(stmt))
        match stmt:
            case Accumulate(target=target):
                self._variable(target)
            case Store(array=array) | Fill(array=array):
                self._array(array)
            case Allocate(array=array) | Grow(array=array):
                self._array(array)
                if array.role != "workspace":
                    self.made.add(array.name)
            case View(view=view, base=base) | Reshape(view=view, base=base):
                self._array(view)
                self._array(base)
                self.made.add(view.name)
            case Swap(targets=swapped):
                for array in swapped:
                    self._array(array)
                    self.made.add(array.name)
            case Library(outputs=outputs, operands=operands):
                for item in (*outputs, *(operand.array for operand in operands)):
                    if isinstance(item, Array):
                        self._array(item)
            case _:
                pass

    def _variable(self, var: Var) -> None:
        self.times[var.name] += 1
        self.read.setdefault(var.name, var)

    def _array(self, array: Array) -> None:
        self.times[array.name] += 1
        self.arrays.setdefault(array.name, array)
