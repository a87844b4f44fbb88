"""`vmap`: the function for one example, applied to all examples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.ops.families import ndim_of, shape_of
from funcgrad.transforms.arguments import (
    Flat,
    argument_name,
    check_callable,
    fresh_outputs,
    name_of,
    wrap_like,
)
from funcgrad.transforms.batch import BatchTrace, place_axis


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """Vectorize a function of one example over a batch axis.

    Args:
        fun: works on one example.
        in_axes: batch axis per positional argument: an int, None (the same for all examples), or a tuple with
            one entry per argument, each an int, None or a tree prefix of that argument.
        out_axes: where the batch axis goes in the output; a tree prefix of the output.
        axis_name: name of the axis for `lax.psum` and the other collectives.
        axis_size: number of examples; needed only when no argument is batched.

    Returns:
        A function with the arguments of `fun`; keyword arguments are batched along axis 0.

    Raises:
        ValueError: batch axes that do not exist or have different lengths.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> fg.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
        array([3., 4.])
    """
    check_callable(fun, "vmap")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)

    @wrap_like(fun, "vmap")
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        flat = Flat((args, kwargs), f"an argument of {name_of(fun)}")
        axes = _leaf_axes(fun, flat, args, kwargs, in_axes)
        size = _common_size(fun, flat, axes, axis_size)
        with BatchTrace(size, axis_name) as trace:
            inputs = [
                trace.wrap(x, None if axis is None else axis % ndim_of(x))
                for x, axis in zip(flat.arrays, axes, strict=True)
            ]
            call_args, call_kwargs = flat.rebuild(inputs)
            out = fun(*call_args, **call_kwargs)
            outputs = Flat(out, f"the result of {name_of(fun)}")
            values, value_axes = trace.split(outputs.arrays)
        wanted = _output_axes(outputs, out, out_axes)
        placed = [
            place_axis(value, axis, size, _checked_output_axis(want, value, axis))
            for value, axis, want in zip(values, value_axes, wanted, strict=True)
        ]
        return outputs.rebuild(fresh_outputs(placed, flat.arrays))

    return vmap_fun


def _is_none(x: Any) -> bool:
    return x is None


def _leaf_axes(fun: Any, flat: Flat, args: tuple, kwargs: dict, in_axes: Any) -> list[int | None]:
    """The batch axis of every array leaf."""
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(
            f"[vmap] in_axes has {len(in_axes)} entries, but {name_of(fun)} was called with {len(args)} "
            f"positional arguments. Give one entry per argument, as in_axes={(0,) * len(args)}."
        )
    full = (in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args), 0 if kwargs else {})
    spread = tree.broadcast_prefix(full, (args, kwargs), is_leaf=_is_none, what="in_axes")
    axes = [spread[place] for place in flat.places]
    for index, (axis, x) in enumerate(zip(axes, flat.arrays, strict=True)):
        _check_axis(fun, flat, index, axis, x)
    return axes


def _describe(fun: Any, flat: Flat, index: int) -> str:
    """'argument 'x' at layers.0' for the array leaf at this position of ((args), {kwargs})."""
    keys = flat.path(index).split(".")
    if keys[0] == "1":
        return f"keyword argument {'.'.join(keys[1:])!r}"
    rest = ".".join(keys[2:])
    name = argument_name(fun, int(keys[1])) if len(keys) > 1 else "0"
    return f"argument {name}" + (f" at {rest}" if rest else "")


def _check_axis(fun: Any, flat: Flat, index: int, axis: Any, x: Any) -> None:
    if axis is None:
        return
    rank = ndim_of(x)
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise TypeError(f"[vmap] in_axes must hold ints or None, but got {axis!r}")
    if not -rank <= axis < rank:
        choices = "None" if rank == 0 else f"{-rank} to {rank - 1}, or None"
        raise ValueError(
            f"[vmap] in_axes = {axis}, but {_describe(fun, flat, index)} has shape {shape_of(x)} "
            f"({rank} axes). Use {choices}; None means the same value for every example."
        )


def _common_size(fun: Any, flat: Flat, axes: list[int | None], axis_size: int | None) -> int:
    sizes = {
        index: shape_of(x)[axis]
        for index, (axis, x) in enumerate(zip(axes, flat.arrays, strict=True))
        if axis is not None
    }
    if not sizes and axis_size is None:
        raise ValueError(
            "[vmap] needs at least one batched array, but every argument has in_axes None or there is no "
            "array. Give axis_size=, or an integer in in_axes."
        )
    size = axis_size if axis_size is not None else next(iter(sizes.values()))
    if any(found != size for found in sizes.values()):
        listed = "\n".join(
            f"  {_describe(fun, flat, index)}: axis {axes[index]} has length {found}"
            for index, found in sizes.items()
        )
        given = f"\n  axis_size={axis_size} was given" if axis_size is not None else ""
        raise ValueError(
            f"[vmap] got inconsistent sizes for the batch axes:\n{listed}{given}\n"
            "Make them equal, or use None in in_axes for what is the same for every example."
        )
    return size


def _output_axes(outputs: Flat, out: Any, out_axes: Any) -> list[Any]:
    if isinstance(out_axes, list):
        out_axes = tuple(out_axes)
    spread = tree.broadcast_prefix(out_axes, out, is_leaf=_is_none, what="out_axes")
    return [spread[place] for place in outputs.places]


def _checked_output_axis(want: Any, value: Any, axis: int | None) -> int | None:
    rank = ndim_of(value) + (axis is None)
    if want is None:
        if axis is not None:
            raise ValueError(
                "[vmap] out_axes is None for an output that differs between examples. "
                "Use an integer, or reduce it over the batch with funcgrad.lax.pmean."
            )
        return None
    if not -rank <= want < rank:
        raise ValueError(
            f"[vmap] out_axes = {want}, but the batched output has {rank} axes. "
            f"Use {-rank} to {rank - 1}."
        )
    return want % rank
