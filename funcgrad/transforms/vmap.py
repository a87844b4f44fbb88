"""`vmap`: the function for one example, applied to all examples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.leaks import leak_checked
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.transforms.arguments import (
    Flat,
    argument_name,
    check_callable,
    fresh_outputs,
    name_of,
    output_flat,
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
    @leak_checked
    @beside_arguments
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        inputs = _flatten_inputs(fun, args, kwargs, in_axes)
        size = _common_size(inputs, axis_size)
        with BatchTrace(size, axis_name) as trace:
            values = [given.traced(trace) for given in inputs]
            out = fun(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))
            outputs = output_flat(out, f"the result of {name_of(fun)}", [g.flat for g in inputs])
            found, found_axes = trace.split(outputs.arrays)
        wanted = _output_axes(outputs, out_axes)
        placed = [
            place_axis(value, axis, size, _checked_output_axis(want, value, axis))
            for value, axis, want in zip(found, found_axes, wanted, strict=True)
        ]
        shared = [x for given in inputs for x in given.flat.arrays] + outputs.arrays
        return outputs.rebuild(fresh_outputs(placed, shared))

    return vmap_fun


class _Input:
    """One argument: its arrays, and the batch axis of each."""

    __slots__ = ("axes", "flat", "name")

    def __init__(self, name: str, flat: Flat, axes: list[Any]) -> None:
        self.name = name
        self.flat = flat
        self.axes = axes
        for index, (axis, x) in enumerate(zip(axes, flat.arrays, strict=True)):
            if axis is not None and not (type(axis) is int and 0 <= axis < ndim_of(x)):
                _check_axis(self.describe(index), axis, x)

    def describe(self, index: int) -> str:
        """'argument 'x' at layers.0' for the array leaf at this position."""
        path = self.flat.path(index)
        return self.name + (f" at {path}" if path else "")

    def traced(self, trace: BatchTrace) -> Any:
        """The argument with tracers in place of its batched arrays."""
        return self.flat.rebuild(
            [
                trace.wrap(x, None if axis is None else axis % ndim_of(x))
                for x, axis in zip(self.flat.arrays, self.axes, strict=True)
            ]
        )


def _is_none(x: Any) -> bool:
    return x is None


def _flatten_inputs(fun: Any, args: tuple, kwargs: dict, in_axes: Any) -> list[_Input]:
    """Positional, then keyword arguments with their batch axes."""
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(
            f"[vmap] in_axes has {len(in_axes)} entries, but {name_of(fun)} was called with {len(args)} "
            f"positional arguments. Give one entry per argument, as in_axes={(0,) * len(args)}."
        )
    prefixes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    named = [
        (f"argument {argument_name(fun, i)}", arg, prefix, f"in_axes[{i}]")
        for i, (arg, prefix) in enumerate(zip(args, prefixes, strict=True))
    ]
    named += [(f"keyword argument {name!r}", arg, 0, "in_axes") for name, arg in kwargs.items()]
    inputs = []
    for name, arg, prefix, what in named:
        flat = Flat(arg, f"{name} of {name_of(fun)}")
        spread = tree.broadcast_prefix(prefix, flat.treedef, is_leaf=_is_none, what=what)
        inputs.append(_Input(name, flat, [spread[place] for place in flat.places]))
    return inputs


def _check_axis(where: str, axis: Any, x: Any) -> None:
    rank = ndim_of(x)
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise TypeError(f"[vmap] in_axes must hold ints or None, but got {axis!r}")
    if not -rank <= axis < rank:
        choices = "None" if rank == 0 else f"{-rank} to {rank - 1}, or None"
        raise ValueError(
            f"[vmap] in_axes = {axis}, but {where} has shape {shape_of(x)} "
            f"({rank} axes). Use {choices}; None means the same value for every example."
        )


def _common_size(inputs: list[_Input], axis_size: int | None) -> int:
    found = [
        (given, index, axis, shape_of(x)[axis])
        for given in inputs
        for index, (axis, x) in enumerate(zip(given.axes, given.flat.arrays, strict=True))
        if axis is not None
    ]
    if not found and axis_size is None:
        raise ValueError(
            "[vmap] needs at least one batched array, but every argument has in_axes None or there is no "
            "array. Give axis_size=, or an integer in in_axes."
        )
    size = axis_size if axis_size is not None else found[0][3]
    if any(length != size for _, _, _, length in found):
        listed = "\n".join(
            f"  {given.describe(index)}: axis {axis} has length {length}"
            for given, index, axis, length in found
        )
        given = f"\n  axis_size={axis_size} was given" if axis_size is not None else ""
        raise ValueError(
            f"[vmap] got inconsistent sizes for the batch axes:\n{listed}{given}\n"
            "Make them equal, or use None in in_axes for what is the same for every example."
        )
    return size


def _output_axes(outputs: Flat, out_axes: Any) -> list[Any]:
    if isinstance(out_axes, list):
        out_axes = tuple(out_axes)
    spread = tree.broadcast_prefix(out_axes, outputs.treedef, is_leaf=_is_none, what="out_axes")
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
    if not isinstance(want, int) or isinstance(want, bool):
        raise TypeError(f"[vmap] out_axes must hold ints or None, but got {want!r}.")
    if not -rank <= want < rank:
        raise ValueError(
            f"[vmap] out_axes = {want}, but the batched output has {rank} axes. "
            f"Use {-rank} to {rank - 1}."
        )
    return want % rank
