"""Functions with derivative rules of their own: `custom_jvp`, `custom_vjp`, `custom_gradient`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_complex, is_inexact
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.transforms.arguments import Flat, check_callable, is_array_leaf, name_of
from funcgrad.transforms.custom_rules import CUSTOM_JVP, CUSTOM_VJP
from funcgrad.transforms.staging import closure_convert


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
        self.signature = _signature_of(fun)
        parameters = list(self.signature.parameters) if self.signature else []
        self.static = tuple(sorted({*numbers, *(parameters.index(name) for name in names)}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def split(self, args: tuple, kwargs: dict) -> tuple[list[Any], list[Any]]:
        """Static and differentiable arguments, by position."""
        if kwargs and self.signature is None:
            raise TypeError(
                f"[{self.transform}] {name_of(self.fun)} takes positional arguments only, but got {list(kwargs)}."
            )
        if self.signature is not None and (kwargs or len(args) < len(self.signature.parameters)):
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
            if any(name in kwargs for name in bound.kwargs):
                raise TypeError(
                    f"[{self.transform}] {name_of(self.fun)} was called with keyword-only arguments "
                    f"{[name for name in bound.kwargs if name in kwargs]}; rules receive arguments by position."
                )
        static = [args[i] for i in self.static]
        return static, [a for i, a in enumerate(args) if i not in self.static]

    def join(self, static: Sequence, dynamic: Sequence) -> list[Any]:
        rest, fixed = iter(dynamic), iter(static)
        return [
            next(fixed) if i in self.static else next(rest)
            for i in range(len(static) + len(dynamic))
        ]


def _signature_of(fun: Any) -> inspect.Signature | None:
    """None for functions written in C: their optional arguments are not for rules."""
    is_builtin = isinstance(fun, np.ufunc | BuiltinFunctionType)
    return None if is_builtin else inspect.signature(fun)


class _Call:
    """One call of a decorated function: arguments as arrays, and the structure of its result."""

    def __init__(self, custom: _Custom, args: tuple, kwargs: dict) -> None:
        self.custom = custom
        self.static, dynamic = custom.split(args, kwargs)
        self.flats = [
            Flat(x, f"argument {i} of {name_of(custom.fun)}", tie=False)
            for i, x in enumerate(dynamic)
        ]
        self.arrays = [x for flat in self.flats for x in flat.arrays]
        self.outputs: Flat | None = None

    def rebuild(self, arrays: Sequence) -> list[Any]:
        given = iter(arrays)
        return [flat.rebuild([next(given) for _ in flat.arrays]) for flat in self.flats]

    def note_outputs(self, out: Any) -> list[Any]:
        name = name_of(self.custom.fun)
        flat = Flat(out, f"the result of {name}", tie=False)
        if self.outputs is not None and self.outputs.treedef != flat.treedef:
            raise TypeError(
                f"[{self.custom.transform}] the rule of {name} must return an output with the structure of "
                f"the function's: {self.outputs.treedef}, but returned {flat.treedef}."
            )
        self.outputs = flat
        return flat.detach()

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
        assert self.rule is not None  # or `__call__` has refused
        result = self.rule(
            *call.static, tuple(call.rebuild(primals)), tuple(call.rebuild(tangents))
        )
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
        rule = f"[custom_jvp] the rule of {name_of(fun)}"
        _check_returned(t, expected, f"{rule} returned a tangent", "the output")
        matched.append(convert(t, expected.dtype))
    return matched


def _check_returned(value: Any, expected: ArrayType, what: str, of: str) -> None:
    """Raise TypeError if a rule returned a derivative that does not fit the array it belongs to."""
    if not is_array_leaf(value):
        raise TypeError(
            f"{what} that is {type(value).__name__}, but {of} is an array, {expected}. A derivative has the "
            "structure of what it is the derivative of."
        )
    found = type_of(value)
    if found.shape != expected.shape:
        raise TypeError(
            f"{what} of shape {found.shape}, but {of} has shape {expected.shape}. They must be equal; "
            "np.sum over the added axes undoes broadcasting."
        )
    if is_complex(found.dtype) and not is_complex(expected.dtype):
        raise TypeError(f"{what} {found}, but {of} is real, {expected}. Return its real part.")


class CustomVJPPrimal(NamedTuple):
    """What the forward rule of `defvjp(..., symbolic_zeros=True)` receives for each array."""

    value: Any
    perturbed: bool


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
    symbolic_zeros = False

    def defvjp(
        self, fwd: Callable[..., Any], bwd: Callable[..., Any], symbolic_zeros: bool = False
    ) -> None:
        """Set the rules.

        Args:
            fwd: arguments of the function -> (output, residuals).
            bwd: (*nondiff, residuals, cotangent) -> tuple of cotangents, one per differentiable argument;
                None is zero.
            symbolic_zeros: give `fwd` an object with the attributes `value` and `perturbed` (whether its
                cotangent is asked for) in the place of each array. Cotangents are always arrays.
        """
        self.forward, self.backward = fwd, bwd
        self.symbolic_zeros = symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward is None:
            raise AttributeError(
                f"[custom_vjp] {name_of(self.fun)} has no rules yet. Call "
                f"{name_of(self.fun)}.defvjp(fwd, bwd)."
            )
        call = _Call(self, args, kwargs)

        def rule(perturbed: Sequence[bool], *arrays: Any) -> tuple[list, list, Any]:
            return self._run_forward(call, arrays, perturbed)

        return call.run(CUSTOM_VJP, rule)

    def _run_forward(
        self, call: _Call, arrays: Sequence, perturbed: Sequence[bool]
    ) -> tuple[list, list, Any]:
        given = arrays
        if self.symbolic_zeros:
            given = [CustomVJPPrimal(*pair) for pair in zip(arrays, perturbed, strict=True)]
        forward_rule, backward_rule = self.forward, self.backward
        assert forward_rule is not None and backward_rule is not None  # or `__call__` has refused
        result = forward_rule(*self.join(call.static, call.rebuild(given)))
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
            pulled = backward_rule(
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
            rule = f"[custom_vjp] the backward rule of {name_of(fun)}"
            _check_returned(ct, wanted, f"{rule} returned a cotangent", f"argument {index}")
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
