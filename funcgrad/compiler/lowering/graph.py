"""A Program as a graph of array nodes, in the few kinds that code generation knows.

*Lazy* nodes say how one element is computed from elements of their operands, so they can become part of any loop; a
`Step` needs its operands in memory and fills its results: a matrix product, a loop, or a call of the library where
nothing better is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.program import Equation, Literal
from funcgrad.ir.types import ArrayType


class Node:
    """One array value. `number` is its place in the graph, in execution order.

    A weak one is a Python number: it adopts the dtype of what it meets.
    """

    __slots__ = ("number", "operands", "type", "weak")

    def __init__(self, type: ArrayType, operands: Sequence[Node] = ()) -> None:
        self.type = type.strong()
        self.weak = type.weak
        self.operands = tuple(operands)
        self.number = -1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    def signature(self) -> tuple:
        """What tells this node from others with equal operands; hashable."""
        return (type(self).__name__,)

    def __repr__(self) -> str:
        operands = ", ".join(f"n{node.number}" for node in self.operands)
        details = " ".join(str(part) for part in self.signature()[1:])
        name = type(self).__name__.lower()
        return f"n{self.number}: {self.type} = {name} {details}({operands})".replace(" (", "(")


class Input(Node):
    """An array in memory when the graph starts."""

    __slots__ = ("position",)

    def __init__(self, type: ArrayType, position: int) -> None:
        super().__init__(type)
        self.position = position

    def signature(self) -> tuple:
        return ("Input", self.position)


class Constant(Node):
    """A number."""

    __slots__ = ("value",)

    def __init__(self, literal: Literal) -> None:
        super().__init__(literal.type)
        self.value = literal.value

    def signature(self) -> tuple:
        return ("Constant", type(self.value).__name__, repr(self.value))


class Full(Node):
    """An array of equal elements."""

    __slots__ = ("value",)

    def __init__(self, type: ArrayType, value: Any) -> None:
        super().__init__(type)
        self.value = value

    def signature(self) -> tuple:
        return ("Full", repr(self.value))


class Iota(Node):
    """Each element is its own index along `axis`."""

    __slots__ = ("axis",)

    def __init__(self, type: ArrayType, axis: int) -> None:
        super().__init__(type)
        self.axis = axis

    def signature(self) -> tuple:
        return ("Iota", self.axis)


class Map(Node):
    """An elementwise primitive on operands that broadcast. A loud one may cause warnings of NumPy."""

    __slots__ = ("is_loud", "params", "primitive")

    def __init__(
        self, type: ArrayType, operands: Sequence[Node], primitive: Any, params: dict
    ) -> None:
        super().__init__(type, operands)
        self.primitive = primitive
        self.params = params
        self.is_loud = False

    def signature(self) -> tuple:
        return ("Map", self.primitive.name, *sorted((k, str(v)) for k, v in self.params.items()))


class View(Node):
    """The elements of the operand under other indices: `how` is reshape, transpose, slice or broadcast."""

    __slots__ = ("how", "argument")

    def __init__(self, type: ArrayType, operand: Node, how: str, argument: Any) -> None:
        super().__init__(type, (operand,))
        self.how = how
        self.argument = argument

    def signature(self) -> tuple:
        return (self.how, self.argument)


class Place(Node):
    """Zeros (or the second operand) that hold the first operand at the slice `spec`."""

    __slots__ = ("spec",)

    def __init__(self, type: ArrayType, operands: Sequence[Node], spec: tuple) -> None:
        super().__init__(type, operands)
        self.spec = spec

    def signature(self) -> tuple:
        return ("Place", self.spec)


class Concatenate(Node):
    """Operands one after the other along `axis`."""

    __slots__ = ("axis",)

    def __init__(self, type: ArrayType, operands: Sequence[Node], axis: int) -> None:
        super().__init__(type, operands)
        self.axis = axis

    def signature(self) -> tuple:
        return ("Concatenate", self.axis)


class Gather(Node):
    """`x[i0, ..., ik]` with index arrays for the first axes; `drop` gives 0 outside, else outside is an error."""

    __slots__ = ("drop", "equation", "labels")

    def __init__(self, type: ArrayType, operands: Sequence[Node], labels: Any, drop: bool) -> None:
        super().__init__(type, operands)
        self.labels = labels
        self.drop = drop
        self.equation: Equation | None = None  # for errors

    def signature(self) -> tuple:
        return ("Gather", self.labels, self.drop)


class Window(Node):
    """The window of an array that begins at run-time starts; outside is an error.

    The leading axes of the starts are axes of the array too: one window for each index of them.
    """

    __slots__ = ("equation",)

    def __init__(self, type: ArrayType, operands: Sequence[Node]) -> None:
        super().__init__(type, operands)
        self.equation: Equation | None = None  # for errors

    @property
    def lead(self) -> int:
        """How many leading axes there are."""
        return len(self.operands[1].shape)


class Reduce(Node):
    """The elements along `axes` combined."""

    __slots__ = ("axes", "combine")

    def __init__(self, type: ArrayType, operand: Node, combine: str, axes: tuple[int, ...]) -> None:
        super().__init__(type, (operand,))
        self.combine = combine
        self.axes = axes

    def signature(self) -> tuple:
        return ("Reduce", self.combine, self.axes)


class Step(Node):
    """Work on whole arrays.

    Attributes:
        how: "dot", "scan", "library", ...
        params: what the backend needs to know.
        types: the types of the results.
        results: `Result` nodes, or those of a kernel that the step computes as well.
    """

    __slots__ = ("equation", "how", "params", "results", "types")

    def __init__(
        self,
        how: str,
        operands: Sequence[Node],
        types: Sequence[ArrayType],
        params: dict[str, Any],
        equation: Equation | None,
    ) -> None:
        super().__init__(types[0] if types else ArrayType((), np.bool_), operands)
        self.how = how
        self.params = params
        self.types = [type.strong() for type in types]
        self.equation = equation
        self.results: list[Node] = []

    def signature(self) -> tuple:
        return ("Step", self.how)


class Result(Node):
    """One result of a Step."""

    __slots__ = ("position",)

    def __init__(self, step: Step, position: int) -> None:
        super().__init__(step.types[position], (step,))
        self.position = position

    @property
    def step(self) -> Step:
        (step,) = self.operands
        assert isinstance(step, Step)
        return step

    def signature(self) -> tuple:
        return ("Result", self.position)


class Graph:
    """Nodes in execution order, and those that are results.

    Attributes:
        is_fast: whether arithmetic may be contracted (`Program.is_fast`).
    """

    def __init__(self, name: str, inputs: list[Input]) -> None:
        self.name = name
        self.inputs = inputs
        self.nodes: list[Node] = []
        self.outputs: list[Node] = []
        self.is_fast = False

    def __str__(self) -> str:
        lines = [repr(node) for node in self.nodes]
        outputs = ", ".join(f"n{node.number}" for node in self.outputs)
        return "\n".join(
            [f"graph {self.name}:", *("  " + line for line in lines), f"  -> {outputs}"]
        )


def operand_dtypes(primitive: Any, values: Sequence[Node]) -> tuple[np.dtype, ...]:
    """The dtypes in which an elementwise primitive reads its operands: weak ones adopt that of the others."""
    choosing = list(values[1:] if primitive.name == "select" else values)
    strong = [value.dtype for value in choosing if not value.weak]
    common = strong[0] if strong else np.result_type(*[value.dtype for value in choosing])
    return tuple([common if value.weak else value.dtype for value in values])
