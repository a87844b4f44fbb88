"""Attention as primitives: the result with logarithms that let its weights be computed again, tangents, gradients.

They are operations of their own, not compositions, so that a library can take them, so that derivatives keep nothing
of the size T x S, and so that machines with caches take heads one by one. Their meaning is that of the formulas in
`ops/attention.py`, which is also what they are differentiated and compiled as where nothing better is known.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad.compiler.pipeline import simplified
from funcgrad.control.attention_loops import (
    attend_by_heads,
    gradients_by_heads,
    is_large,
)
from funcgrad.control.attention_masks import bias_for, with_bias_only, without_blind
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.program import Program
from funcgrad.ir.quiet import quiet
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.attention import (
    AttentionSpec,
    attend,
    gradients_of,
    grouped,
    tangents_of,
    ungrouped,
)
from funcgrad.ops.cast import convert
from funcgrad.ops.cotangents import unbroadcast, zeros_like_type
from funcgrad.ops.reduce import accumulator, reduce_sum
from funcgrad.ops.shape import broadcast_to, expand_dims, moveaxis, reshape
from funcgrad.transforms.call import present, spread
from funcgrad.transforms.jvp import JvpTrace, JvpTracer

MOVING = ("query", "key", "value", "bias")  # what may have tangents


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


class Attention(AttentionPrimitive):
    """Results (examples, T, heads N, size), and the logarithms (examples, N, T) of the sums of powers of each row."""

    def names(self, spec: AttentionSpec) -> tuple[str, ...]:
        return spec.inputs

    def type_rule(self, *types: ArrayType, spec: AttentionSpec) -> list[ArrayType]:
        del spec
        query, _, value = types[:3]
        examples, length, heads, _ = query.shape
        out = ArrayType((*query.shape[:3], value.shape[3]), query.dtype)
        return [out, ArrayType((examples, heads, length), accumulator(query.dtype))]

    def with_bias(self, *operands: Any, type: ArrayType, **params: Any) -> list[Any]:
        out, total = super().with_bias(*operands, type=type, **params)
        arrays = dict(zip(self.names(**params), operands, strict=True))
        return [without_blind(params["spec"], arrays, out), total]

    def composed(self, arrays: dict[str, Any], is_looped: bool, *, spec: AttentionSpec) -> list:
        """The results, and the weights if there are any."""
        heads = arrays["key"].shape[2]
        arrays = {name: grouped(name, x, heads) for name, x in arrays.items()}
        run = attend_by_heads if is_looped and is_large(spec, arrays) else attend
        out, total, *weights = run(spec, arrays)
        return [ungrouped("out", out), ungrouped("logsumexp", total), *weights]

    def formula(self, *operands: Any, is_looped: bool = False, **params: Any) -> list[Any]:
        return super().formula(*operands, is_looped=is_looped, **params)[:2]

    def lower_formula(self, emit: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        out, total, *weights = super().lower_formula(emit, operands, params)
        if weights:
            emit.known[weights_beside(total)] = weights[0]
        return [out, total]

    def jvp(self, primals: Sequence, tangents: Sequence, *, spec: AttentionSpec) -> tuple:
        outs = self(*primals, spec=spec)
        moving = tuple(
            name
            for name, t in zip(spec.inputs, tangents, strict=True)
            if name in MOVING and t is not None
        )
        given = present(tangents)
        return outs, ATTENTION_TANGENT(*primals, *outs, *given, spec=spec, moving=moving)


class AttentionTangent(AttentionPrimitive):
    """The derivative of `Attention`, linear in the tangents of the inputs that `moving` names."""

    def names(self, spec: AttentionSpec, moving: tuple[str, ...]) -> tuple[str, ...]:
        return (*spec.inputs, "out", "logsumexp", *["tangent_" + name for name in moving])

    def type_rule(self, *types: ArrayType, spec: AttentionSpec, moving: tuple) -> list[ArrayType]:
        del moving
        place = len(spec.inputs)
        return [type.strong() for type in types[place : place + 2]]

    def composed(
        self, arrays: dict[str, Any], is_looped: bool, *, spec: AttentionSpec, moving: tuple
    ) -> list[Any]:
        del is_looped
        heads = arrays["key"].shape[2]
        arrays = {name: grouped(name, x, heads) for name, x in arrays.items()}
        tangents = {name: arrays["tangent_" + name] for name in moving}
        out, total = tangents_of(spec, arrays, tangents)
        return [ungrouped("out", out), ungrouped("logsumexp", total)]

    def with_own_bias(self, *, spec: AttentionSpec, moving: tuple[str, ...]) -> bool:
        del spec
        return "bias" in moving

    def transpose(
        self, cotangent: Sequence, *inputs: Any, spec: AttentionSpec, moving: tuple[str, ...]
    ) -> list[Any]:
        residuals, tangents = inputs[: -len(moving)], inputs[-len(moving) :]
        flags = [is_linear(t) for t in tangents]
        wanted = tuple([name for name, flag in zip(moving, flags, strict=True) if flag])
        out, pulls = cotangent
        if out is None:
            out = zeros_like_type(type_of(residuals[-2]).strong())
        given = [out] if pulls is None else [out, pulls]
        found = ATTENTION_GRADIENT(
            *residuals, *given, spec=spec, wanted=wanted, has_pulls=pulls is not None
        )
        return [*[None] * len(residuals), *spread(flags, found)]


class AttentionGradient(AttentionPrimitive):
    """Cotangents of the inputs of `Attention` that `wanted` names, from that of its result.

    If `has_pulls`, the last operand is the cotangent of the logarithms.
    """

    def names(self, spec: AttentionSpec, wanted: tuple, has_pulls: bool) -> tuple[str, ...]:
        del wanted
        names = (*spec.inputs, "out", "logsumexp", "cotangent")
        return (*names, "pulls") if has_pulls else names

    def type_rule(
        self, *types: ArrayType, spec: AttentionSpec, wanted: tuple, has_pulls: bool
    ) -> list[ArrayType]:
        del has_pulls
        return [types[spec.inputs.index(name)].strong() for name in wanted]

    def composed(
        self,
        arrays: dict[str, Any],
        is_looped: bool,
        *,
        spec: AttentionSpec,
        wanted: tuple[str, ...],
        has_pulls: bool,
    ) -> list[Any]:
        heads = arrays["key"].shape[2]
        parts = {name: grouped(name, x, heads) for name, x in arrays.items()}
        if is_looped and is_large(spec, parts) and "bias" not in wanted and not has_pulls:
            found = gradients_by_heads(spec, parts)
        else:
            found = gradients_of(spec, parts)
        found = {name: ungrouped(name, found[name]) for name in wanted}
        return [
            convert(unbroadcast(x, arrays[name].shape), arrays[name].dtype)
            for name, x in found.items()
        ]

    def with_own_bias(self, *, spec: AttentionSpec, wanted: tuple, has_pulls: bool) -> bool:
        del spec, has_pulls
        return "bias" in wanted

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        outs, out_axes = super().batch(size, args, axes, **params)
        names = self.names(**params)
        for place, name in enumerate(params["wanted"]):
            number = names.index(name)
            examples = args[number].shape[1 if axes[number] == 0 else 0]
            if examples == 1 != outs[place].shape[1]:  # one bias for all examples of an example
                outs[place] = expand_dims(reduce_sum(outs[place], 1), 1)
        return outs, out_axes


ATTENTION, ATTENTION_TANGENT = Attention(), AttentionTangent()
ATTENTION_GRADIENT = AttentionGradient()
