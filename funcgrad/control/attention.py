"""Attention as primitives: the result with logarithms that let its weights be computed again, tangents, gradients.

They are operations of their own, not compositions, so that a library can take them, so that derivatives keep nothing
of the size T x S, and so that machines with caches take heads one by one. Their meaning is that of the formulas in
`ops/attention.py`, which is also what they are differentiated and compiled as where nothing better is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.control.attention_loops import attend_by_heads, gradients_by_heads, is_large
from funcgrad.control.attention_masks import without_blind
from funcgrad.control.attention_primitive import AttentionPrimitive, weights_beside
from funcgrad.ir.primitive import is_linear
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.attention import attend, gradients_of, tangents_of
from funcgrad.ops.attention_spec import AttentionSpec, grouped, ungrouped
from funcgrad.ops.cast import convert
from funcgrad.ops.cotangents import unbroadcast, zeros_like_type
from funcgrad.ops.reduce import accumulator, reduce_sum
from funcgrad.ops.shape import expand_dims
from funcgrad.transforms.call import present, spread

MOVING = ("query", "key", "value", "bias")  # what may have tangents


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
