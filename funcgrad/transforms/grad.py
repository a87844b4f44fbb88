"""Gradients: `grad`, `value_and_grad` and `vjp`, on top of the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.devices import beside_arguments, only_numpy, placed
from funcgrad.ir.leaks import leak_checked
from funcgrad.ir.tracer import state, type_of
from funcgrad.ir.types import ArrayType, dtype_of, is_complex, is_inexact
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import real
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.operands import shape_of
from funcgrad.transforms.arguments import (
    Flat,
    check_callable,
    check_leaf,
    describe_argument,
    fresh_aux,
    fresh_outputs,
    is_array_leaf,
    name_of,
    normalize_argnums,
    output_flat,
    split_aux,
    wrap_like,
)
from funcgrad.transforms.collectives import sum_if_varying
from funcgrad.transforms.tape import Tape


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """Gradient of a scalar function.

    Args:
        fun: returns a scalar, or (scalar, aux) with `has_aux`.
        argnums: position of the argument, or a tuple of positions, to differentiate by.
        has_aux: whether `fun` also returns auxiliary data.
        holomorphic: promise that `fun` is holomorphic; arguments and result are then complex.
        allow_int: let integer arguments pass; their gradient is None.

    Returns:
        A function with the arguments of `fun` that returns the gradient (with `has_aux`: gradient, aux).
        It has the structure, shapes and dtypes of the argument; a tuple for a tuple of `argnums`. Frozen
        parameters and buffers of modules have None.

    Raises:
        TypeError: the result is no real scalar, or an argument is not floating.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
        array([ 3., 12.])
    """
    check_callable(fun, "grad")
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @wrap_like(fun, "grad")
    def grad_fun(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_fun


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """Value and gradient of a scalar function, in one pass.

    Args:
        fun, argnums, has_aux, holomorphic, allow_int: as for `grad`.

    Returns:
        A function that returns (value, gradient), or ((value, aux), gradient) with `has_aux`.

    Example:
        >>> import funcgrad as fg
        >>> value, slope = fg.value_and_grad(lambda x: x * x)(3.0)
        >>> float(value), float(slope)
        (9.0, 6.0)
    """
    check_callable(fun, "value_and_grad")
    name = f"grad({name_of(fun)})"

    @wrap_like(fun, "value_and_grad")
    @leak_checked
    @beside_arguments
    def value_and_grad_fun(*args: Any, **kwargs: Any) -> Any:
        wanted = normalize_argnums(argnums, len(args), "grad")
        tape = Tape(name)
        try:
            with tape:
                flats, numbers, call_args = _watch(tape, fun, args, wanted, holomorphic, allow_int)
                out = fun(*call_args, **kwargs)
            value, aux = split_aux(out, has_aux, "grad")
            seed = _seed(value, holomorphic)
            pulled = tape.pull_back([tape.number(value)], [seed], numbers)
            arrays = [array for flat in flats for array in flat.arrays]
            result = tape.lower(value)
            gradients = _fit(numbers, pulled, arrays, result)
            lowered, *gradients = fresh_outputs([result, *gradients], [value, *arrays])
        finally:
            tape.frozen.release()
        given = iter(gradients)
        trees = [flat.rebuild_only(list(islice(given, len(flat.arrays)))) for flat in flats]
        gradient = trees[0] if isinstance(argnums, int) else tuple(trees)
        if not has_aux:
            return lowered, gradient
        return (lowered, fresh_aux(aux, tape.lower, arrays)), gradient

    return value_and_grad_fun


def _watch(
    tape: Tape,
    fun: Any,
    args: tuple,
    wanted: tuple[int, ...],
    holomorphic: bool,
    allow_int: bool,
) -> tuple[list[Flat], list[int | None], list[Any]]:
    """The differentiated arguments, the numbers of their arrays on the tape, and all arguments with tracers."""
    call_args = list(args)
    flats: list[Flat] = []
    all_numbers: list[int | None] = []
    for index in wanted:
        flat = Flat(args[index], partial(describe_argument, fun, index))
        if not flat.arrays and flat.leaves and flat.leaves[0] is args[index]:
            raise TypeError(
                f"[grad] needs arrays to differentiate, but {describe_argument(fun, index)} is "
                f"{args[index]!r:.60}. Choose other argnums, or register its class with funcgrad.tree_util."
            )
        constants = flat.constants
        given, numbers = tape.watch_all(flat.arrays, constants)
        if (None in numbers and not allow_int) or holomorphic:
            for place, leaf in enumerate(flat.arrays):
                if place in constants:
                    continue
                _check_input(fun, index, flat.path(place), type_of(leaf), holomorphic, allow_int)
        flats.append(flat)
        all_numbers += numbers
        call_args[index] = flat.rebuild(given)
    return flats, all_numbers, call_args


def _check_input(
    fun: Any, index: int, path: str, type: ArrayType, holomorphic: bool, allow_int: bool
) -> None:
    """Refuse integers, and real numbers where `holomorphic` promises complex ones."""
    if not is_inexact(type.dtype) and not allow_int:
        at = f" at {path}" if path else ""
        raise TypeError(
            f"[grad] needs floating arguments, but {describe_argument(fun, index)}{at} "
            f"is {type}: integers and booleans have no derivative. Use 3.0 or x.astype(float), choose other "
            "argnums, or pass allow_int=True to get None for it."
        )
    if holomorphic and is_inexact(type.dtype) and not is_complex(type.dtype):
        raise TypeError(
            f"[grad] holomorphic=True needs complex arguments, but {describe_argument(fun, index)} "
            f"is {type}. Use x.astype(complex), or drop holomorphic=True for a real function."
        )


def _seed(value: Any, holomorphic: bool) -> Any:
    """1 in the dtype of the result, after checking that it is a scalar that has a gradient."""
    if not is_array_leaf(value):
        raise TypeError(
            f"[grad] needs a function that returns a scalar, but it returned {type(value).__name__}"
            f"{': ' + repr(value) if value is None else ''}. Use has_aux=True for (loss, aux), and check "
            "that the function has a `return`."
        )
    value = check_leaf(value, "the result")
    dtype = dtype_of(value)
    if shape_of(value) != ():
        raise TypeError(
            "Gradient only defined for scalar-output functions. "
            f"Output had shape: {shape_of(value)}. Use np.sum(...) or np.mean(...) for a scalar, or "
            "funcgrad.jacobian for the derivative of an array."
        )
    if is_complex(dtype) and not holomorphic:
        raise TypeError(
            f"[grad] the function returned {type_of(value)}. For a holomorphic function pass holomorphic=True; "
            "otherwise return a real number such as z.real or abs(z), or use funcgrad.vjp."
        )
    if holomorphic and not is_complex(dtype):
        raise TypeError(
            f"[grad] holomorphic=True needs a complex result, but the function returned {type_of(value)}. "
            "Drop holomorphic=True for a real function."
        )
    if not is_inexact(dtype):
        raise TypeError(
            f"[grad] the function returned {type_of(value)}, which has no derivative. Return a float, for example "
            "np.sum(x) of a float array; comparisons and integers are constant almost everywhere."
        )
    one = dtype.type(1)
    is_recorded = state.ambient is not None
    return one if is_recorded or only_numpy() else placed(np.asarray(one))


def _fit(
    numbers: Sequence[int | None], pulled: Sequence[Any], arrays: Sequence[Any], result: Any
) -> list[Any]:
    """The gradients in the dtypes of the arrays that they belong to; None for one that was not watched."""
    gradients: list[Any] = []
    for number, cotangent, array in zip(numbers, pulled, arrays, strict=True):
        gradient = None if number is None else fit_cotangent(cotangent, array)
        if state.stack and number is not None:
            gradient = sum_if_varying(gradient, array, result)
        gradients.append(gradient)
    return gradients


def fit_cotangent(cotangent: Any, primal: Any) -> Any:
    """A cotangent in the dtype of its primal (an array or an ArrayType); zeros for None."""
    if cotangent is None:
        found = primal if isinstance(primal, ArrayType) else type_of(primal)
        return zeros_like_type(found.strong())
    dtype = dtype_of(primal)
    if type(cotangent) is np.ndarray and cotangent.dtype is dtype:
        return cotangent
    if is_complex(dtype_of(cotangent)) and not is_complex(dtype):
        cotangent = real(cotangent)
    return convert(cotangent, dtype)


class Pullback:
    """The function that `vjp` returns: cotangents of the outputs to cotangents of the arguments.

    May be called several times. Large arrays that it needs stay read-only as long as it lives.
    """

    def __init__(
        self,
        tape: Tape,
        outputs: Flat,
        output_numbers: list[int | None],
        inputs: list[Flat],
        input_numbers: list[int | None],
    ) -> None:
        self._tape = tape
        self._outputs = outputs
        self._output_numbers = output_numbers
        self._inputs = inputs
        self._input_numbers = input_numbers

    @beside_arguments
    def __call__(self, cotangent: Any) -> tuple:
        cotangents = match_cotangents(self._outputs, cotangent, "vjp")
        pulled = self._tape.pull_back(self._output_numbers, cotangents, self._input_numbers)
        arrays = [array for flat in self._inputs for array in flat.arrays]
        fitted = [
            None if number is None else fit_cotangent(ct, array)
            for number, ct, array in zip(self._input_numbers, pulled, arrays, strict=True)
        ]
        given = iter(fresh_outputs(fitted, cotangents))
        return tuple(
            [flat.rebuild_only(list(islice(given, len(flat.arrays)))) for flat in self._inputs]
        )

    def __del__(self) -> None:
        self._tape.frozen.release()

    def __repr__(self) -> str:
        return f"<pullback of {self._tape.name}>"


def match_cotangents(outputs: Flat, cotangent: Any, transform: str) -> list[Any]:
    """One cotangent per array of the output; checks structure, shapes and dtypes."""
    try:
        given = outputs.treedef.flatten_up_to(cotangent)
    except ValueError as error:
        raise ValueError(
            f"[{transform}] the cotangent must have the structure of the function's output: {error}"
        ) from None
    cotangents = []
    for place, (index, out) in enumerate(zip(outputs.places, outputs.arrays, strict=True)):
        ct = given[index]
        expected = type_of(out).strong()
        if ct is None or not is_inexact(expected.dtype):
            cotangents.append(None)
            continue
        found = type_of(check_leaf(ct, "the cotangent"))
        if found.shape != expected.shape:
            raise ValueError(
                f"[{transform}] the cotangent {outputs.path(place) or '(the only one)'} has shape "
                f"{found.shape}, but the output has shape {expected.shape}. Use np.ones_like(output) or "
                "another array of that shape."
            )
        if is_complex(found.dtype) and not is_complex(expected.dtype):
            raise TypeError(
                f"[{transform}] a complex cotangent was given for a real output of {expected}. "
                "Pass its real part."
            )
        cotangents.append(convert(ct, expected.dtype))
    return cotangents


@leak_checked
@beside_arguments
def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple:
    """Value of a function, and the function that pulls cotangents back through it.

    Args:
        fun: the function.
        *primals: where to evaluate it; trees of arrays.
        has_aux: whether `fun` returns (output, aux).

    Returns:
        (output, vjp_fun), with `has_aux` (output, vjp_fun, aux). `vjp_fun(cotangent)` takes a tree like the
        output and returns a tuple with one cotangent per primal.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> y, pull = fg.vjp(np.sin, np.array([0.0, 1.0]))
        >>> pull(np.array([1.0, 0.0]))
        (array([1., 0.]),)
    """
    check_callable(fun, "vjp")
    tape = Tape(f"vjp({name_of(fun)})")
    with tape:
        inputs: list[Flat] = []
        input_numbers: list[int | None] = []
        call_args = []
        for index, primal in enumerate(primals):
            flat = Flat(primal, partial(describe_argument, fun, index))
            # The pullback may run much later: keep what the arguments are now.
            snapshots = [x.copy() if type(x) is np.ndarray else x for x in flat.arrays]
            given, numbers = tape.watch_all(snapshots, flat.constants)
            inputs.append(flat)
            input_numbers += numbers
            call_args.append(flat.rebuild(given))
        out = fun(*call_args)
    value, aux = split_aux(out, has_aux, "vjp")
    outputs = output_flat(value, "the result", inputs)
    tracers = outputs.detach()
    lowered = [tape.lower(x) for x in tracers]
    # The pullback may read what is returned here: hand out copies.
    result = outputs.rebuild(fresh_outputs(lowered, lowered))
    outputs.arrays = lowered
    numbers = [tape.number(x) for x in tracers]
    pullback = Pullback(tape, outputs, numbers, inputs, input_numbers)
    if not has_aux:
        return result, pullback
    return result, pullback, fresh_aux(aux, tape.lower, tree.leaves(tree.map(tape.lower, aux)))
