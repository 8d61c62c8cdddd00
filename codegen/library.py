"""Print calls of dense routines: BLAS through ``np.dot``, LAPACK, sorts, searches."""

from __future__ import annotations

import ast

from codegen.expressions import assign, bundle, call, name
from codegen.loop_ir import Array, Library, Operand, Var

_SORT = ast.keyword("kind", ast.Constant("mergesort"))


def library_call(stmt: Library) -> ast.stmt:
    """The statement that calls a routine and stores what it gives."""
    args = [_operand(operand) for operand in stmt.operands]
    first = stmt.outputs[0]
    match stmt.routine:
        case "dot" if isinstance(first, Array):
            return ast.Expr(call("np.dot", *args, name(first.name)))
        case "dot":
            value = call("np.dot", *args)
        case "argsort":
            value = ast.Call(name("np.argsort"), args, [_SORT])
        case "svd":
            value = call("np.linalg.svd", *args, ast.Constant(False))
        case "searchsorted":
            value = call("np.searchsorted", *args)
        case "searchsorted_right":
            value = call("np.searchsorted", *args, ast.Constant("right"))
        case routine:
            value = call(f"np.linalg.{routine}", *args)
    targets = [_target(output) for output in stmt.outputs]
    return assign(bundle(targets), value)


def _operand(operand: Operand) -> ast.expr:
    """An operand BLAS and LAPACK can read: a strided one is copied, visibly."""
    node = name(operand.array.name)
    if operand.transposed and operand.array.rank > 1:
        node = ast.Attribute(node, "T")
    if not operand.array.contiguous:
        node = call("np.ascontiguousarray", node)
    return node


def _target(output: Array | Var) -> ast.expr:
    node = name(output.name)
    if isinstance(output, Array):
        return ast.Subscript(node, ast.Slice())
    return node
