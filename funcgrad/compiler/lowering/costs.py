"""How much work it is to compute an element: what is rather repeated than stored."""

from __future__ import annotations

from collections import Counter

from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Full,
    Gather,
    Graph,
    Input,
    Iota,
    Map,
    Node,
    Place,
    Reduce,
    Result,
    Step,
    View,
    Window,
)
from funcgrad.compiler.lowering.reads import behind_views

DEAR = {"power": 12, "quiet_power": 12, "threefry": 40, "divide": 4, "quiet_divide": 4, "sqrt": 4}
SIMPLE_NAMES = """
add subtract multiply negative select equal not_equal less less_equal greater greater_equal maximum minimum
fmax fmin logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor invert left_shift
right_shift convert bitcast absolute square relu clip sign signbit copysign isnan isinf isfinite floor ceil
rint trunc quiet_multiply quiet_subtract masked_multiply real conjugate
"""
SIMPLE = frozenset(SIMPLE_NAMES.split())


def cost_of(node: Node) -> int:
    """Simple operations per element of a node itself."""
    if isinstance(node, Map):
        name = node.primitive.name
        return 1 if name in SIMPLE else DEAR.get(name, 12)
    return 1 if isinstance(node, Place | Concatenate | Gather | Window | Reduce) else 0


def tree_costs(graph: Graph) -> dict[Node, int]:
    """Simple operations per element of each node, with everything that would have to be computed again."""
    costs: dict[Node, int] = {}
    for node in graph.nodes:
        own = 1 << 20 if isinstance(node, Reduce | Step) else cost_of(node)
        behind = sum(costs[operand] for operand in node.operands if not is_leaf(operand))
        costs[node] = min(1 << 20, own + behind)
    return costs


def uses_behind_views(graph: Graph) -> Counter[Node]:
    """How often each node is read, also where views lie between."""
    readers = [node for node in graph.nodes if not isinstance(node, View)]
    return Counter([behind_views(operand) for node in readers for operand in node.operands])


def is_leaf(node: Node) -> bool:
    return isinstance(node, Input | Constant | Full | Iota | Result)
