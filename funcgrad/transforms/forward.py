"""Forward mode for users: `jvp`, `linearize`, and `linear_transpose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.builder import Builder, trace_flat
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.leaks import leak_checked
from funcgrad.ir.program import evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_complex, is_inexact
from funcgrad.ops.cast import convert
from funcgrad.transforms.arguments import (
    Flat,
    argument_name,
    check_callable,
    check_leaf,
    fresh_aux,
    fresh_outputs,
    name_of,
    output_flat,
    split_aux,
)
from funcgrad.transforms.grad import fit_cotangent, match_cotangents
from funcgrad.transforms.jvp import JvpTrace, JvpTracer, LinearizeTrace, instantiate_tangent
from funcgrad.transforms.linearize import Linearized, close_linear
from funcgrad.transforms.transpose import backward_pass


@leak_checked
@beside_arguments
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple:
    """Value and directional derivative of a function (forward mode).

    Args:
        fun: the function.
        primals: tuple of arguments; trees of arrays.
        tangents: tuple of directions, with the structure and shapes of `primals`. None in place of a tree or
            leaf is zero; integer arguments take None or zeros.
        has_aux: whether `fun` returns (output, aux).

    Returns:
        (output, tangent), with `has_aux` (output, tangent, aux). Integer outputs have tangent None.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> y, dy = fg.jvp(np.sin, (0.0,), (2.0,))
        >>> float(y), float(dy)
        (0.0, 2.0)
    """
    check_callable(fun, "jvp")
    inputs = _flatten_primals(fun, primals, "jvp")
    directions = match_tangents(fun, inputs, tangents, "jvp")
    with JvpTrace() as trace:
        args = [
            flat.rebuild([trace.wrap(x, t) for x, t in zip(flat.arrays, given, strict=True)])
            for flat, given in zip(inputs, directions, strict=True)
        ]
        out = fun(*args)
        out, aux = split_aux(out, has_aux, "jvp")
        outputs = output_flat(out, f"the result of {name_of(fun)}", inputs)
        returned = outputs.detach()
        outs, moved = trace.split(returned)
    moved = [
        instantiate_tangent(y, t) if is_inexact(type_of(y).dtype) else None
        for y, t in zip(outs, moved, strict=True)
    ]
    given_arrays = [x for flat in inputs for x in flat.arrays] + returned
    given_arrays += [t for group in directions for t in group if t is not None]
    fresh = fresh_outputs([*outs, *moved], given_arrays)
    value, tangent = fresh[: len(outs)], fresh[len(outs) :]
    result = outputs.rebuild(value), outputs.rebuild_only(tangent)
    if not has_aux:
        return result
    return (*result, fresh_aux(aux, trace.lower, given_arrays))


def _flatten_primals(fun: Any, primals: Sequence[Any], transform: str) -> list[Flat]:
    if not isinstance(primals, tuple | list):
        raise TypeError(
            f"[{transform}] primals must be a tuple with one entry per argument, but got "
            f"{type(primals).__name__}. Write funcgrad.{transform}(fun, (x,), (dx,))."
        )
    return [
        Flat(primal, f"argument {argument_name(fun, i)} of {name_of(fun)}")
        for i, primal in enumerate(primals)
    ]


def match_tangents(
    fun: Any, inputs: Sequence[Flat], tangents: Sequence[Any], transform: str
) -> list[list[Any]]:
    """One tangent per array leaf, None for zero; checks structure, shape and dtype."""
    if not isinstance(tangents, tuple | list) or len(tangents) != len(inputs):
        raise TypeError(
            f"[{transform}] needs one tangent per argument: {len(inputs)} primals, but tangents is "
            f"{type(tangents).__name__} of {len(tangents) if hasattr(tangents, '__len__') else 1}. "
            "Use None for an argument that does not move."
        )
    matched = []
    for index, (flat, given) in enumerate(zip(inputs, tangents, strict=True)):
        name = f"the tangent of argument {argument_name(fun, index)}"
        if given is None:
            matched.append([None] * len(flat.arrays))
            continue
        try:
            leaves = flat.treedef.flatten_up_to(given)
        except ValueError as error:
            raise ValueError(
                f"[{transform}] {name} must have the structure of its primal: {error}"
            ) from None
        matched.append(
            [
                _match_tangent(transform, name, leaves[place], type_of(x))
                for place, x in zip(flat.places, flat.arrays, strict=True)
            ]
        )
    return matched


def _match_tangent(transform: str, name: str, tangent: Any, type: ArrayType) -> Any:
    if tangent is None or not is_inexact(type.dtype):
        return None
    found = type_of(check_leaf(tangent, name))
    if found.shape != type.shape:
        raise ValueError(
            f"[{transform}] {name} has shape {found.shape}, but its primal has shape {type.shape}. "
            "Use np.ones_like(primal) or another array of that shape."
        )
    if is_complex(found.dtype) and not is_complex(type.dtype):
        raise TypeError(f"[{transform}] {name} is complex, but its primal is {type}.")
    return convert(tangent, type.dtype)


@leak_checked
@beside_arguments
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple:
    """Value of a function, and its derivative at that point as a linear function.

    Args:
        fun: the function.
        *primals: where to linearize.
        has_aux: whether `fun` returns (output, aux).

    Returns:
        (output, f_jvp), with `has_aux` (output, f_jvp, aux). `f_jvp(*tangents)` returns the output tangent;
        the function itself is not evaluated again.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> y, push = fg.linearize(np.exp, 0.0)
        >>> float(push(3.0))
        3.0
    """
    check_callable(fun, "linearize")
    inputs = _flatten_primals(fun, primals, "linearize")
    with Builder("linear", ambient=False) as builder:
        with LinearizeTrace() as trace:
            args = []
            for flat in inputs:
                arrays = [x.copy() if type(x) is np.ndarray else x for x in flat.arrays]
                wrapped = [
                    JvpTracer(trace, x, builder.input(type_of(x).strong()))
                    if is_inexact(type_of(x).dtype)
                    else x
                    for x in arrays
                ]
                args.append(flat.rebuild(wrapped))
            out, aux = split_aux(fun(*args), has_aux, "linearize")
            outputs = output_flat(out, f"the result of {name_of(fun)}", inputs)
            outs, tangents = trace.split(outputs.detach())
        wanted = [i for i, y in enumerate(outs) if is_inexact(type_of(y).dtype)]
        linearized = close_linear(builder, outs, tangents, wanted)
    push = Pushforward(fun, inputs, outputs, linearized)
    # The linear function may read what is returned here: hand out copies.
    value = outputs.rebuild(fresh_outputs(outs, outs))
    if not has_aux:
        return value, push
    return value, push, fresh_aux(aux, trace.lower, tree.leaves(tree.map(trace.lower, aux)))


class Pushforward:
    """The linear function that `linearize` returns: tangents of the arguments to the output tangent."""

    def __init__(self, fun: Any, inputs: list[Flat], outputs: Flat, linearized: Linearized) -> None:
        self._fun = fun
        self._inputs = inputs
        self._outputs = outputs
        self._linearized = linearized

    @beside_arguments
    def __call__(self, *tangents: Any) -> Any:
        matched = match_tangents(self._fun, self._inputs, tangents, "linearize")
        given = [
            instantiate_tangent(x, t)
            for flat, group in zip(self._inputs, matched, strict=True)
            for x, t in zip(flat.arrays, group, strict=True)
            if is_inexact(type_of(x).dtype)
        ]
        moved = iter(evaluate(self._linearized.program, *self._linearized.residuals, *given))
        tangents_out = [next(moved) if wanted else None for wanted in self._linearized.active]
        return self._outputs.rebuild_only(
            fresh_outputs(tangents_out, [*given, *self._linearized.residuals])
        )

    @property
    def program(self) -> Any:
        """The recorded linear Program."""
        return self._linearized.program


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple]:
    """The transpose of a function that is linear in its arguments.

    Args:
        fun: a linear function.
        *primals: arrays or `ShapeDtypeStruct`s that give shapes and dtypes; values are not used.

    Returns:
        A function from a cotangent of the output to a tuple of cotangents of the arguments.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> transpose = fg.linear_transpose(lambda x: 3.0 * x, np.zeros(2))
        >>> transpose(np.array([1.0, 2.0]))
        (array([3., 6.]),)
    """
    check_callable(fun, "linear_transpose")
    flats = [tree.flatten(primal, tie=False) for primal in primals]
    types = [
        ArrayType(x.shape, x.dtype) if hasattr(x, "shape") else type_of(x)
        for fl, _ in flats
        for x in fl
    ]
    found: list[Flat] = []

    def flat_fun(*tracers: Any) -> list[Any]:
        given = iter(tracers)
        args = [treedef.unflatten([next(given) for _ in leaves]) for leaves, treedef in flats]
        found.append(Flat(fun(*args), f"the result of {name_of(fun)}", tie=False))
        return found[0].detach()

    program, captured = trace_flat(flat_fun, types, name_of(fun))
    found[0].arrays = program.output_types
    linear = (False,) * len(captured) + (True,) * len(types)

    @beside_arguments
    def transposed(cotangent: Any) -> tuple:
        seeds = match_cotangents(found[0], cotangent, "linear_transpose")
        pulled = backward_pass(program, linear, captured, seeds)
        fitted = [fit_cotangent(ct, type) for ct, type in zip(pulled, types, strict=True)]
        given = iter(fresh_outputs(fitted, seeds))
        return tuple(treedef.unflatten([next(given) for _ in leaves]) for leaves, treedef in flats)

    return transposed
