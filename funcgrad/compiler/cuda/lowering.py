"""What GPUs lower in another way than CPUs: elements chosen row by row, as in losses with integer labels.

Such a gather is computed from the few elements that it needs of what it reads, and its transpose compares positions;
so the rows that they belong to need not be in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.masks import ReluMasks
from funcgrad.compiler.cuda.steps.attention_plan import attention_plan, strided_plan
from funcgrad.compiler.lowering.costs import is_leaf
from funcgrad.compiler.lowering.graph import Constant, Full, Gather, Iota, Map, Node, View
from funcgrad.compiler.lowering.index import is_affine_reshape
from funcgrad.compiler.lowering.lower import Lowering
from funcgrad.compiler.lowering.views import contiguous_base, rows_in_memory
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, less
from funcgrad.ops.create import iota
from funcgrad.ops.matmul import Axes, free_axes
from funcgrad.ops.select import select
from funcgrad.ops.shape import broadcast_to, reshape, transpose

RELUS = ("select", "maximum", "relu")
MAX_REPEATED = 48  # operations that are done again for the elements that a gather chooses


class CudaLowering(Lowering):
    """Builds the nodes of one graph.

    Args:
        args: those of `Lowering`.
        products: the library of matrix products, and of other operations (`steps/cublaslt.py`), if there is one.
    """

    has_caches = False

    def __init__(self, *args: Any, products: Any = None) -> None:
        super().__init__(*args)
        self.products = products
        self.masks = ReluMasks()

    def attention(self, name: str, values: Sequence[Node], **params: Any) -> Any:
        """One operation, if the library of products has it."""
        plan, products = (
            attention_plan(name, [value.type for value in values], **params),
            self.products,
        )
        if plan is None or products is None:
            return NotImplemented
        places = [rows_in_memory(value) for value in values[:3]]
        strides = [None if place is None else place.strides for place in places]
        strided = strided_plan(plan, values[:3], strides)
        if not (products.has_algorithm(strided) or products.has_algorithm(plan)):
            return NotImplemented
        return self.results("attention", values, {"plan": plan, **params})

    def takes_attention(self, name: str, types: Sequence[ArrayType], **params: Any) -> bool:
        plan = attention_plan(name, types, **params)
        return plan is not None and self.products is not None and self.products.has_algorithm(plan)

    def elementwise(self, primitive: Any, values: Sequence[Node], params: dict) -> Any:
        if primitive.name == "select":
            values = self.masks.by_result(self, values)
        found = super().elementwise(primitive, values, params)
        if found is not NotImplemented:
            self.masks.note(found)
            found = self.before_reshape(found)
        return found

    def before_reshape(self, node: Map) -> Node:
        """A function of one array that was reshaped from another order in memory: reshaped afterwards, so that it can
        be computed where the array is read. Relus stay as they are: masks are asked of their results.
        """
        wide = [operand for operand in node.operands if operand.type.size > 1]
        if len(wide) != 1 or not is_reordered(wide[0]) or node.primitive.name in RELUS:
            return node
        source = wide[0].operands[0]
        operands = [source if x is wide[0] else self.view(x, "reshape", ()) for x in node.operands]
        type = ArrayType(source.shape, node.dtype)
        found = self.add(Map(type, operands, node.primitive, node.params))
        return self.view(found, "reshape", node.shape)

    def view(self, x: Node, how: str, shape: tuple[int, ...]) -> Node:
        """A view of another shape."""
        return x if x.shape == shape else self.add(View(ArrayType(shape, x.dtype), x, how, shape))

    def dot(self, x: Node, y: Node, contract: Any, batch: Any) -> Any:
        if math.prod(x.shape[axis] for axis in contract[0]) != 1:
            return super().dot(x, y, contract, batch)
        return self.traced(lambda x, y: outer_product(x, y, contract, batch), x, y)

    def gather(self, x: Node, indices: Sequence[Node], labels: Any, drop: bool) -> Any:
        if drop or not isinstance(x, Map) or self.type.size > x.type.size:
            return super().gather(x, indices, labels, drop)
        return GatherOfMaps(self, indices, labels).of(x)

    def scatter(
        self, combine: str, x: Node, updates: Node, indices: Sequence[Node], **params: Any
    ) -> Any:
        axes = rows_of(x.shape, indices)
        is_empty = isinstance(x, Full) and x.value == 0
        if not is_empty or axes is None or combine not in ("add", "set", "linear"):
            return super().scatter(combine, x, updates, indices, **params)
        free = next(axis for axis in range(len(indices)) if axis not in axes)
        shape = tuple([n if a in axes else 1 for a, n in enumerate(x.shape[: len(indices)])])
        rest, length = x.shape[len(indices) :], x.shape[free]

        def compared(updates: Any, index: Any) -> Any:
            """The update where an element has the position that the index names."""
            index = reshape(broadcast_to(index, updates.shape[: updates.ndim - len(rest)]), shape)
            places = tuple([length if a == free else 1 for a in range(len(shape))])
            counted = iota(places, free, np.dtype(np.int64))
            index = convert(index, np.int64)
            index = select(less(index, 0), index + length, index)
            chosen = reshape(
                equal(index, counted), (*np.broadcast_shapes(shape, places), *[1] * len(rest))
            )
            found = select(
                chosen, reshape(updates, (*shape, *rest)), np.zeros((), updates.dtype)[()]
            )
            return broadcast_to(found, x.shape)

        return self.traced(compared, updates, indices[free])


def is_reordered(node: Node) -> bool:
    """Whether a reshape merges axes of something with another order in memory."""
    if not isinstance(node, View) or node.how != "reshape" or 0 in node.shape:
        return False
    base = contiguous_base(node)
    is_there = base is not None and is_leaf(base[0])
    return not is_there and not is_affine_reshape(node.operands[0].shape, node.shape)


def outer_product(x: Any, y: Any, contract: Axes, batch: Axes) -> Any:
    """A product whose sums have one term, as a map: it can be part of what is done with it."""
    free_x = free_axes(x.ndim, contract[0], batch[0])
    free_y = free_axes(y.ndim, contract[1], batch[1])
    lead = tuple([x.shape[axis] for axis in batch[0]])
    rows, columns = [x.shape[axis] for axis in free_x], [y.shape[axis] for axis in free_y]
    left = transpose(x, (*batch[0], *free_x, *contract[0]))
    right = transpose(y, (*batch[1], *contract[1], *free_y))
    left = reshape(left, (*lead, *rows, *[1] * len(columns)))
    return multiply(left, reshape(right, (*lead, *[1] * len(rows), *columns)))


def rows_of(shape: tuple[int, ...], indices: Sequence[Node]) -> list[int] | None:
    """The axes whose indices count the axes of the indices in order, if all but one do; None if not."""
    lead = np.broadcast_shapes(*[node.shape for node in indices]) if indices else ()
    counted = {axis: counted_axis(node, len(lead)) for axis, node in enumerate(indices)}
    axes = [axis for axis, place in counted.items() if place is not None]
    places = [counted[axis] for axis in axes]
    wide = [place for place, n in enumerate(lead) if n != 1]
    if len(axes) != len(indices) - 1 or places != wide:
        return None
    fits = all(shape[axis] == lead[place] for axis, place in zip(axes, wide, strict=True))
    return axes if fits else None


def counted_axis(node: Node, rank: int) -> int | None:
    """The axis of the indices along which this one counts from 0; None if it does something else."""
    if isinstance(node, View) and node.how in ("reshape", "broadcast"):
        source, wide = node.operands[0], [i for i, n in enumerate(node.shape) if n != 1]
        inner = counted_axis(source, len(source.shape))
        is_line = (
            inner is not None and len(wide) == 1 and source.shape[inner] == node.shape[wide[0]]
        )
        return wide[0] + rank - len(node.shape) if is_line else None
    if isinstance(node, Iota) and math.prod(node.shape) == node.shape[node.axis]:
        return node.axis + rank - len(node.shape)
    return None


class GatherOfMaps:
    """One gather, carried to the operands of what it reads.

    Args:
        lowering: where nodes are added.
        indices: index arrays for the first axes.
        labels: the names of these axes in errors.
    """

    def __init__(self, lowering: CudaLowering, indices: Sequence[Node], labels: Any) -> None:
        self.lowering = lowering
        self.indices = list(indices)
        self.labels = labels
        self.lead = np.broadcast_shapes(*[node.shape for node in indices])
        self.count = 0
        self.known: dict[Node, Node] = {}

    def of(self, x: Map) -> Node:
        """The elements of `x`, computed from elements of its operands."""
        found = self.gathered(x)
        return self.lowering.view(found, "broadcast", (*self.lead, *x.shape[len(self.indices) :]))

    def gathered(self, x: Node) -> Node:
        if x not in self.known:
            self.known[x] = self.pushed(x) if isinstance(x, Map) else self.read(x)
        return self.known[x]

    def pushed(self, x: Map) -> Node:
        self.count += 1
        if self.count > MAX_REPEATED:
            return self.read(x)
        operands = [self.operand(operand, len(x.shape)) for operand in x.operands]
        shapes = [node.shape for node in operands]
        type = ArrayType(np.broadcast_shapes(*shapes), x.dtype)
        found = self.lowering.add(Map(type, operands, x.primitive, x.params))
        assert isinstance(found, Map)
        found.is_loud |= x.is_loud
        return found

    def operand(self, x: Node, rank: int) -> Node:
        """The gather of an operand that is broadcast to this rank."""
        if not x.shape or isinstance(x, Constant):
            return x
        if len(x.shape) < rank:
            x = self.lowering.view(x, "reshape", (*[1] * (rank - len(x.shape)), *x.shape))
        count = len(self.indices)
        if all(n != 1 for n in x.shape[:count]):
            return self.gathered(x)
        return self.read(x)

    def read(self, x: Node) -> Node:
        """The elements of a node that is not computed again. Along axes of length 1 there is nothing to choose."""
        count = len(self.indices)
        axes = [axis for axis in range(count) if x.shape[axis] != 1]
        rest = x.shape[count:]
        places = [counted_axis(self.indices[axis], len(self.lead)) for axis in axes]
        lengths = [
            (axis, place) for axis, place in zip(axes, places, strict=True) if place is not None
        ]
        is_plain = len(lengths) == len(axes) and all(
            x.shape[axis] == self.lead[place] for axis, place in lengths
        )
        if is_plain and lengths == sorted(lengths, key=lambda pair: pair[1]):
            shape = [1] * len(self.lead)
            for axis, place in lengths:
                shape[place] = x.shape[axis]
            return self.lowering.view(x, "reshape", (*shape, *rest))
        return self.chosen(x, axes, rest)

    def chosen(self, x: Node, axes: list[int], rest: tuple[int, ...]) -> Node:
        """A gather along these axes only."""
        if len(axes) < len(self.indices):
            x = self.lowering.view(x, "reshape", (*[x.shape[axis] for axis in axes], *rest))
        indices = [self.indices[axis] for axis in axes]
        lead = np.broadcast_shapes((1,) * len(self.lead), *[node.shape for node in indices])
        labels = tuple([self.labels[axis] for axis in axes])
        type = ArrayType((*lead, *rest), x.dtype)
        return self.lowering.located(Gather(type, (x, *indices), labels, False))
