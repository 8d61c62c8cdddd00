"""Statements that bind names, items and attributes."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from tracegrad.traces.expressions import bind, evaluate, make_function
from tracegrad.traces.objects import (
    get_item,
    has_tracer,
    set_attribute,
    set_item,
    update_item,
)
from tracegrad.traces.protocols import own_method
from tracegrad.traces.scope import Frame
from tracegrad.traces.sequences import static_key
from tracegrad.traces.tracer import Tracer
from tracegrad.traces.updates import updated
from tracegrad.traces.views import View


def assign(statement: ast.Assign, frame: Frame) -> None:
    """``a = b = value``, unpacked if need be."""
    value = evaluate(statement.value, frame)
    frame.at(statement.lineno)
    for target in statement.targets:
        bind(target, value, frame)


def annotated(statement: ast.AnnAssign, frame: Frame) -> None:
    """``a: kind = value``."""
    if statement.value is not None:
        bind(statement.target, evaluate(statement.value, frame), frame)


def augmented(statement: ast.AugAssign, frame: Frame) -> None:
    """``a += value``: a new number, or an array or list changed."""
    target, kind = statement.target, statement.op
    match target:
        case ast.Name(id=name):
            before = frame.load(frame.mangled(name))
            after = _updated(kind, before, statement, frame)
            frame.store(frame.mangled(name), after)
        case ast.Attribute(value=node, attr=name):
            owner, machine = evaluate(node, frame), frame.machine
            before = evaluate(target, frame)
            after = _updated(kind, before, statement, frame)
            set_attribute(owner, frame.mangled(name), after, machine)
        case ast.Subscript(value=node, slice=index_node):
            owner = evaluate(node, frame)
            index = evaluate(index_node, frame)
            if _is_traced_item(owner, index, statement, frame):
                return
            before = get_item(owner, index, frame)
            after = _updated(kind, before, statement, frame)
            set_item(owner, index, after, frame)


def _is_traced_item(
    owner: Any, index: Any, statement: ast.AugAssign, frame: Frame
) -> bool:
    """``owner[index] <op>= value`` of a traced array; whether it was one."""
    memory = frame.machine.memory
    if isinstance(owner, np.ndarray) and has_tracer(index):
        memory.require_ref(owner)
    if not isinstance(owner, Tracer):
        return False
    used = [owner, *(index if isinstance(index, tuple) else (index,))]
    bases = [x.base for x in used if isinstance(x, View)]
    written = [memory.version(base) for base in bases]
    value = evaluate(statement.value, frame)
    frame.at(statement.lineno)
    if [memory.version(base) for base in bases] != written:
        raise frame.refused(
            "the right side of an update in place writes to the updated array.",
            "Compute it in a statement of its own.",
        )
    update_item(owner, index, type(statement.op), value, memory)
    return True


def _updated(
    kind: ast.operator, before: Any, statement: ast.AugAssign, frame: Frame
) -> Any:
    """``before <op>= value``: a new number, or the same list or array changed."""
    value = evaluate(statement.value, frame)
    frame.at(statement.lineno)
    return updated(type(kind), frame.machine, before, value)


def delete(statement: ast.Delete, frame: Frame) -> None:
    """``del a``."""
    machine = frame.machine
    for target in statement.targets:
        match target:
            case ast.Name(id=name):
                frame.delete(frame.mangled(name))
            case ast.Subscript(value=node, slice=index):
                owner, key = evaluate(node, frame), evaluate(index, frame)
                method = own_method(owner, "__delitem__")
                if method is not None:
                    machine.call(method, owner, key)
                    continue
                machine.outside.refuse_write(machine.builder, owner, "del")
                machine.memory.refuse_change(owner, "del")
                del owner[static_key(key)]
            case ast.Attribute(value=node, attr=name):
                owner = evaluate(node, frame)
                machine.outside.refuse_write(machine.builder, owner, "del")
                machine.memory.refuse_change(owner, "del")
                delattr(owner, frame.mangled(name))


def define(statement: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
    """``def``, with its decorators."""
    decorators = [evaluate(node, frame) for node in statement.decorator_list]
    function: Any = make_function(statement, frame)
    for decorator in reversed(decorators):
        function = frame.machine.call(decorator, function)
    frame.store(frame.mangled(statement.name), function)


def import_module(statement: ast.Import, frame: Frame) -> None:
    """``import module``."""
    for alias in statement.names:
        module = __import__(alias.name, frame.namespace, None, (), 0)
        if alias.asname:
            for part in alias.name.split(".")[1:]:
                module = getattr(module, part)
        name = alias.asname or alias.name.split(".")[0]
        frame.machine.outside.enter(module, name)
        frame.store(name, module)


def import_from(statement: ast.ImportFrom, frame: Frame) -> None:
    """``from module import name``."""
    names = [alias.name for alias in statement.names]
    module = __import__(
        statement.module or "", frame.namespace, None, names, statement.level
    )
    outside = frame.machine.outside
    outside.enter(module, module.__name__.split(".")[-1])
    for alias in statement.names:
        value = outside.attribute(frame.machine.builder, module, alias.name)
        frame.store(alias.asname or alias.name, value)
