"""Functions with derivative rules of their own: `custom_jvp`, `custom_vjp`, `custom_gradient`, `stop_gradient`.

A call is one primitive whose rules are the user's functions, brought to lists of arrays. Where a Program is
recorded, the function itself is recorded too, and the rules are traced when a transformation needs them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.compiler.pipeline import compiled
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.primitive import Primitive, is_linear
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_inexact
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.families import Linear, shape_of, zeros_like_type
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.shape import moveaxis
from funcgrad.transforms.arguments import Flat, check_callable, is_array_leaf, name_of
from funcgrad.transforms.batch import batch_flat, place_axis
from funcgrad.transforms.staging import closure_convert

FlatFun = Callable[..., list[Any]]


class CustomCall(Primitive):
    """A call of `fun` (a function of lists of arrays) with a derivative `rule`.

    In a Program `program` is what `fun` does; its first `captured` inputs are values that `fun` closes over.
    """

    kind = "higher_order"
    multiple = True

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

    def lower(self, emit: Any, *values: Any, program: Any, **params: Any) -> Any:
        del params
        return emit.call(program, values)


class CustomJvp(CustomCall):
    """A call with a forward rule: `rule(primals, tangents) -> (outputs, tangents)`."""

    name = "custom_jvp"

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        own = self.own_arguments(primals, [t is not None for t in tangents], params)
        return params["rule"](own, tangents[captured:])

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        captured = params["captured"]
        fun, rule = params["fun"], params["rule"]
        inner, inner_axes = args[captured:], list(axes[captured:])
        found: list[Any] = []

        def batched_fun(*xs: Any) -> list[Any]:
            outs, out_axes = batch_flat(fun, size, xs, inner_axes)
            found.append(len(outs))
            return [place_axis(y, a, size, 0) for y, a in zip(outs, out_axes, strict=True)]

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
            values, value_axes = batch_flat(run, size, [*primals, *moving], run_axes)
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
    """A call with a reverse rule: `rule(*args) -> (outputs, residuals, backward)`, and
    `backward(residuals, cotangents) -> cotangents of the arguments`."""

    name = "custom_vjp"

    def vjp(self, primals: Sequence, active: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        own = self.own_arguments(primals, active, params)
        outs, residuals, backward = params["rule"](*own)
        types = [type_of(y) for y in outs]
        captured = params["captured"]

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
        own = self.own_arguments(primals, [t is not None for t in tangents], params)
        outs, residuals, backward = params["rule"](*own)
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
        fun, rule = params["fun"], params["rule"]
        inner, inner_axes = args[captured:], list(axes[captured:])

        def batched_fun(*xs: Any) -> list[Any]:
            outs, out_axes = batch_flat(fun, size, xs, inner_axes)
            return [place_axis(y, a, size, 0) for y, a in zip(outs, out_axes, strict=True)]

        def batched_rule(*xs: Any) -> tuple[list, list, Any]:
            return _batched_reverse_rule(rule, size, xs, inner_axes)

        outs = self(
            *inner,
            **{**params, "fun": batched_fun, "rule": batched_rule, "program": None, "captured": 0},
        )
        return outs, [0] * len(outs)


def _batched_reverse_rule(
    rule: Any, size: int, xs: Sequence, axes: Sequence
) -> tuple[list, list, Any]:
    """A reverse rule for all examples; arguments that are the same for all get the sum of cotangents."""
    found: list[tuple[int, Any]] = []

    def forward(*values: Any) -> list[Any]:
        outs, residuals, backward = rule(*values)
        found.append((len(outs), backward))
        return [*outs, *residuals]

    values, value_axes = batch_flat(forward, size, xs, axes)
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
        pulled, pulled_axes = batch_flat(run, size, [*residuals, *cotangents], run_axes)
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


class _Custom:
    """What both decorators share: signature, static arguments, and flattening."""

    transform = "custom"

    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Any = (), nondiff_argnames: Any = ()
    ) -> None:
        check_callable(fun, self.transform)
        functools.update_wrapper(self, fun)
        self.fun = fun
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        names = (
            (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        )
        parameters = list(inspect.signature(fun).parameters) if names else []
        self.static = tuple(sorted({*numbers, *(parameters.index(name) for name in names)}))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def split(self, args: tuple, kwargs: dict) -> tuple[list[Any], list[Any]]:
        """Static and differentiable arguments, by position."""
        if kwargs:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
            if bound.kwargs:
                raise TypeError(
                    f"[{self.transform}] {name_of(self.fun)} was called with keyword-only arguments "
                    f"{list(bound.kwargs)}; rules receive arguments by position."
                )
        static = [args[i] for i in self.static]
        return static, [a for i, a in enumerate(args) if i not in self.static]

    def join(self, static: Sequence, dynamic: Sequence) -> list[Any]:
        rest, fixed = iter(dynamic), iter(static)
        return [
            next(fixed) if i in self.static else next(rest)
            for i in range(len(static) + len(dynamic))
        ]


class _Call:
    """One call of a decorated function: arguments as arrays, and the structure of its result."""

    def __init__(self, custom: _Custom, args: tuple, kwargs: dict) -> None:
        self.custom = custom
        self.static, dynamic = custom.split(args, kwargs)
        self.flats = [
            Flat(x, f"argument {i} of {name_of(custom.fun)}") for i, x in enumerate(dynamic)
        ]
        self.arrays = [x for flat in self.flats for x in flat.arrays]
        self.outputs: Flat | None = None

    def rebuild(self, arrays: Sequence) -> list[Any]:
        given = iter(arrays)
        return [flat.rebuild([next(given) for _ in flat.arrays]) for flat in self.flats]

    def note_outputs(self, out: Any) -> list[Any]:
        flat = Flat(out, f"the result of {name_of(self.custom.fun)}")
        arrays, flat.arrays = flat.arrays, []
        for place in flat.places:
            flat.leaves[place] = None
        self.outputs = flat
        return arrays

    def fun(self, *arrays: Any) -> list[Any]:
        return self.note_outputs(
            self.custom.fun(*self.custom.join(self.static, self.rebuild(arrays)))
        )

    def run(self, primitive: Primitive, rule: Any) -> Any:
        outs = primitive(
            *self.arrays,
            fun=self.fun,
            rule=rule,
            program=None,
            captured=0,
            label=name_of(self.custom.fun),
        )
        assert self.outputs is not None
        return self.outputs.rebuild(outs)


class custom_jvp(_Custom):  # noqa: N801
    """A function with its own forward derivative, which also serves reverse mode.

    Args:
        fun: the function.
        nondiff_argnums, nondiff_argnames: arguments passed to the rule as they are, before primals and
            tangents.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> @fg.custom_jvp
        ... def f(x):
        ...     return np.sin(x)
        >>> @f.defjvp
        ... def f_jvp(primals, tangents):
        ...     (x,), (dx,) = primals, tangents
        ...     return f(x), 100.0 * dx
        >>> float(fg.grad(f)(0.0))
        100.0
    """

    transform = "custom_jvp"
    rule: Callable[..., Any] | None = None
    symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Set the rule `(*nondiff, primals, tangents) -> (output, output tangent)`.

        With `symbolic_zeros` a tangent that is zero is None instead of an array of zeros.
        """
        self.rule = jvp
        self.symbolic_zeros = symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Set one rule per argument: `(tangent, output, *primals) -> part of the output tangent`."""

        def rule(primals: Sequence, tangents: Sequence) -> tuple[Any, Any]:
            out = self(*primals)
            parts = [
                part(t, out, *primals)
                for part, t in zip(jvps, tangents, strict=True)
                if part is not None and t is not None
            ]
            if not parts:
                return out, None
            total = parts[0]
            for part in parts[1:]:
                total = tree.map(add, total, part)
            return out, total

        self.defjvp(rule, symbolic_zeros=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise AttributeError(
                f"[custom_jvp] {name_of(self.fun)} has no rule yet. Decorate one with "
                f"@{name_of(self.fun)}.defjvp."
            )
        call = _Call(self, args, kwargs)

        def rule(primals: Sequence, tangents: Sequence) -> tuple[list, list]:
            return self._run_rule(call, primals, tangents)

        return call.run(CUSTOM_JVP, rule)

    def _run_rule(self, call: _Call, primals: Sequence, tangents: Sequence) -> tuple[list, list]:
        if not self.symbolic_zeros:
            tangents = [
                zeros_like_type(type_of(x).strong())
                if t is None and is_inexact(type_of(x).dtype)
                else t
                for x, t in zip(primals, tangents, strict=True)
            ]
        result = self.rule(
            *call.static, tuple(call.rebuild(primals)), tuple(call.rebuild(tangents))
        )  # type: ignore[misc]
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                f"[custom_jvp] the rule of {name_of(self.fun)} must return (output, output tangent), but "
                f"returned {type(result).__name__}."
            )
        outs = call.note_outputs(result[0])
        outputs = call.outputs
        assert outputs is not None
        return outs, _match_output_tangents(self.fun, outs, outputs, result[1])


def _match_output_tangents(fun: Any, outs: list[Any], outputs: Flat, tangent: Any) -> list[Any]:
    if tangent is None:
        return [None] * len(outs)
    try:
        given = outputs.treedef.flatten_up_to(tangent)
    except ValueError as error:
        raise TypeError(
            f"[custom_jvp] the rule of {name_of(fun)} must return a tangent with the structure of the "
            f"output: {error}"
        ) from None
    matched = []
    for place, out in zip(outputs.places, outs, strict=True):
        t, expected = given[place], type_of(out)
        if t is None or not is_inexact(expected.dtype):
            matched.append(None)
            continue
        if shape_of(t) != expected.shape:
            raise TypeError(
                f"[custom_jvp] the rule of {name_of(fun)} returned a tangent of shape {shape_of(t)} for an "
                f"output of shape {expected.shape}. They must be equal."
            )
        matched.append(convert(t, expected.dtype))
    return matched


class custom_vjp(_Custom):  # noqa: N801
    """A function with its own reverse derivative.

    Args:
        fun: the function.
        nondiff_argnums, nondiff_argnames: arguments passed to the rules as they are, first.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> @fg.custom_vjp
        ... def clip_gradient(x):
        ...     return x
        >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, ct: (np.clip(ct, -1.0, 1.0),))
        >>> float(fg.grad(lambda x: 10.0 * clip_gradient(x))(2.0))
        1.0
    """

    transform = "custom_vjp"
    forward: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None

    def defvjp(
        self, fwd: Callable[..., Any], bwd: Callable[..., Any], symbolic_zeros: bool = False
    ) -> None:
        """Set the rules.

        Args:
            fwd: arguments of the function -> (output, residuals).
            bwd: (*nondiff, residuals, cotangent) -> tuple of cotangents, one per differentiable argument;
                None is zero.
            symbolic_zeros: accepted for compatibility of calls; cotangents are always arrays.
        """
        del symbolic_zeros
        self.forward, self.backward = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward is None:
            raise AttributeError(
                f"[custom_vjp] {name_of(self.fun)} has no rules yet. Call "
                f"{name_of(self.fun)}.defvjp(fwd, bwd)."
            )
        call = _Call(self, args, kwargs)

        def rule(*arrays: Any) -> tuple[list, list, Any]:
            return self._run_forward(call, arrays)

        return call.run(CUSTOM_VJP, rule)

    def _run_forward(self, call: _Call, arrays: Sequence) -> tuple[list, list, Any]:
        result = self.forward(*self.join(call.static, call.rebuild(arrays)))  # type: ignore[misc]
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TypeError(
                f"[custom_vjp] the forward rule of {name_of(self.fun)} must return (output, residuals), but "
                f"returned {type(result).__name__}."
            )
        outs = call.note_outputs(result[0])
        outputs = call.outputs
        assert outputs is not None
        residuals = Flat(result[1], "the residuals")
        types = [type_of(x) for x in arrays]

        def backward(values: Sequence, cotangents: Sequence) -> list[Any]:
            pulled = self.backward(  # type: ignore[misc]
                *call.static, residuals.rebuild(values), outputs.rebuild_only(cotangents)
            )
            return _match_cotangents(self.fun, call.flats, types, pulled)

        saved, residuals.arrays = residuals.arrays, []
        return outs, saved, backward


def _match_cotangents(
    fun: Any, flats: Sequence[Flat], types: Sequence[ArrayType], pulled: Any
) -> list[Any]:
    """One cotangent per array of the arguments; checks number, structure and shapes."""
    if not isinstance(pulled, tuple | list) or len(pulled) != len(flats):
        found = f"{len(pulled)}" if isinstance(pulled, tuple | list) else type(pulled).__name__
        raise TypeError(
            f"[custom_vjp] the backward rule of {name_of(fun)} must return a tuple with {len(flats)} "
            f"cotangents, one per argument, but returned {found}. Use None for a zero cotangent, and a comma "
            "in a tuple of one: (ct,)."
        )
    matched: list[Any] = []
    expected = iter(types)
    for index, (flat, part) in enumerate(zip(flats, pulled, strict=True)):
        if part is None:
            matched.extend([None] * len(flat.places))
            for _ in flat.places:
                next(expected)
            continue
        try:
            given = flat.treedef.flatten_up_to(part)
        except ValueError as error:
            raise TypeError(
                f"[custom_vjp] the backward rule of {name_of(fun)} must return for argument {index} a "
                f"cotangent with its structure: {error}"
            ) from None
        for place in flat.places:
            wanted, ct = next(expected), given[place]
            if ct is None or not is_inexact(wanted.dtype):
                matched.append(None)
                continue
            if shape_of(ct) != wanted.shape:
                raise TypeError(
                    f"[custom_vjp] the backward rule of {name_of(fun)} returned for argument {index} a "
                    f"cotangent of shape {shape_of(ct)}, but the argument has shape {wanted.shape}."
                )
            matched.append(convert(ct, wanted.dtype))
    return matched


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns its value together with its pullback.

    Args:
        fun: `(*args) -> (output, pullback)`, where `pullback(cotangent)` returns the cotangent of the argument,
            or a tuple with one per argument if there are several.

    Returns:
        A function that returns the output and is differentiated by the pullback.

    Example:
        >>> import funcgrad as fg
        >>> @fg.custom_gradient
        ... def f(x):
        ...     return x**2, lambda ct: 7.0 * ct
        >>> float(f(3.0)), float(fg.grad(f)(3.0))
        (9.0, 7.0)
    """
    check_callable(fun, "custom_gradient")

    def forward(*args: Any) -> tuple[Any, Any]:
        out, pullback = fun(*args)
        converted, captured = closure_convert(pullback, out)
        return out, (converted, captured, len(args))

    def backward(residuals: Any, cotangent: Any) -> tuple:
        converted, captured, count = residuals
        pulled = converted(cotangent, *captured)
        return (pulled,) if count == 1 and not isinstance(pulled, tuple) else tuple(pulled)

    value = functools.wraps(fun)(lambda *args: fun(*args)[0])
    wrapped = custom_vjp(value)
    wrapped.defvjp(forward, backward)
    return wrapped


class StopGradient(Linear):
    """The operand itself, without derivative."""

    def jvp(self, primals: Sequence, tangents: Sequence) -> tuple[Any, Any]:
        del tangents
        return self(*primals), None

    def vjp(self, primals: Sequence, active: Sequence[bool]) -> tuple[Any, Any]:
        del active
        return self(*primals), None

    def type_rule(self, x: ArrayType) -> ArrayType:
        return x.strong()

    def numpy(self, xp: Any, x: Any) -> Any:
        del xp
        return x

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        del size
        return self(*args), axes[0]

    def lower(self, emit: Any, x: Any) -> Any:
        del emit
        return x


STOP_GRADIENT = StopGradient()


def stop_gradient(x: Any) -> Any:
    """A tree of arrays that derivatives treat as constant.

    Outside `jit` and `vmap` the result is a plain array, also inside `grad`.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.grad(lambda x: x * fg.stop_gradient(x))(3.0))
        3.0
    """
    return tree.map(lambda leaf: STOP_GRADIENT(leaf) if is_array_leaf(leaf) else leaf, x)
