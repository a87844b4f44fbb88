"""A call of a model as a Program in which every equation belongs to a layer, without computing anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.compiler.passes.cost import equation_cost
from funcgrad.ir.program import Equation, Program
from funcgrad.ir.tracer import state, type_of
from funcgrad.ir.types import ArrayType
from funcgrad.nn.structures import as_structures
from funcgrad.nn.tapping import Tap, type_name
from funcgrad.transforms.arguments import is_array_leaf
from funcgrad.transforms.staging import trace_tree


class LayerCall(NamedTuple):
    """One call of one layer.

    Attributes:
        path: of the layer.
        name: of its class or function.
        module: the layer.
        depth: in how many other calls it lies.
        start, stop: numbers of its equations.
        outputs: types of its results.
        flops: arithmetic operations of its equations, an estimate.
        is_top: whether `start` and `stop` count equations of the whole Program, not of a loop inside it.
    """

    path: str
    name: str
    module: Any
    depth: int
    start: int
    stop: int
    outputs: list[ArrayType]
    flops: float
    is_top: bool


class Recording(NamedTuple):
    """A call of a model.

    Attributes:
        program: all equations. Its first inputs are `captured`, parameters for example.
        captured: the arrays behind these inputs.
        calls: of all layers, in the order in which they began.
        outputs: types of the results.
    """

    program: Program
    captured: list[Any]
    calls: list[LayerCall]
    outputs: list[ArrayType]


def record_calls(model: Any, inputs: tuple, options: dict[str, Any]) -> Recording:
    """Record `model.apply(*inputs, **options)`; inputs may be shapes, which are those of float32 arrays."""
    calls: list[Any] = []
    depth = 0

    def handler(path: str, module: Any, run: Callable[[], Any]) -> Any:
        nonlocal depth
        builder: Any = state.ambient
        number, start = len(calls), len(builder.equations)
        calls.append(None)
        depth += 1
        out = run()
        depth -= 1
        types = [type_of(leaf) for leaf in tree.leaves(out) if is_array_leaf(leaf)]
        stop = len(builder.equations)
        flops = total_flops(builder.equations[start:stop])
        name, is_top = type_name(module), builder is root[0]
        calls[number] = LayerCall(path, name, module, depth, start, stop, types, flops, is_top)
        return out

    root: list[Any] = []

    def call(*given: Any) -> Any:
        root.append(state.ambient)
        return model.apply(*given, **options)[0]

    with Tap(model, handler) as model:
        program, captured, outputs = trace_tree(call, as_structures(inputs))
    types = program.output_types[: len(outputs.places)]
    return Recording(program, captured, calls, types)


def total_flops(equations: list[Equation]) -> float:
    """Arithmetic operations of equations, an estimate."""
    return sum(map(_flops, equations))


def _flops(equation: Equation) -> float:
    if equation.primitive.name == "gather":
        return 0.0  # it moves elements; the compiler's estimate is one of time
    if equation.primitive.name != "convolve":
        return equation_cost(equation).flops
    labels, weights = equation.params["labels"], equation.inputs[1].type.shape
    # Each weight meets every element of the result but along its own free axes.
    free = [n for a, n in zip(labels[1], weights, strict=True) if a in labels[2] and a.isalpha()]
    return 2.0 * math.prod(weights) * math.prod(equation.outputs[0].type.shape) / math.prod(free)
