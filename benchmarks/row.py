"""What a row of the table is: data, a float64 reference, and the same work written for each library.

A row's methods import the library that they measure, so that a process which measures one side loads no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

# The sides in the order of the table, and their headings.
SIDES = {
    "funcgrad": "funcgrad",
    "jax": "JAX jit",
    "torch": "torch eager",
    "torch_compile": "torch.compile",
    "autograd": "autograd",
    "numpy": "NumPy",
}
# What a user would pick instead. NumPy by hand is shown, but it is no rival: somebody derived it on paper.
PEERS = ("jax", "torch", "torch_compile", "autograd")
COMPILED = ("funcgrad", "jax", "torch_compile")


class Training(NamedTuple):
    """A step that changes its parameters, and how to put them back before it is measured again."""

    step: Callable[[], Any]
    reset: Callable[[], None]


def train(step: Callable, start: Callable[[], tuple], *batch: Any) -> Training:
    """Training in a functional library, where each step takes what the one before returned.

    Args:
        step: takes the carried values and the batch, returns the carried values and the loss.
        start: makes the first carried values anew, since a step may take over their memory.
        batch: what every step gets.
    """
    carried = start()

    def one() -> Any:
        nonlocal carried
        *carried, value = step(*carried, *batch)
        return carried[0], value

    def reset() -> None:
        nonlocal carried
        carried = start()

    return Training(one, reset)


@dataclass(frozen=True)
class Row:
    """One line of the table; its fields are the sizes.

    A side is a method of the side's name that takes the arrays of `data` in the library's own type and returns
    a function without arguments (or a `Training`): one call of it is what is timed. `torch` first takes a
    decorator, which does nothing or is `torch.compile`; where another program suits that better, `torch_compile`
    has it. A row without the method has no such side.

    Attributes:
        tiny: sizes for a test of the row's correctness.
        goal: funcgrad should be this many times faster than the best of `peers`.
        tolerance: greatest relative distance (in the 2-norm) of each result from the reference.
        is_compiled: whether the first call compiles.
        counts: whether it is part of the mean over the table.
        not_yet: why funcgrad has no such side.
        leaves_out: sides that the row could not be written for, or whose method means another side.
    """

    tiny: ClassVar[dict[str, Any]] = {}
    goal: ClassVar[float]
    peers: ClassVar[tuple[str, ...]] = PEERS
    tolerance: ClassVar[float] = 1e-5
    is_compiled: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    not_yet: ClassVar[str] = ""
    leaves_out: ClassVar[tuple[str, ...]] = ()

    @property
    def title(self) -> str:
        return (type(self).__doc__ or "").splitlines()[0].rstrip(".")

    def shrunk(self) -> Row:
        """The same work at tiny sizes."""
        return replace(self, **self.tiny)

    def data(self, rng: np.random.Generator) -> tuple:
        """The arguments: trees of arrays, floats in float32."""
        raise NotImplementedError

    def reference(self, *data: Any) -> Any:
        """The result, in plain NumPy: in float64 what the sides are checked against."""
        raise NotImplementedError

    def numpy(self, *data: Any) -> Callable[[], Any]:
        """The reference's program on the data that everybody gets."""
        return lambda: self.reference(*data)

    def sides(self) -> list[str]:
        """The names of the sides that this row has."""
        found = [name for name in SIDES if hasattr(self, name.removesuffix("_compile"))]
        return [name for name in found if name not in self.leaves_out]


def map_arrays(function: Callable[[Any], Any], tree: Any) -> Any:
    """A tree of lists, tuples and dicts with the function applied to everything else but numbers."""
    if isinstance(tree, dict):
        return {key: map_arrays(function, value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map_arrays(function, value) for value in tree)
    return tree if isinstance(tree, int | float) else function(tree)


def leaves_of(tree: Any) -> list[Any]:
    """The arrays of a tree, in order."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves_of(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in leaves_of(value)]
    return [tree]


def doubled(tree: Any) -> Any:
    """The same data in float64."""
    return map_arrays(lambda x: x.astype(np.float64) if x.dtype.kind == "f" else x, tree)


def float32(array: Any) -> np.ndarray:
    return np.asarray(array, np.float32)


def check(row: Row, got: list[np.ndarray], expected: list[np.ndarray], slack: float = 1.0) -> None:
    """Refuse results that are wrong, or that were computed in another precision than the others'.

    Args:
        row: has the tolerance, which counts `slack` times.
        got, expected: the results of a side and of the reference.
    """
    if len(got) != len(expected):
        raise ValueError(f"{len(got)} results instead of {len(expected)}")
    for number, (value, want) in enumerate(zip(got, expected, strict=True)):
        if value.shape != np.shape(want):
            raise ValueError(f"result {number} has shape {value.shape} instead of {want.shape}")
        if value.dtype != np.float32:
            raise ValueError(f"result {number} is {value.dtype} instead of float32")
        distance = np.linalg.norm((value - want).ravel())
        if not distance <= slack * row.tolerance * np.linalg.norm(np.ravel(want)):
            relative = distance / np.linalg.norm(np.ravel(want))
            raise ValueError(f"result {number} is off by {relative:.1e} of its size")
