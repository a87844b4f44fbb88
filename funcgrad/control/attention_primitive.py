"""What the primitives of attention share: named operands, examples as the first axis, formulas as their meaning."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad.compiler.pipeline import simplified
from funcgrad.control.attention_masks import bias_for, with_bias_only, without_blind
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Program
from funcgrad.ir.quiet import quiet
from funcgrad.ir.types import ArrayType
from funcgrad.ops.attention_spec import AttentionSpec
from funcgrad.ops.shape import broadcast_to, moveaxis, reshape
from funcgrad.transforms.jvp import JvpTrace, JvpTracer


class AttentionPrimitive(Primitive):
    """What the three primitives of this file share: operands have names, and examples are their first axis."""

    multiple = True

    def names(self, spec: AttentionSpec, **params: Any) -> tuple[str, ...]:
        """The names of the operands."""
        raise NotImplementedError(f"{self.name} has no names for its operands")

    def composed(self, arrays: dict[str, Any], is_looped: bool, **params: Any) -> list[Any]:
        """The results from arrays by name."""
        raise NotImplementedError(f"{self.name} has no formula")

    def formula(self, *operands: Any, is_looped: bool = False, **params: Any) -> list[Any]:
        """The results as a composition of other primitives."""
        arrays = dict(zip(self.names(**params), operands, strict=True))
        return self.composed(arrays, is_looped, **params)

    def numpy(self, xp: Any, *operands: Any, **params: Any) -> list[Any]:
        return self.formula(*operands, is_looped=xp is np, **params)

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        with JvpTrace() as trace:
            pairs = zip(primals, tangents, strict=True)
            inputs = [x if t is None else JvpTracer(trace, x, t) for x, t in pairs]
            outs, moved = trace.split(self.formula(*inputs, **params))
            return outs, moved

    def lower(self, emit: Any, *operands: Any, **params: Any) -> Any:
        found = emit.attention(self.name, operands, **params)
        if found is not NotImplemented:
            return found
        spec = params["spec"]
        bias = with_bias_only(spec, [x.type for x in operands[: len(spec.inputs)]])
        if bias is not None and emit.takes_attention(self.name, bias, **only_bias(params)):
            run = functools.partial(self.with_bias, type=bias[-1], **params)
            return lowered(emit, run, operands, self.name)
        return self.lower_formula(emit, operands, params)

    def lower_formula(self, emit: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        """The nodes of the formula. If the same graph has the weights, these are read."""
        names, is_looped = self.names(**params), emit.has_caches
        if "logsumexp" in names:
            weights = emit.known.get(weights_beside(operands[names.index("logsumexp")]))
            if weights is not None:
                names, operands, is_looped = (*names, "weights"), (*operands, weights), False

        def run(*xs: Any) -> list[Any]:
            return self.composed(dict(zip(names, xs, strict=True)), is_looped, **params)

        return lowered(emit, run, operands, self.name)

    def with_bias(self, *operands: Any, type: ArrayType, **params: Any) -> list[Any]:
        """The results by this primitive with a bias of this type instead of all extras."""
        names, spec = self.names(**params), params["spec"]
        arrays = dict(zip(names, operands, strict=True))
        if "cotangent" in arrays:
            arrays["cotangent"] = without_blind(spec, arrays, arrays["cotangent"])
        results = [arrays[name] for name in names[len(spec.inputs) :]]
        bias = bias_for(spec, arrays, type)
        inputs = (arrays["query"], arrays["key"], arrays["value"], bias)
        return self(*inputs, *results, **only_bias(params))

    def composition(self, *types: ArrayType, **params: Any) -> Program:
        return recorded_once(self, types, tuple(params.items()))

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        """All examples of all examples along one axis. What is the same for all of them stays one."""
        named = list(zip(self.names(**params), args, axes, strict=True))
        lead = (size, named[0][1].shape[1 if axes[0] == 0 else 0])
        own = self.with_own_bias(**params)
        folded = [
            x if axis is None and x.shape[0] == 1 and may_be_one(name, own) else fold(x, axis, lead)
            for name, x, axis in named
        ]
        outs = self(*folded, **params)
        return [reshape(x, (*lead, *x.shape[1:])) for x in outs], [0] * len(outs)

    def with_own_bias(self, **params: Any) -> bool:
        """Whether each example must have a bias of its own, because it has a derivative."""
        del params
        return False


def only_bias(params: dict[str, Any]) -> dict[str, Any]:
    """The params of the same operation with a bias instead of all extras."""
    return {**params, "spec": replace(params["spec"], extras=("bias",))}


def weights_beside(logarithms: Any) -> tuple[str, int]:
    """The key under which a graph knows the weights that were computed with these logarithms."""
    return "weights", id(logarithms)


def lowered(emit: Any, run: Callable[..., Any], operands: Sequence[Any], name: str) -> list[Any]:
    """The nodes of a function of arrays."""
    with quiet() if emit.equation.is_quiet else contextlib.nullcontext():
        program = recorded(run, [x.type for x in operands], name)
    return emit.call(simplified(program), operands)


def recorded(run: Callable[..., Any], types: Sequence[ArrayType], name: str) -> Program:
    """A function of arrays of these types as a Program."""
    program, captured = trace_flat(run, types, name)
    assert not captured
    return program


@functools.lru_cache(256)
def recorded_once(
    primitive: AttentionPrimitive, types: tuple[ArrayType, ...], params: tuple
) -> Program:
    """The formula for whole arrays, by which costs are estimated: that of a loop is the same."""
    return recorded(functools.partial(primitive.formula, **dict(params)), types, primitive.name)


def may_be_one(name: str, own: bool) -> bool:
    """Whether an operand may have one example for all."""
    return name == "mask" or (name == "bias" and not own)


def fold(x: Any, axis: int | None, lead: tuple[int, int]) -> Any:
    """An operand with both axes of examples as one."""
    if axis is not None:
        x = moveaxis(x, axis, 0)
    rest = x.shape[1:] if axis is None else x.shape[2:]
    return reshape(broadcast_to(x, (*lead, *rest)), (lead[0] * lead[1], *rest))
