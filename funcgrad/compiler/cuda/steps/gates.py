"""Kernels that let a gradient through where an array is positive, as behind a relu, and sum its columns."""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.compiler.cuda.steps.activations import factor_of
from funcgrad.compiler.cuda.steps.reading import is_whole
from funcgrad.compiler.lowering.graph import Map, Node, Reduce
from funcgrad.compiler.lowering.kernels import Kernel, Store


class Gate(NamedTuple):
    """What a kernel computes that lets elements of one array through where those of another are positive.

    Attributes:
        result: the elements that were let through, and 0 for others.
        passed: the array that they come from.
        source: the array that is compared with 0, by the primitive of this name.
        sums: the sums of the columns of the result, if the kernel makes them.
        rest: what else it stores.
    """

    result: Node
    passed: Node
    source: Node
    test: str
    sums: Reduce | None
    rest: list[Store]


def gate_of(kernel: Kernel) -> Gate | None:
    """What a kernel lets through; None if it lets nothing through, or cannot do the rest without it."""
    sums = next(iter(kernel.reduced), None)
    if kernel.is_tiny or len(kernel.reduced) > 1:
        return None
    wide = [store for store in kernel.stores if len(set(store.axes) - {None}) == len(kernel.domain)]
    if len(wide) != 1 or not is_whole(wide[0]) or not isinstance(wide[0].node, Map):
        return None
    result = wide[0].node
    if sums and not (sums.operands[0] is result and is_sum_of_columns(sums)):
        return None
    test = result.operands[0]
    if result.primitive.name != "select" or not isinstance(test, Map):
        return None
    name = test.primitive.name
    if name not in ("less_equal", "greater") or factor_of(test.operands[1]) != 0:
        return None
    zero, passed = result.operands[1:] if name == "less_equal" else result.operands[:0:-1]
    if factor_of(zero) != 0:
        return None
    rest = [s for s in kernel.stores if s is not wide[0] and not (s.node is sums and is_whole(s))]
    return Gate(result, passed, test.operands[0], name, sums, rest)


def is_sum_of_columns(node: Node) -> bool:
    """Whether a node is the sum over leading axes, in the same dtype."""
    if not isinstance(node, Reduce) or node.combine != "add":
        return False
    return node.axes == tuple(range(len(node.axes))) and node.dtype == node.operands[0].dtype
