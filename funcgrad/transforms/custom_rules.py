"""The primitives behind `custom_jvp` and `custom_vjp`: calls of functions of arrays with rules of their own.

A call is one primitive whose rules are the user's functions, brought to lists of arrays. Where a Program is
recorded, the function itself is recorded too, and the rules are traced when a transformation needs them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.pipeline import compiled
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.program import evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_inexact
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.shape import moveaxis
from funcgrad.transforms.batch import BATCHING, batch_flat, place_axis
from funcgrad.transforms.call import HigherOrder

FlatFun = Callable[..., list[Any]]


class CustomCall(HigherOrder):
    """A call of `fun` (a function of lists of arrays) with a derivative `rule`.

    In a Program `program` is what `fun` does; its first `captured` inputs are values that `fun` closes over.
    """

    is_inlined = True

    def stage(self, args: tuple, params: dict) -> tuple[tuple, dict]:
        """Record `fun`, so that a Program holds no opaque call."""
        if params["program"] is not None:
            return args, params
        types = [type_of(x) for x in args]
        program, captured = trace_flat(params["fun"], types, params["label"])
        return (*captured, *args), {**params, "program": program, "captured": len(captured)}

    def type_rule(self, *types: ArrayType, program: Any, **params: Any) -> list[ArrayType]:
        del types, params
        return [type.strong() for type in program.output_types]

    def numpy(self, xp: Any, *args: Any, fun: FlatFun, program: Any, **params: Any) -> list[Any]:
        del params
        return fun(*args) if program is None else compiled(program, xp)(*args)

    def own_arguments(self, primals: Sequence, active: Sequence[bool], params: dict) -> Sequence:
        """The arguments of the user's rule: without what `fun` captured."""
        captured = params["captured"]
        if any(active[:captured]):
            raise TypeError(
                f"[custom rule] {params['label']} closes over a traced value that is being differentiated, "
                "and its rule cannot give a derivative for it. Pass the value as an argument."
            )
        return primals[captured:]

    def check_results(self, outs: Sequence, program: Any, label: str) -> None:
        """Where `fun` was recorded, its rule must return the same types."""
        found = [type_of(y).strong() for y in outs]
        expected = found if program is None else [type.strong() for type in program.output_types]
        if found != expected:
            raise TypeError(
                f"[{self.name}] the rule of {label} returned {found} as the output, but the function returns "
                f"{expected}. They must be equal."
            )

    def batched_fun(self, size: int, args: Sequence, axes: Sequence, params: dict) -> FlatFun:
        """`fun` for all examples, as a function of its own arguments."""
        captured, program, axis_name = params["captured"], params["program"], BATCHING.axis_name
        run = params["fun"] if program is None else functools.partial(evaluate, program)

        def fun(*xs: Any) -> list[Any]:
            outs, found = batch_flat(run, size, [*args[:captured], *xs], axes, axis_name)
            return [place_axis(y, a, size, 0) for y, a in zip(outs, found, strict=True)]

        return fun

    def lower(self, emit: Any, *values: Any, program: Any, **params: Any) -> Any:
        del params
        return emit.call(program, values)


class CustomJvp(CustomCall):
    """A call with a forward rule: `rule(primals, tangents) -> (outputs, tangents)`."""

    name = "custom_jvp"

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        own = self.own_arguments(primals, [t is not None for t in tangents], params)
        outs, moved = params["rule"](own, tangents[captured:])
        self.check_results(outs, params["program"], params["label"])
        return outs, moved

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        rule, axis_name = params["rule"], BATCHING.axis_name
        inner, inner_axes = args[captured:], list(axes[captured:])
        batched_fun = self.batched_fun(size, args, axes, params)

        def batched_rule(primals: Sequence, tangents: Sequence) -> tuple[list, list]:
            moving = [t for t in tangents if t is not None]
            places = [i for i, t in enumerate(tangents) if t is not None]
            wanted: list[list[bool]] = []

            def run(*values: Any) -> list[Any]:
                given: list[Any] = [None] * len(primals)
                for place, t in zip(places, values[len(primals) :], strict=True):
                    given[place] = t
                outs, moved = rule(values[: len(primals)], given)
                wanted.append([t is not None for t in moved])
                return [*outs, *(t for t in moved if t is not None)]

            run_axes = [*inner_axes, *(inner_axes[i] for i in places)]
            values, value_axes = batch_flat(run, size, [*primals, *moving], run_axes, axis_name)
            values = [place_axis(y, a, size, 0) for y, a in zip(values, value_axes, strict=True)]
            count = len(wanted[0])
            moved = iter(values[count:])
            return values[:count], [next(moved) if w else None for w in wanted[0]]

        outs = self(
            *inner,
            **{**params, "fun": batched_fun, "rule": batched_rule, "program": None, "captured": 0},
        )
        return outs, [0] * len(outs)


class CustomVjp(CustomCall):
    """A call with a reverse rule: `rule(perturbed, *args) -> (outputs, residuals, backward)`, and
    `backward(residuals, cotangents) -> cotangents of the arguments`; `perturbed` marks those asked for."""

    name = "custom_vjp"

    def vjp(self, primals: Sequence, active: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        own = self.own_arguments(primals, active, params)
        captured = params["captured"]
        outs, residuals, backward = params["rule"](tuple(active[captured:]), *own)
        self.check_results(outs, params["program"], params["label"])
        types = [type_of(y) for y in outs]

        def pullback(cotangents: Sequence) -> list[Any]:
            given = [*cotangents, *[None] * (len(types) - len(cotangents))]
            return [*[None] * captured, *backward(residuals, _instantiate_all(given, types))]

        return outs, pullback

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        del primals, tangents
        raise TypeError(
            f"[jvp] {params['label']} has a custom_vjp rule only, so forward mode (jvp, jacfwd, hessian's outer "
            "derivative, linearize) cannot go through it. Use funcgrad.grad, vjp or jacrev, or give it a "
            "funcgrad.custom_jvp rule, which serves both modes."
        )

    def linearize(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        active = [t is not None for t in tangents]
        own = self.own_arguments(primals, active, params)
        outs, residuals, backward = params["rule"](tuple(active[captured:]), *own)
        self.check_results(outs, params["program"], params["label"])
        types = tuple(type_of(y) for y in outs)
        moving = [t for t in tangents[captured:] if t is not None]
        places = tuple(i for i, t in enumerate(tangents[captured:]) if t is not None)
        moved = CUSTOM_LINEAR(
            *residuals,
            *moving,
            types=types,
            backward=backward,
            places=places,
            label=params["label"],
        )
        return outs, [
            t if is_inexact(type.dtype) else None for t, type in zip(moved, types, strict=True)
        ]

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        rule, axis_name = params["rule"], BATCHING.axis_name
        inner, inner_axes = args[captured:], list(axes[captured:])
        batched_fun = self.batched_fun(size, args, axes, params)

        def batched_rule(perturbed: tuple[bool, ...], *xs: Any) -> tuple[list, list, Any]:
            reverse = functools.partial(rule, perturbed)
            return _batched_reverse_rule(reverse, size, xs, inner_axes, axis_name)

        outs = self(
            *inner,
            **{**params, "fun": batched_fun, "rule": batched_rule, "program": None, "captured": 0},
        )
        return outs, [0] * len(outs)


def _batched_reverse_rule(
    rule: Any, size: int, xs: Sequence, axes: Sequence, axis_name: Any
) -> tuple[list, list, Any]:
    """A reverse rule for all examples; arguments that are the same for all get the sum of cotangents."""
    found: list[tuple[int, Any]] = []

    def forward(*values: Any) -> list[Any]:
        outs, residuals, backward = rule(*values)
        found.append((len(outs), backward))
        return [*outs, *residuals]

    values, value_axes = batch_flat(forward, size, xs, axes, axis_name)
    count, backward = found[0]
    outs = [
        place_axis(y, a, size, 0) for y, a in zip(values[:count], value_axes[:count], strict=True)
    ]
    residual_axes = value_axes[count:]

    def batched_backward(residuals: Sequence, cotangents: Sequence) -> list[Any]:
        wanted: list[list[bool]] = []

        def run(*given: Any) -> list[Any]:
            pulled = backward(given[: len(residuals)], given[len(residuals) :])
            wanted.append([ct is not None for ct in pulled])
            return [ct for ct in pulled if ct is not None]

        run_axes = [*residual_axes, *[0] * len(cotangents)]
        pulled, pulled_axes = batch_flat(run, size, [*residuals, *cotangents], run_axes, axis_name)
        summed = iter(
            [place_axis(ct, a, size, 0) for ct, a in zip(pulled, pulled_axes, strict=True)]
        )
        results: list[Any] = []
        for is_wanted, axis in zip(wanted[0], axes, strict=True):
            if not is_wanted:
                results.append(None)
            elif axis is None:
                results.append(reduce_sum(next(summed), axes=(0,)))
            else:
                results.append(moveaxis(next(summed), 0, axis))
        return results

    return outs, values[count:], batched_backward


class CustomLinear(Primitive):
    """The derivative of a `custom_vjp` call: it can only be transposed, and then calls the user's rule."""

    kind = "higher_order"
    multiple = True

    def type_rule(self, *args: ArrayType, types: tuple[ArrayType, ...], **params: Any) -> list:
        del args, params
        return [type.strong() for type in types]

    def numpy(self, xp: Any, *args: Any, label: str, **params: Any) -> Any:
        del xp, args, params
        raise TypeError(
            f"[linearize] {label} has a custom_vjp rule only, so its derivative cannot be evaluated forward. "
            "Give it a funcgrad.custom_jvp rule, which serves both modes."
        )

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        del primals, tangents
        return self.numpy(None, label=params["label"])

    def transpose(
        self, cotangent: Sequence, *inputs: Any, types: Any, backward: Any, places: Any, label: str
    ) -> list[Any]:
        del label
        residuals = [x for x in inputs if not is_linear(x)]
        pulled = backward(residuals, _instantiate_all(cotangent, types))
        return [*[None] * len(residuals), *[pulled[place] for place in places]]

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        del size, args, axes
        return self.numpy(None, label=params["label"]), []


CUSTOM_JVP, CUSTOM_VJP, CUSTOM_LINEAR = CustomJvp(), CustomVjp(), CustomLinear()


def _instantiate_all(cotangents: Sequence, types: Sequence[ArrayType]) -> list[Any]:
    return [
        zeros_like_type(type.strong()) if ct is None else ct
        for ct, type in zip(cotangents, types, strict=True)
    ]
