"""`x.at[key].set(v)` and its like: changed copies of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.ops.arithmetic import negative
from funcgrad.ops.index import cast_combined, write
from funcgrad.ops.index_mode import check_mode
from funcgrad.ops.operands import shape_of
from funcgrad.ops.selection import select_elements
from funcgrad.ops.sequences import as_array


class At:
    """`x.at[key].set(v)` and its like: a changed copy of `x`, whatever `x` is.

    Args:
        x: array or traced value.

    Example:
        >>> import numpy as np
        >>> At(np.zeros(3))[1].set(5.0)
        array([0., 5., 0.])
    """

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = as_array(x)

    def __getitem__(self, key: Any) -> Place:
        return Place(self.x, key)

    def __repr__(self) -> str:
        return f"At({self.x!r})"


class Place:
    """The elements `x[key]`, to be read or replaced.

    All methods return a new array of the shape and dtype of `x`. Keyword arguments of all of them:
        mode: for an index out of bounds: None raises IndexError; "clip" takes the nearest element, "wrap" counts
            on from the other end, "drop" (or "fill") leaves the update out.
        indices_are_sorted: accepted for JAX's sake.
        unique_indices: promises that no element is named twice, which saves work in derivatives.
    """

    __slots__ = ("key", "x")

    def __init__(self, x: Any, key: Any) -> None:
        self.x = x
        self.key = key

    def write(
        self,
        name: str,
        value: Any,
        mode: str | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
    ) -> Any:
        del indices_are_sorted
        return write(self.x, self.key, value, name, check_mode("at", mode), unique_indices)

    def get(self, *, mode: str | None = None, fill_value: Any = None, **hints: bool) -> Any:
        """The elements; with mode "fill" those out of bounds are `fill_value` (NaN by default)."""
        del hints
        selection = select_elements(shape_of(self.x), self.key, check_mode("at.get", mode))
        return selection.read(self.x, fill_value)

    def set(self, value: Any, **options: Any) -> Any:
        """Replace the elements. Of several values for one element the last wins."""
        return self.write("set", value, **options)

    def add(self, value: Any, **options: Any) -> Any:
        """Add to the elements. All values for one element count."""
        return self.write("add", value, **options)

    def subtract(self, value: Any, **options: Any) -> Any:
        """Subtract from the elements. All values for one element count."""
        return self.write(
            "add", negative(cast_combined("subtract", value, self.x.dtype)), **options
        )

    def multiply(self, value: Any, **options: Any) -> Any:
        """Multiply the elements. All values for one element count."""
        return self.write("multiply", value, **options)

    mul = multiply

    def divide(self, value: Any, **options: Any) -> Any:
        """Divide the elements. All values for one element count."""
        return self.write("divide", value, **options)

    def power(self, value: Any, **options: Any) -> Any:
        """Raise the elements to a power. All values for one element count."""
        return self.write("power", value, **options)

    def min(self, value: Any, **options: Any) -> Any:
        """Lower the elements to `value` where they are larger."""
        return self.write("min", value, **options)

    def max(self, value: Any, **options: Any) -> Any:
        """Raise the elements to `value` where they are smaller."""
        return self.write("max", value, **options)

    def apply(self, function: Callable[[Any], Any], **options: Any) -> Any:
        """Replace each element by `function` of it, once even where it is named several times."""
        mode = options.get("mode")
        return self.set(function(self.get(mode=mode)), **options)


def at(x: Any) -> At:
    """`x.at` for any array: `at(x)[1:3].set(0.0)` is a copy of `x` with two elements replaced.

    Args:
        x: array, traced value, number or list.

    Returns:
        An object to be indexed; see `Place` for `get`, `set`, `add`, `multiply`, `min`, `max` and their options.

    Example:
        >>> import numpy as np
        >>> at(np.zeros(3))[[0, 0, 2]].add(1.0)
        array([2., 0., 1.])
    """
    return At(x)
