"""Recording without running: `make_jaxpr`, `eval_shape`, `closure_convert`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, ShapeDtypeStruct
from funcgrad.transforms.arguments import (
    Flat,
    bind_static,
    check_callable,
    is_array_leaf,
    name_of,
    wrap_like,
)


def leaf_type(leaf: Any) -> ArrayType:
    """The type of an array, a scalar, or anything with a shape and a dtype."""
    if is_array_leaf(leaf):
        return type_of(leaf)
    return ArrayType(leaf.shape, leaf.dtype)


def is_typed_leaf(leaf: Any) -> bool:
    return is_array_leaf(leaf) or isinstance(leaf, ShapeDtypeStruct)


def trace_tree(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    tie: bool = False,
) -> tuple[Program, list[Any], Flat]:
    """Record a function of trees.

    Args:
        fun: the function.
        args, kwargs: example arguments.
        tie: whether an array that occurs several times in one argument is one input.

    Returns:
        The Program, the values it captured (its first inputs), and its outputs as a Flat.
    """
    parts = [*args, *(kwargs or {}).values()]
    flattened = [tree.flatten(part, tie=tie) for part in parts]
    types = [leaf_type(x) for leaves, _ in flattened for x in leaves if is_typed_leaf(x)]
    found: list[Flat] = []

    def flat_fun(*tracers: Any) -> list[Any]:
        given = iter(tracers)
        rebuilt = [
            treedef.unflatten([next(given) if is_typed_leaf(x) else x for x in leaves])
            for leaves, treedef in flattened
        ]
        named = dict(zip(kwargs or {}, rebuilt[len(args) :], strict=True))
        out = fun(*rebuilt[: len(args)], **named)
        is_tied = any(treedef.has_ties for _, treedef in flattened)
        found.append(Flat(out, f"the result of {name_of(fun)}", tie=is_tied))
        return found[0].detach()

    program, captured = trace_flat(flat_fun, types, name_of(fun))
    return program, captured, found[0]


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: Any = None,
    return_shape: bool = False,
) -> Callable[..., Any]:
    """The Program of a function, for reading.

    Args:
        fun: the function.
        static_argnums: positional arguments that are passed as they are.
        axis_env: not used; named axes exist only inside `vmap`.
        return_shape: also return the shapes and dtypes of the output.

    Returns:
        A function that takes arrays, or `ShapeDtypeStruct`s, and returns the Program; printing it shows one
        equation per line with your line beside it.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> program = fg.make_jaxpr(lambda x: np.sin(x) * 2.0)(np.zeros(3))
        >>> [equation.primitive.name for equation in program.equations]
        ['sin', 'multiply']
    """
    check_callable(fun, "make_jaxpr")
    del axis_env

    @wrap_like(fun, "make_jaxpr")
    def make_program(*args: Any, **kwargs: Any) -> Any:
        partial, dynamic = bind_static(fun, args, static_argnums)
        program, _, outputs = trace_tree(partial, dynamic, kwargs)
        return (program, _shapes(program, outputs)) if return_shape else program

    return make_program


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Shapes and dtypes of a function's result, without computing it.

    Args:
        fun: the function.
        *args, **kwargs: arrays or `ShapeDtypeStruct`s.

    Returns:
        The tree of the result with a `ShapeDtypeStruct` for every array.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> x = fg.ShapeDtypeStruct((1000, 2000), np.float32)
        >>> fg.eval_shape(lambda x: x @ x.T, x)
        ShapeDtypeStruct(shape=(1000, 1000), dtype=float32)
    """
    check_callable(fun, "eval_shape")
    program, _, outputs = trace_tree(fun, args, kwargs)
    return _shapes(program, outputs)


def _shapes(program: Program, outputs: Flat) -> Any:
    return outputs.rebuild([ShapeDtypeStruct(t.shape, t.dtype) for t in program.output_types])


def closure_convert(
    fun: Callable[..., Any], *example_args: Any
) -> tuple[Callable[..., Any], list[Any]]:
    """Make the traced values that a function captures into explicit arguments.

    Args:
        fun: a function that may capture arrays or traced values.
        *example_args: arguments of the shapes and dtypes it will be called with.

    Returns:
        (converted, captured): `converted(*args, *captured)` equals `fun(*args)`.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> y = np.array([1.0, 2.0])
        >>> converted, captured = fg.closure_convert(lambda x: x * y, np.zeros(2))
        >>> converted(np.array([3.0, 3.0]), *captured)
        array([3., 6.])
    """
    program, captured, outputs = trace_tree(fun, example_args)
    count = len(captured)

    def converted(*args: Any) -> Any:
        values = args[len(args) - count :] if count else ()
        leaves = [x for arg in args[: len(args) - count] for x in Flat(arg, tie=False).arrays]
        return outputs.rebuild(evaluate(program, *values, *leaves))

    return converted, captured
