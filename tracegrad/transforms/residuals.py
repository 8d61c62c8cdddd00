"""Residuals: make available what the reverse sweep needs of forward regions.

The sweep was built using forward values freely. Those of regions are *needed*: each is
rebuilt at the head of the mirror region, or stored as it is computed and loaded there.

A nest of loops whose needed values can all be rebuilt stores nothing, whatever that
costs: its forward loops then often die, or fuse with the mirror. For the others, one
minimum cut weighs what is stored against what is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracegrad.ir.graph import Builder, Graph, Value, values_of
from tracegrad.transforms.materialise import (
    Materialiser,
    has_fixed_place,
    own_regions,
)
from tracegrad.transforms.mincut import UNCUTTABLE, Network
from tracegrad.transforms.rebuild import EACH, Recipe, Recipes, elements
from tracegrad.transforms.regions import Structure, is_ref

STORE, GROWING_STORE = 5, 15


def resolve(builder: Builder, graph: Graph, mirrors: Mapping[Graph, Graph]) -> None:
    """Edit a graph of two sweeps so that each value is used where it is seen.

    mirrors: by the forward regions.
    """
    structure = Structure(graph)
    recipes = Recipes(structure, mirrors)
    needed = _needed(structure, recipes, mirrors)
    found = _reachable(recipes, needed)
    kept, rebuilt = _decide(structure, needed, found)
    assert not any(map(is_ref, kept)), "mirrors have Refs of their own"
    for value in kept:
        if value in recipes.snapshots:
            recipes.snapshots.insert(value)
    Materialiser(builder, structure, mirrors, kept, rebuilt).run()


def _needed(
    structure: Structure, recipes: Recipes, mirrors: Mapping[Graph, Graph]
) -> list[Value]:
    """The forward values that mirrors use, in order of first use."""
    found: dict[Value, None] = {}
    for mirror in mirrors.values():
        if mirror not in structure.owner:
            continue
        for region in own_regions(mirror, mirrors):
            operands = [x for e in region.equations for x in e.inputs]
            used = values_of([*operands, *region.results])
            found.update(dict.fromkeys(x for x in used if recipes.is_forward(x)))
    return list(found)


def _reachable(recipes: Recipes, needed: list[Value]) -> dict[Value, Recipe | None]:
    """Needed values and all that rebuilding them could take, with their recipes."""
    found: dict[Value, Recipe | None] = {}
    todo = list(reversed(needed))
    while todo:
        value = todo.pop()
        if value not in found:
            recipe = found[value] = recipes.recipe(value)
            todo += recipe.operands if recipe is not None else ()
    return found


def _decide(
    structure: Structure, needed: list[Value], found: Mapping[Value, Recipe | None]
) -> tuple[list[Value], dict[Value, Recipe]]:
    """Which values are stored, and which are rebuilt and how."""
    free = _free(structure, found)
    cut = Network()
    for value in needed:
        cut.edge("source", ("available", value), UNCUTTABLE)
    for value, recipe in found.items():
        available, computed = ("available", value), ("computed", value)
        weight = elements(value) * EACH ** len(structure.loops(value.graph))
        price = STORE if has_fixed_place(structure, value.graph) else GROWING_STORE
        store = UNCUTTABLE if value in free else price * weight
        cut.edge(available, computed, store)
        if recipe is None:
            # Dear, but not impossible: it must be stored then.
            cut.edge(computed, "sink", UNCUTTABLE)
            continue
        depth = EACH ** len(structure.loops(value.graph))
        cut.edge(computed, "sink", recipe.cost * depth)
        for operand in recipe.operands:
            cut.edge(computed, ("available", operand), UNCUTTABLE)
    side = cut.source_side("source", "sink")
    kept = []
    rebuilt: dict[Value, Recipe] = {}
    for value, recipe in found.items():
        if ("available", value) in side:
            if ("computed", value) not in side:
                kept.append(value)
            elif recipe is not None:
                rebuilt[value] = recipe
    return kept, rebuilt


def _free(structure: Structure, found: Mapping[Value, Recipe | None]) -> set[Value]:
    """Values of nests where everything needed can be rebuilt."""
    possible = _possible(found)
    nests: dict[Graph | None, list[Value]] = {}
    for value in found:
        path = structure.path(value.graph)
        nests.setdefault(path[1] if len(path) > 1 else None, []).append(value)
    free = (values for values in nests.values() if possible.issuperset(values))
    return {value for values in free for value in values}


def _possible(found: Mapping[Value, Recipe | None]) -> set[Value]:
    """Values that can be rebuilt from nothing but what is there."""
    users: dict[Value, list[Value]] = {value: [] for value in found}
    missing: dict[Value, int] = {}
    for value, recipe in found.items():
        if recipe is not None:
            operands = set(recipe.operands)
            missing[value] = len(operands)
            for operand in operands:
                users[operand].append(value)
    possible = [value for value, count in missing.items() if not count]
    for value in possible:  # grows
        for user in users[value]:
            missing[user] -= 1
            if not missing[user]:
                possible.append(user)
    return set(possible)
