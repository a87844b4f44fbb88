"""From a Program to its graph: primitives describe themselves to `Lowering` (their `lower` rule)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
    operand_dtypes,
)
from funcgrad.compiler.lowering.ragged import HOLDING_STACKS, has_stacks
from funcgrad.compiler.lowering.reductions import OF_NOTHING, POSITIONS
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.types import ArrayType

Supports = Callable[[Any, tuple[np.dtype, ...], tuple, dict, np.dtype], bool]


class Lowering:
    """What `Primitive.lower` talks to: builds the nodes of one graph.

    Args:
        supports: whether the backend computes an elementwise primitive on these dtypes (and known numbers).
        steps: the names of the steps that the backend has, and a test of whether it takes this one.
    """

    def __init__(
        self, supports: Supports, takes: Callable[[str, Sequence[Node], dict], bool]
    ) -> None:
        self.supports = supports
        self.takes = takes
        self.known: dict[tuple, Node] = {}
        self.nodes: list[Node] = []
        self.equation: Equation | None = None

    def add(self, node: Node) -> Node:
        """The node, or an equal one that exists already."""
        if not isinstance(node, Step):
            key = (
                node.signature(),
                node.type,
                tuple([id(operand) for operand in node.operands]),
            )
            known = self.known.setdefault(key, node)
            if known is not node:
                return known
        node.number = len(self.nodes)
        self.nodes.append(node)
        return node

    @property
    def type(self) -> ArrayType:
        """The type of the (first) result of the equation that is being lowered."""
        assert self.equation is not None
        return self.equation.outputs[0].type

    # --- lazy nodes ---

    has_caches = True  # whether work in parts that fit a cache is faster than on whole arrays

    def elementwise(self, primitive: Any, values: Sequence[Node], params: dict) -> Any:
        dtypes = operand_dtypes(primitive, values)
        numbers = tuple([v.value if isinstance(v, Constant) else None for v in values])
        if not self.supports(primitive, dtypes, numbers, params, self.type.dtype):
            return NotImplemented
        node = self.add(Map(self.type, values, primitive, params))
        assert isinstance(node, Map) and self.equation is not None
        node.is_loud |= not self.equation.is_quiet and may_warn(primitive, node)
        return node

    def broadcast(self, x: Node, shape: tuple[int, ...]) -> Node:
        return self.add(View(self.type, x, "broadcast", shape))

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        return self.add(View(self.type, x, "reshape", shape))

    def transpose(self, x: Node, permutation: tuple[int, ...]) -> Node:
        return self.add(View(self.type, x, "transpose", permutation))

    def slice(self, x: Node, spec: tuple) -> Node:
        return self.add(View(self.type, x, "slice", spec))

    def place(self, x: Node, spec: tuple, shape: tuple[int, ...]) -> Node:
        return self.add(Place(self.type, (x,), spec))

    def update(self, x: Node, updates: Node, spec: tuple) -> Node:
        return self.add(Place(self.type, (updates, x), spec))

    def concatenate(self, xs: Sequence[Node], axis: int) -> Node:
        return self.add(Concatenate(self.type, xs, axis))

    def full(self, shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
        return self.add(Full(self.type, value))

    def iota(self, shape: tuple[int, ...], axis: int, dtype: np.dtype) -> Any:
        if dtype.kind == "c":
            return NotImplemented
        return self.add(Iota(self.type, axis))

    def gather(self, x: Node, indices: Sequence[Node], labels: Any, drop: bool) -> Any:
        return self.located(Gather(self.type, (x, *indices), labels, drop))

    def dynamic_slice(self, x: Node, starts: Sequence[Node], sizes: tuple[int, ...]) -> Any:
        return self.located(Window(self.type, (x, *starts)))

    def located(self, node: Gather | Window) -> Node:
        """A node whose errors name the equation that it was made for."""
        node.equation = self.equation
        return self.add(node)

    def reduce(self, combine: str, x: Node, axes: tuple[int, ...], **params: Any) -> Any:
        if params or (combine in POSITIONS and len(axes) != 1):
            return NotImplemented
        if x.dtype.kind == "c" and combine in POSITIONS:
            return NotImplemented
        if 0 in x.shape:
            nothing = OF_NOTHING.get(combine)
            return NotImplemented if nothing is None else self.add(Full(self.type, nothing))
        if all(x.shape[axis] == 1 for axis in axes):
            if combine in POSITIONS:
                return self.add(Full(self.type, 0))
            return self.reshape(x, self.type.shape)
        return self.add(Reduce(self.type, x, combine, axes))

    def traced(self, function: Callable[..., Any], *values: Node) -> Any:
        """What a function composed of other primitives gives for these nodes."""
        program, captured = trace_flat(lambda *xs: [function(*xs)], [v.type for v in values])
        equation = self.equation
        assert not captured
        found = run_program(self, program, values)[0]
        self.equation = equation
        return found

    # --- steps ---

    def step(self, how: str, operands: Sequence[Node], **params: Any) -> Any:
        if not self.takes(how, operands, params):
            return NotImplemented
        return self.results(how, operands, params)

    def results(self, how: str, operands: Sequence[Node], params: dict) -> Any:
        assert self.equation is not None
        types = [variable.type for variable in self.equation.outputs]
        step = Step(how, operands, types, params, self.equation)
        self.add(step)
        step.results = [self.add(Result(step, i)) for i in range(len(types))]
        return step.results if self.equation.primitive.multiple else step.results[0]

    def dot(self, x: Node, y: Node, contract: Any, batch: Any) -> Any:
        """Operands with their axes in the order batch, free, contracted, and batch, contracted, free."""
        free_x = [i for i in range(len(x.shape)) if i not in contract[0] and i not in batch[0]]
        free_y = [i for i in range(len(y.shape)) if i not in contract[1] and i not in batch[1]]
        left = self.permuted(x, (*batch[0], *free_x, *contract[0]))
        right = self.permuted(y, (*batch[1], *contract[1], *free_y))
        return self.step("dot", (left, right), batch=len(batch[0]), contract=len(contract[0]))

    def permuted(self, x: Node, order: tuple[int, ...]) -> Node:
        if order == tuple(range(len(order))):
            return x
        type = ArrayType(tuple([x.shape[i] for i in order]), x.dtype)
        return self.add(View(type, x, "transpose", order))

    def triangular_solve(self, a: Node, b: Node, lower: bool, unit_diagonal: bool) -> Any:
        """Matrices are read as they lie in memory, also those that are transposed there."""
        (a, transposed), (b, right) = untransposed(a), untransposed(b)
        params = {"lower": lower != transposed, "unit_diagonal": unit_diagonal}
        params |= {"transposed": transposed, "right": right}
        if not self.takes("triangular_solve", (a, b), params):
            return NotImplemented
        step = Step("triangular_solve", (a, b), [b.type], params, self.equation)
        self.add(step)
        step.results = [self.add(Result(step, 0))]
        return self.permuted(step.results[0], swapped(b)) if right else step.results[0]

    def dynamic_update(self, x: Node, updates: Node, starts: Sequence[Node]) -> Any:
        return self.change("dynamic_update", x, (updates, *starts))

    def scatter(
        self, combine: str, x: Node, updates: Node, indices: Sequence[Node], **params: Any
    ) -> Any:
        return self.change("scatter", x, (updates, *indices), combine=combine, **params)

    def change(self, how: str, x: Node, operands: Sequence[Node], **params: Any) -> Any:
        """A step that changes some elements of a copy of `x`; equal elements need not be in memory first."""
        if isinstance(x, Full):
            return self.step(how + "_in_full", operands, fill=x.value, **params)
        return self.step(how, (x, *operands), **params)

    def cumulative(self, combine: str, x: Node, axis: int, reverse: bool) -> Any:
        return self.step("cumulative", (x,), combine=combine, axis=axis, reverse=reverse)

    def linear_recurrence(self, factor: Node, term: Node, axis: int, reverse: bool) -> Any:
        return self.step("recurrence", (factor, term), axis=axis, reverse=reverse)

    def convolution(self, lhs: Node, rhs: Node, **params: Any) -> Any:
        return self.step("convolution", (lhs, rhs), **params)

    def windows(self, operands: Sequence[Node], **params: Any) -> Any:
        return self.step("windows", operands, **params)

    def attention(self, name: str, values: Sequence[Node], **params: Any) -> Any:
        """One of the primitives of attention, where that is one operation."""
        del name, values, params
        return NotImplemented

    def takes_attention(self, name: str, types: Sequence[ArrayType], **params: Any) -> bool:
        """Whether one of these primitives is one operation for inputs of these types."""
        del name, types, params
        return False

    def scan(self, values: Sequence[Node], **params: Any) -> Any:
        return self.step("scan", values, **params)

    def while_loop(self, values: Sequence[Node], **params: Any) -> Any:
        return self.step("while", values, **params)

    def run_time_iota(self, count: Node) -> Any:
        return self.step("run_time_iota", (count,))

    def cond(self, index: Node, values: Sequence[Node], branches: tuple[Program, ...]) -> Any:
        return self.step("cond", (index, *values), branches=branches)

    def call(self, program: Program, values: Sequence[Node]) -> Any:
        return run_program(self, program, values)


def swapped(x: Node) -> tuple[int, ...]:
    """The axes with the last two exchanged."""
    rank = len(x.shape)
    return (*range(rank - 2), rank - 1, rank - 2)


def untransposed(x: Node) -> tuple[Node, bool]:
    """Matrices, or what they are the transposes of, and whether they are."""
    is_turned = isinstance(x, View) and x.how == "transpose" and x.argument == swapped(x)
    return (x.operands[0], True) if is_turned else (x, False)


def may_warn(primitive: Any, node: Node) -> bool:
    """Whether NumPy warns about some values of these operands."""
    if all(operand.dtype.kind in "iub" for operand in node.operands):
        divisor = node.operands[-1]
        is_safe = isinstance(divisor, Constant) and divisor.value not in (0, -1)
        return primitive.name in INTEGER_DIVISIONS and not is_safe
    return primitive.name not in SILENT and not primitive.name.startswith(("quiet", "masked"))


INTEGER_DIVISIONS = frozenset({"floor_divide", "remainder", "fmod", "reciprocal"})
SILENT_NAMES = """
negative select equal not_equal less less_equal greater greater_equal maximum minimum fmax fmin logical_and
logical_or logical_not logical_xor bitcast absolute relu clip sign signbit copysign isnan isinf isfinite floor
ceil rint trunc real imag conjugate norm_root norm_root_slope quotient complex
"""
SILENT = frozenset(SILENT_NAMES.split())


def run_program(lowering: Lowering, program: Program, values: Sequence[Node]) -> list[Node]:
    """Add the nodes of a Program whose inputs are these nodes; the nodes of its outputs."""
    nodes: dict[Variable, Node] = dict(zip(program.inputs, values, strict=True))

    def read(atom: Atom) -> Node:
        return lowering.add(Constant(atom)) if isinstance(atom, Literal) else nodes[atom]

    for equation in program.equations:
        lowering.equation = equation
        operands = [read(atom) for atom in equation.inputs]
        found = lower_equation(lowering, equation, operands)
        nodes.update(zip(equation.outputs, found, strict=True))
    return [read(atom) for atom in program.outputs]


def lower_equation(lowering: Lowering, equation: Equation, operands: list[Node]) -> Sequence[Node]:
    """The nodes of an equation's results; a library step if the primitive or the backend has no better way."""
    primitive = equation.primitive
    found: Any = NotImplemented
    if has_stacks(equation) and primitive.name not in HOLDING_STACKS:
        found = lowering.step("stack", operands, name=primitive.name, **equation.params)
    else:
        found = primitive.lower(lowering, *operands, **equation.params)
        lowering.equation = equation
    if found is NotImplemented:
        found = lowering.results("library", operands, {})
    return found if primitive.multiple else (found,)


def lower_program(
    program: Program,
    supports: Supports,
    takes: Callable[[str, Sequence[Node], dict], bool],
    kind: Callable[..., Lowering] = Lowering,
) -> Graph:
    """The graph of a Program; `kind` is what its primitives talk to."""
    lowering = kind(supports, takes)
    inputs = [Input(variable.type, position) for position, variable in enumerate(program.inputs)]
    for node in inputs:
        lowering.add(node)
    graph = Graph(program.name, inputs)
    graph.is_fast = program.is_fast
    graph.outputs = run_program(lowering, program, inputs)
    graph.nodes = lowering.nodes
    return graph
