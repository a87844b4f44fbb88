"""Layers that put elements around arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.lax.windows import pad
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class _Pad(Module):
    """What padding layers share."""

    padding: tuple[tuple[int, int], ...]

    rank = 0
    mode = ""

    def __init__(self, padding: int | Sequence[int]) -> None:
        given = tuple(padding) if isinstance(padding, Sequence) else (padding,) * (2 * self.rank)
        if len(given) != 2 * self.rank or not all(isinstance(n, int | np.integer) for n in given):
            raise ValueError(
                f"[{type(self).__name__}] padding is a whole number, or {2 * self.rank} of them: (before, after) "
                "for the "
                f"last axis, then for the one before it. Got {padding!r}."
            )
        pairs = list(zip(given[::2], given[1::2], strict=True))
        self.padding = tuple((int(low), int(high)) for low, high in reversed(pairs))

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Pad the last axes.

        Args:
            x: (..., axes to pad), usually (examples, channels, ...).
            key: not used.

        Returns:
            An array with other lengths of the last axes.
        """
        del key
        x = as_array(x)
        if x.ndim < self.rank:
            refuse(self, f"(..., {self.rank} axes to pad)", x)
        return self.padded(x, [(0, 0)] * (x.ndim - self.rank) + list(self.padding))

    def padded(self, x: Any, pairs: list[tuple[int, int]]) -> Any:
        """`x` with elements of itself around it; negative numbers crop."""
        kept = [slice(max(-low, 0), min(high, 0) or None) for low, high in pairs]
        added = [(max(low, 0), max(high, 0)) for low, high in pairs]
        most = {"reflect": -1, "wrap": 0}.get(self.mode)
        for length, pair in zip(x.shape, added, strict=True):
            if most is not None and max(pair) > max(length + most, 0):
                refuse(self, f"with at least {max(pair) - most} elements in each padded axis", x)
        x = fnp.pad(x, added, mode=self.mode)
        return x[tuple(kept)] if any(n < 0 for pair in pairs for n in pair) else x


class _ConstantPad(_Pad):
    value: Any

    def __init__(self, padding: int | Sequence[int], value: Any) -> None:
        super().__init__(padding)
        self.value = value

    def padded(self, x: Any, pairs: list[tuple[int, int]]) -> Any:
        return pad(x, self.value, [(low, high, 0) for low, high in pairs])


class ConstantPad1d(_ConstantPad):
    """The same number around the last axis.

    Args:
        padding: how many elements, or (before, after); negative numbers crop. For more axes the pairs begin with that
            of the last axis, as in PyTorch.
        value: the number.

    Example:
        >>> import numpy as np
        >>> ConstantPad1d((1, 2), 7.0)(np.array([1.0, 2.0]))
        array([7., 1., 2., 7., 7.])
    """

    rank = 1


class ConstantPad2d(_ConstantPad):
    """The same number around height and width. Arguments as for `ConstantPad1d`."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """The same number around three axes. Arguments as for `ConstantPad1d`."""

    rank = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0)


class ZeroPad1d(_ZeroPad):
    """Zeros around the last axis. `padding` as for `ConstantPad1d`."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around height and width. `padding` as for `ConstantPad1d`."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around three axes. `padding` as for `ConstantPad1d`."""

    rank = 3


class ReflectionPad1d(_Pad):
    """The array mirrored at its ends, which are not repeated. `padding` as for `ConstantPad1d`.

    Example:
        >>> import numpy as np
        >>> ReflectionPad1d(2)(np.array([1.0, 2.0, 3.0]))
        array([3., 2., 1., 2., 3., 2., 1.])
    """

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Images mirrored at their borders. `padding` as for `ConstantPad1d`."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Volumes mirrored at their borders. `padding` as for `ConstantPad1d`."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The first and last elements repeated. `padding` as for `ConstantPad1d`.

    Example:
        >>> import numpy as np
        >>> ReplicationPad1d(1)(np.array([1.0, 2.0]))
        array([1., 1., 2., 2.])
    """

    rank, mode = 1, "edge"


class ReplicationPad2d(_Pad):
    """The borders of images repeated. `padding` as for `ConstantPad1d`."""

    rank, mode = 2, "edge"


class ReplicationPad3d(_Pad):
    """The borders of volumes repeated. `padding` as for `ConstantPad1d`."""

    rank, mode = 3, "edge"


class CircularPad1d(_Pad):
    """The array continued periodically. `padding` as for `ConstantPad1d`.

    Example:
        >>> import numpy as np
        >>> CircularPad1d(1)(np.array([1.0, 2.0, 3.0]))
        array([3., 1., 2., 3., 1.])
    """

    rank, mode = 1, "wrap"


class CircularPad2d(_Pad):
    """Images continued periodically. `padding` as for `ConstantPad1d`."""

    rank, mode = 2, "wrap"


class CircularPad3d(_Pad):
    """Volumes continued periodically. `padding` as for `ConstantPad1d`."""

    rank, mode = 3, "wrap"
