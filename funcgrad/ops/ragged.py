"""Stacks of arrays whose lengths differ: residuals of a run-time loop inside another loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.types import ArrayType


class RaggedStack(list):
    """Values of successive iterations, of one type but for the axes without a length.

    Args:
        values: one array, or again a RaggedStack, per iteration.
        type: their type; None stands for the lengths that differ.
        order: axes of the stack in terms of (iterations, axes of the values), where they were transposed.
    """

    def __init__(
        self, values: Sequence[Any], type: ArrayType, order: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(values)
        self.type = type
        lengths = (len(self), *type.shape)
        self.order = tuple(range(len(lengths))) if order is None else order
        self.shape = tuple(lengths[i] for i in self.order)
        self.dtype = type.dtype

    def transpose(self, axes: Sequence[int]) -> RaggedStack:
        """The axes in another order; `np.transpose` calls this."""
        return RaggedStack(self, self.type, tuple(self.order[i] for i in axes))

    def elements(self, order: tuple[int, ...] | None = None) -> list[Any]:
        """The values with their axes as a stack of this order has them (that of iterations first by default)."""
        order = tuple(range(len(self.order))) if order is None else order
        # Axis i of the values wanted is where the stack shows it: at `order.index(i)`.
        axes = [self.order[order.index(i)] for i in range(len(order))]
        if axes[0] != 0:
            raise ValueError("the axis of iterations of a ragged stack cannot become another one")
        within = [axis - 1 for axis in axes[1:]]
        if within == sorted(within):
            return list(self)
        return [value.transpose(within) for value in self]

    def combine(self, other: RaggedStack, function: Callable[[Any, Any], Any]) -> RaggedStack:
        """A stack of `function(a, b)` for the values of two stacks of one loop."""
        pairs = zip(self, other.elements(self.order), strict=True)
        return RaggedStack([function(a, b) for a, b in pairs], self.type, self.order)

    def masked(
        self, flags: Any, axes: Sequence[int], function: Callable[[Any, Any, Any], Any]
    ) -> RaggedStack:
        """With zeros where flags, which run along some axes, do not hold; `function` masks one value."""
        places = [self.order[axis] for axis in axes]
        inner = tuple(place - 1 for place in places if place)
        each = [flags] * len(self)
        if 0 in places:
            others = [i for i, place in enumerate(places) if place]
            each = list(flags.transpose(places.index(0), *others))
        values = [function(c, value, inner) for c, value in zip(each, self, strict=True)]
        return RaggedStack(values, self.type, self.order)

    def repeated(self, axis: int, size: int, function: Callable[[Any], Any]) -> RaggedStack:
        """With a new axis: `function` puts it first in each value."""
        order = [i if i == 0 else i + 1 for i in self.order]
        order.insert(axis, 1)
        type = ArrayType((size, *self.type.shape), self.dtype)
        return RaggedStack([function(value) for value in self], type, tuple(order))

    def summed(self, axis: int, function: Callable[[Any, int], Any]) -> RaggedStack:
        """Without an axis: `function` sums each value over the axis it is given."""
        gone = self.order[axis]
        order = tuple(i - (i > gone) for i in self.order if i != gone)
        shape = self.type.shape
        type = ArrayType((*shape[: gone - 1], *shape[gone:]), self.dtype)
        return RaggedStack([function(value, gone - 1) for value in self], type, order)
