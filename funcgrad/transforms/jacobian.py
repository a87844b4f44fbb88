"""Derivatives of arrays by arrays: Jacobians, Hessians, and products with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.devices import beside_arguments, placed
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import is_complex, is_inexact
from funcgrad.ops.operands import shape_of
from funcgrad.ops.pieces import slice_axis
from funcgrad.ops.shape import moveaxis, reshape
from funcgrad.transforms.arguments import (
    Flat,
    argument_name,
    check_callable,
    fresh_tree,
    name_of,
    normalize_argnums,
    wrap_like,
)
from funcgrad.transforms.batch import batch_flat, place_axis
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad, vjp


def jacfwd(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """Jacobian by forward mode: one column at a time, all columns at once.

    Best for few inputs and many outputs.

    Args:
        fun: returns an array or a tree of arrays.
        argnums: position of the argument, or a tuple of positions.
        has_aux: whether `fun` returns (output, aux); then the result is (jacobian, aux).
        holomorphic: promise that `fun` is holomorphic, for complex arguments.

    Returns:
        A function whose result has, for every output and every argument leaf, an array of shape
        output.shape + argument.shape.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.jacfwd(lambda x: x**2)(np.array([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
    """
    check_callable(fun, "jacfwd")

    @wrap_like(fun, "jacfwd")
    @beside_arguments
    def jacfwd_fun(*args: Any, **kwargs: Any) -> Any:
        wanted = normalize_argnums(argnums, len(args), "jacfwd")
        inputs = _inexact_inputs(fun, args, wanted, holomorphic, "jacfwd")
        arrays = [x for flat in inputs for x, moves in _moving(flat) if moves]
        sizes = [int(np.prod(shape_of(x))) for x in arrays]
        found: list[Any] = []

        def push(*basis: Any) -> list[Any]:
            moved = iter(basis)
            tangents = [
                flat.rebuild_only([next(moved) if moves else None for _, moves in _moving(flat)])
                for flat in inputs
            ]

            def partial(*values: Any) -> Any:
                call_args = list(args)
                for index, value in zip(wanted, values, strict=True):
                    call_args[index] = value
                return fun(*call_args, **kwargs)

            primals = [args[index] for index in wanted]
            out, tangent, *aux = jvp(partial, primals, tangents, has_aux=has_aux)
            outputs, moved_out = Flat(out, tie=False), Flat(tangent, tie=False)
            _check_output(outputs, holomorphic, "jacfwd")
            found.append((outputs, aux))
            return moved_out.arrays

        columns, axes = batch_flat(push, sum(sizes), _basis(arrays, sizes), [0] * len(arrays))
        columns = [place_axis(c, a, sum(sizes), -1) for c, a in zip(columns, axes, strict=True)]
        outputs, aux = found[0]
        blocks = [_split_last(column, arrays, sizes) for column in columns]
        result = fresh_tree(outputs.rebuild([_assemble(inputs, b, argnums) for b in blocks]))
        return (result, aux[0]) if has_aux else result

    return jacfwd_fun


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """Jacobian by reverse mode: one row at a time, all rows at once.

    Best for many inputs and few outputs.

    Args:
        fun, argnums, has_aux, holomorphic: as for `jacfwd`.
        allow_int: let integer arguments pass; their part of the Jacobian is None.

    Returns:
        As for `jacfwd`.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.jacrev(lambda x: np.stack([np.sum(x), np.prod(x)]))(np.array([2.0, 5.0]))
        array([[1., 1.],
               [5., 2.]])
    """
    check_callable(fun, "jacrev")

    @wrap_like(fun, "jacrev")
    @beside_arguments
    def jacrev_fun(*args: Any, **kwargs: Any) -> Any:
        wanted = normalize_argnums(argnums, len(args), "jacrev")
        inputs = _inexact_inputs(fun, args, wanted, holomorphic, "jacrev", allow_int)

        def partial(*values: Any) -> Any:
            call_args = list(args)
            for index, value in zip(wanted, values, strict=True):
                call_args[index] = value
            return fun(*call_args, **kwargs)

        out, pull, *aux = vjp(partial, *[args[index] for index in wanted], has_aux=has_aux)
        outputs = Flat(out, tie=False)
        _check_output(outputs, holomorphic, "jacrev")
        sizes = [int(np.prod(shape_of(y))) for y in outputs.arrays]

        def pull_flat(*basis: Any) -> list[Any]:
            pulled = pull(outputs.rebuild(basis))
            flat = [
                flat.treedef.flatten_up_to(part)[place]
                for flat, part in zip(inputs, pulled, strict=True)
                for place in flat.places
            ]
            return [x for x in flat if x is not None]

        rows, axes = batch_flat(
            pull_flat, sum(sizes), _basis(outputs.arrays, sizes), [0] * len(sizes)
        )
        rows = [place_axis(r, a, sum(sizes), 0) for r, a in zip(rows, axes, strict=True)]
        blocks = zip(*[_split_first(row, outputs.arrays, sizes) for row in rows], strict=True)
        result = fresh_tree(outputs.rebuild([_assemble(inputs, b, argnums) for b in blocks]))
        return (result, aux[0]) if has_aux else result

    return jacrev_fun


jacobian = jacrev


def hessian(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """Second derivative of a function, by forward mode over reverse mode.

    Args:
        fun, argnums, has_aux, holomorphic: as for `jacfwd`.

    Returns:
        A function; for an array argument the result has shape output.shape + argument.shape twice, for a
        dict a dict of dicts.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.hessian(lambda x: np.prod(x))(np.array([2.0, 5.0]))
        array([[0., 1.],
               [1., 0.]])
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def hvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Product of the Hessian of a scalar function with a vector, at the cost of a few gradients.

    Args:
        fun: scalar function of one or several arguments.
        primals: tuple of arguments.
        tangents: tuple of directions, like `primals`.

    Returns:
        The product; a tuple with one part per argument if there are several.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
        array([ 6., 12.])
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise TypeError(
                f"[hvp] {name} must be a tuple with one entry per argument, but got "
                f"{type(given).__name__}. Write funcgrad.hvp(fun, (x,), (dx,))."
            )
    argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(fun, argnums), tuple(primals), tuple(tangents))[1]


def _inexact_inputs(
    fun: Any,
    args: tuple,
    wanted: tuple[int, ...],
    holomorphic: bool,
    transform: str,
    allow_int: bool = False,
) -> list[Flat]:
    inputs = []
    for index in wanted:
        name = f"argument {argument_name(fun, index)} of {name_of(fun)}"
        flat = Flat(args[index], name)
        constants = flat.constants
        for place, x in enumerate(flat.arrays):
            found = type_of(x)
            if place in constants:
                continue
            if not is_inexact(found.dtype) and not allow_int:
                at = f" at {flat.path(place)}" if flat.path(place) else ""
                raise TypeError(
                    f"[{transform}] needs floating arguments, but {name}{at} is {found}. "
                    "Use x.astype(float)."
                )
            if holomorphic and not is_complex(found.dtype):
                raise TypeError(
                    f"[{transform}] holomorphic=True needs complex arguments; {name} is {found}."
                )
            if is_complex(found.dtype) and not holomorphic and transform == "jacfwd":
                raise TypeError(
                    f"[jacfwd] {name} is {found}. For a holomorphic function pass holomorphic=True; "
                    "otherwise use funcgrad.jvp, or write z = x + 1j*y with real x and y."
                )
        inputs.append(flat)
    return inputs


def _moving(flat: Flat) -> list[tuple[Any, bool]]:
    """The arrays, each with whether it is differentiated: not integers, buffers and frozen parameters."""
    constants = flat.constants
    return [
        (x, is_inexact(type_of(x).dtype) and place not in constants)
        for place, x in enumerate(flat.arrays)
    ]


def _check_output(outputs: Flat, holomorphic: bool, transform: str) -> None:
    for y in outputs.arrays:
        found = type_of(y)
        if not is_inexact(found.dtype):
            raise TypeError(
                f"[{transform}] the function returned {found}, which has no derivative."
            )
        if is_complex(found.dtype) and not holomorphic and transform == "jacrev":
            raise TypeError(
                f"[jacrev] the function returned {found}. For a holomorphic function pass "
                "holomorphic=True; otherwise return real and imaginary parts."
            )


def _basis(arrays: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Unit vectors of the space of all arrays together, cut into the shapes of the arrays."""
    total, start = sum(sizes), 0
    basis = []
    for x, size in zip(arrays, sizes, strict=True):
        block = np.zeros((total, size), type_of(x).dtype)
        block[start : start + size] = np.eye(size)
        basis.append(placed(block.reshape((total, *shape_of(x)))))
        start += size
    return basis


def _split_last(column: Any, arrays: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Cut the last axis into one block per array: shape output.shape + array.shape."""
    moved = moveaxis(column, -1, 0)
    parts = _split_first(moved, arrays, sizes)
    result = []
    for part, x in zip(parts, arrays, strict=True):
        rank = len(shape_of(x))
        size = int(np.prod(shape_of(x)))
        flat = moveaxis(reshape(part, (size, *shape_of(part)[rank:])), 0, -1)
        result.append(reshape(flat, (*shape_of(flat)[:-1], *shape_of(x))))
    return result


def _split_first(row: Any, arrays: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
    """Cut the first axis into one block per array: shape array.shape + the rest."""
    parts, start = [], 0
    for x, size in zip(arrays, sizes, strict=True):
        part = slice_axis(row, 0, start, start + size)
        parts.append(reshape(part, (*shape_of(x), *shape_of(row)[1:])))
        start += size
    return parts


def _assemble(inputs: Sequence[Flat], blocks: Sequence[Any], argnums: Any) -> Any:
    """Blocks of one output in the structure of the differentiated arguments."""
    given = iter(blocks)
    parts = [
        flat.rebuild_only([next(given) if moves else None for _, moves in _moving(flat)])
        for flat in inputs
    ]
    return parts[0] if isinstance(argnums, int) else tuple(parts)
