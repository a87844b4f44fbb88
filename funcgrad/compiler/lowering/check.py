"""The rules that graphs, partitions and plans must keep, as code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Graph,
    Input,
    Map,
    Node,
    Reduce,
    Result,
    Step,
    View,
)
from funcgrad.compiler.lowering.kernels import Kernel, Partition
from funcgrad.compiler.lowering.plan import ALIGNMENT, Plan, padded


def require(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(f"[compiler] {message}")


# --- graphs ---


def check_graph(graph: Graph) -> None:
    """Nodes are numbered in execution order, and their types follow from those of their operands.

    Errors:
        AssertionError: a rule is broken.
    """
    known: set[Node] = set()
    for number, node in enumerate(graph.nodes):
        require(node.number == number, f"node {number} has the number {node.number}")
        require(known.issuperset(node.operands), f"{node} is computed before its operands")
        require(has_right_shape(node), f"the shape of {node} does not follow from its operands")
        known.add(node)
    require(known.issuperset(graph.outputs), "an output is no node of the graph")
    inputs = [node for node in graph.nodes if isinstance(node, Input)]
    require(
        [n.position for n in inputs] == list(range(len(graph.inputs))), "inputs are in disorder"
    )


def has_right_shape(node: Node) -> bool:
    """Whether the shape of a node is what its kind makes of those of its operands."""
    shapes = [operand.shape for operand in node.operands]
    if any(None in shape for shape in (node.shape, *shapes)):
        return True  # known at run time
    if isinstance(node, Map):
        return np.broadcast_shapes(*shapes) == node.shape
    if isinstance(node, Reduce):
        kept = [n for axis, n in enumerate(shapes[0]) if axis not in node.axes]
        return tuple(kept) == node.shape
    if isinstance(node, Concatenate):
        total = sum(shape[node.axis] for shape in shapes)
        return all(
            node.shape == (*shape[: node.axis], total, *shape[node.axis + 1 :]) for shape in shapes
        )
    if isinstance(node, View):
        return view_shape(node, shapes[0]) == node.shape
    if isinstance(node, Result):
        step = node.operands[0]
        return isinstance(step, Step) and step.types[node.position] == node.type
    return True


def view_shape(node: View, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a view of an array of this shape."""
    if node.how == "transpose":
        return tuple([shape[axis] for axis in node.argument])
    if node.how == "broadcast":
        return np.broadcast_shapes(shape, node.shape)
    if node.how == "reshape":
        return node.shape if math.prod(shape) == math.prod(node.shape) else shape
    entries = [entry if isinstance(entry, int) else slice(*entry) for entry in node.argument]
    return np.broadcast_to(np.int8(0), shape)[tuple(entries)].shape


# --- partitions ---


def check_partition(partition: Partition) -> None:
    """What must be in memory has one writer, and each member of a kernel belongs to loops of its lengths.

    Errors:
        AssertionError: a rule is broken.
    """
    written: dict[Node, set[int]] = {}
    for number, unit in enumerate(partition.units):
        for node in unit.results if isinstance(unit, Step) else [s.owner for s in unit.stores]:
            written.setdefault(node, set()).add(number)
        if isinstance(unit, Kernel):
            check_kernel(unit)
    require(len(set(partition.units)) == len(partition.units), "a kernel or step appears twice")
    for node in partition.stored:
        require(isinstance(node, Input) or node in written, f"nothing writes {node}")
    for node in partition.graph.outputs:
        require(node in written or isinstance(node, Input), f"nothing writes the output {node}")


def check_kernel(kernel: Kernel) -> None:
    """The loops of each member are those of its axes."""
    require(kernel.merged is None, f"{kernel} was merged into another one")
    if kernel.is_tiny:
        return
    for node, axes in kernel.axes.items():
        require(len(axes) == len(node.shape), f"{node} has {len(axes)} loops in {kernel}")
        require(fits(kernel, axes, node.shape), f"loops {axes} of {kernel} do not fit {node}")
    for node, loops in kernel.reduced.items():
        require(isinstance(node, Reduce), f"{node} is reduced in {kernel}")
        lengths = [node.operands[0].shape[axis] for axis in node.axes]
        extents = [kernel.domain[loop] for loop in loops]
        require(
            math.prod(lengths) == math.prod(extents),
            f"{node} is reduced over {extents} in {kernel}",
        )
        require(not set(loops) & set(kernel.axes[node]), f"{node} is reduced over its own axes")
    for store in kernel.stores:
        require(fits(kernel, store.axes, store.node.shape), f"loops of the store of {store.node}")


def fits(kernel: Kernel, axes: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """Whether each axis has a loop of its own and of its length, or none if there is one element."""
    loops = [axis for axis in axes if axis is not None]
    lengths = [1 if axis is None else kernel.domain[axis] for axis in axes]
    return len(set(loops)) == len(loops) and tuple(lengths) == tuple(shape)


# --- plans ---


def check_plan(plan: Plan) -> None:
    """Everything is written before it is read, results are written, and no two arrays in use share memory.

    Errors:
        AssertionError: a rule is broken.
    """
    first, last = lifetimes(plan)
    # A kernel may write one array to several results.
    filled = {plan.places[key].number for key in first if plan.places[key].kind == "output"}
    for number, node in enumerate(plan.graph.outputs):
        is_written = node in first or isinstance(node, Input) or not node.type.size
        require(is_written, f"output {number}, {node}, is never written")
        place = plan.places[node]
        is_own = (place.kind, place.number) == ("output", number)
        is_there = is_own or number in filled or (number, node) in plan.copies
        require(is_there, f"output {number} is not where it belongs")
    check_arena(plan, first, last)
    for inner in plan.inner.values():
        for found in inner:
            check_plan(found)


def lifetimes(plan: Plan) -> tuple[dict[Any, int], dict[Any, int]]:
    """When each array is written first and used last, as numbers of units."""
    first: dict[Any, int] = {}
    last: dict[Any, int] = {}
    for time, unit in enumerate(plan.units):
        for node in plan.reads(unit):
            if None in node.shape and node not in plan.places:  # on a GPU it finds its own memory
                continue
            is_known = node in first or isinstance(node, Input) or not node.type.size
            require(is_known, f"{unit} reads {node} before it is written")
            last[node] = time
        for key, _ in plan.writes(unit):
            require(key in plan.places, f"{key} of {unit} has no memory")
            first.setdefault(key, time)
            last[key] = time
    for _, node in plan.copies:
        last[node] = len(plan.units)
    return first, last


def check_arena(plan: Plan, first: dict[Any, int], last: dict[Any, int]) -> None:
    """Arrays that are in use at the same time lie apart in the arena."""
    sizes = {key: size for unit in plan.units for key, size in plan.writes(unit)}
    events = []
    for key, start, size in arena_places(plan, sizes):
        require(start % ALIGNMENT == 0 and start + size <= plan.arena, f"{key} leaves the arena")
        events += [(first[key], 0, start, size, key), (last[key], 1, start, size, key)]
    used: dict[int, tuple[int, Any]] = {}
    for _, is_end, start, size, key in sorted(events, key=lambda event: event[:2]):
        if is_end:
            used.pop(start)
            continue
        for other, (length, owner) in used.items():
            apart = start + size <= other or other + length <= start
            require(apart, f"{key} and {owner} share bytes of the arena")
        used[start] = (size, key)


def arena_places(plan: Plan, sizes: dict[Any, int]) -> Iterator[tuple[Any, int, int]]:
    """What lies in the arena, where, and how large it is."""
    for key, place in plan.places.items():
        if place.kind == "arena":
            yield key, place.number, padded(sizes[key])
