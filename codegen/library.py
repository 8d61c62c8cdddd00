"""Print calls of dense routines: BLAS through ``np.dot``, LAPACK, sorts, searches."""

from __future__ import annotations

import ast

from codegen.expressions import DENSE, assign, bundle, call, name
from codegen.loop_ir import Array, Library, Operand, Var


def library_call(stmt: Library) -> ast.stmt:
    """The statement that calls a routine and stores what it gives."""
    if stmt.routine in DENSE:
        return _own_call(stmt)
    args = [_operand(operand) for operand in stmt.operands]
    first = stmt.outputs[0]
    match stmt.routine:
        case "dot" if isinstance(first, Array):
            return ast.Expr(call("np.dot", *args, name(first.name)))
        case "dot":
            value = call("np.dot", *args)
        case "svd":
            value = call("np.linalg.svd", *args, ast.Constant(False))
        case routine:
            value = call(f"np.linalg.{routine}", *args)
    targets = [_target(output) for output in stmt.outputs]
    return assign(bundle(targets), value)


def _own_call(stmt: Library) -> ast.stmt:
    """``linear_solve(a.T, b, x)``: arrays are filled, numbers given back."""
    args = [_oriented(operand) for operand in stmt.operands]
    arrays = [name(x.name) for x in stmt.outputs if isinstance(x, Array)]
    value = call(DENSE[stmt.routine], *args, *arrays)
    scalars = [name(x.name) for x in stmt.outputs if isinstance(x, Var)]
    return assign(bundle(scalars), value) if scalars else ast.Expr(value)


def _operand(operand: Operand) -> ast.expr:
    """An operand BLAS and LAPACK can read: a strided one is copied, visibly."""
    node = _oriented(operand)
    return node if operand.array.contiguous else call("np.ascontiguousarray", node)


def _oriented(operand: Operand) -> ast.expr:
    node = name(operand.array.name)
    if operand.transposed and operand.array.rank > 1:
        node = ast.Attribute(node, "T")
    return node


def _target(output: Array | Var) -> ast.expr:
    node = name(output.name)
    if isinstance(output, Array):
        return ast.Subscript(node, ast.Slice())
    return node
