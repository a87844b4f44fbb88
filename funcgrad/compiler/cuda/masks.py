"""Where the derivative of `relu` is 0, as a question about its result: its operand need not be kept for that."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.lowering.graph import Constant, Map, Node
from funcgrad.compiler.lowering.lower import Lowering


class ReluMasks:
    """The tests `x <= 0` of which some node is `select(x <= 0, 0, x)`, in one graph."""

    def __init__(self) -> None:
        self.results: dict[Node, Map] = {}

    def note(self, node: Node) -> None:
        """Remember a node if it is such a result."""
        if not isinstance(node, Map) or node.primitive.name != "select":
            return
        test, zero, x = node.operands
        is_test = isinstance(test, Map) and test.primitive.name == "less_equal"
        if is_test and test.operands[0] is x and is_zero(test.operands[1]) and is_zero(zero):
            self.results[test] = node

    def by_result(self, lowering: Lowering, values: Sequence[Node]) -> Sequence[Node]:
        """The operands of a select, whose test asks the result where it has asked the operand.

        The two agree: where `x` is NaN both do not hold.
        """
        test, *choices = values
        known = self.results.get(test)
        if known is None or test.operands[0] in choices:
            return values
        assert isinstance(test, Map)
        other = Map(test.type, (known, test.operands[1]), test.primitive, test.params)
        other.is_loud = test.is_loud
        return [lowering.add(other), *choices]


def is_zero(node: Node) -> bool:
    return isinstance(node, Constant) and node.value == 0
