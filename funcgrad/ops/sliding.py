"""Sliding windows, axis by axis: how many places they have, padding, and which windows derivatives need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Sliding(NamedTuple):
    """A window of `size` elements that slides along one axis.

    Its element `k` at place `t` is element `t * stride + k * dilation - low` of the axis, into which `spacing - 1`
    neutral elements were put between neighbours. Around it are `low` and `high` more of them; negative
    ones remove elements.
    """

    size: int
    stride: int = 1
    low: int = 0
    high: int = 0
    spacing: int = 1
    dilation: int = 1

    def __repr__(self) -> str:
        changed = [f"{k}={v}" for k, v in self._asdict().items() if v != DEFAULTS.get(k)]
        return f"Sliding({', '.join(changed)})"

    def padded(self, length: int) -> int:
        """The length of an axis with all neutral elements."""
        spaced = (length - 1) * self.spacing + 1 if length else 0
        return spaced + self.low + self.high

    def places(self, length: int) -> int:
        """How many places the window has on an axis of this length."""
        extent = (self.size - 1) * self.dilation + 1
        return max((self.padded(length) - extent) // self.stride + 1, 0)

    def over_results(self, length: int) -> Sliding:
        """The window over the results that gives back an axis of this length: the transpose, if the elements
        of the window are taken in reverse."""
        reach = (self.size - 1) * self.dilation
        low = reach - self.low
        swapped = Sliding(self.size, self.spacing, low, 0, self.stride, self.dilation)
        wanted = (length - 1) * self.spacing + reach + 1
        return swapped._replace(high=wanted - swapped.padded(self.places(length)))

    def of_results(self, length: int) -> Sliding:
        """The window of all results, sliding over an axis of this length to the elements of this window."""
        size = self.places(length)
        swapped = Sliding(size, self.dilation, self.low, 0, self.spacing, self.stride)
        wanted = (size - 1) * self.stride + (self.size - 1) * self.dilation + 1
        return swapped._replace(high=wanted - swapped.padded(length))

    @property
    def is_unpadded(self) -> bool:
        """Whether it sees the axis as it is, without neutral elements."""
        return self.low == self.high == 0 and self.spacing == 1

    def kept(self, length: int) -> tuple[slice, slice]:
        """Which elements stay, and where they are on the padded axis."""
        first = max(-(self.low // self.spacing), 0)
        last = min((self.padded(length) - 1 - self.low) // self.spacing, length - 1)
        if last < first:
            return slice(0, 0), slice(0, 0)
        start = first * self.spacing + self.low
        stop = last * self.spacing + self.low + 1
        return slice(first, last + 1), slice(start, stop, self.spacing)

    def elements(self, places: int, k: int) -> slice:
        """Element `k` of the window at all its places, on the padded axis."""
        start = k * self.dilation
        return slice(
            start, start + (places - 1) * self.stride + 1 if places else start, self.stride
        )


ALONE = Sliding(1)
DEFAULTS = Sliding._field_defaults
Window = tuple[Sliding, ...]


def spread(xp: Any, x: Any, window: Window, neutral: Any) -> Any:
    """`x` with the neutral elements that the windows of its axes see."""
    if all(w.is_unpadded for w in window):
        return x
    lengths = [max(w.padded(n), 0) for w, n in zip(window, x.shape, strict=True)]
    kept = [w.kept(n) for w, n in zip(window, x.shape, strict=True)]
    dtype = x.dtype if x.dtype.isnative else x.dtype.newbyteorder("=")
    out = xp.full(lengths, neutral, dtype)
    out[tuple(to for _, to in kept)] = x[tuple(source for source, _ in kept)]
    return out


def collect(xp: Any, padded: Any, window: Window, shape: Sequence[int]) -> Any:
    """The transpose of `spread`: the elements of an array of this shape, back from their places."""
    if all(w.is_unpadded for w in window):
        return padded
    kept = [w.kept(n) for w, n in zip(window, shape, strict=True)]
    out = xp.zeros(shape, padded.dtype)
    out[tuple(source for source, _ in kept)] = padded[tuple(to for _, to in kept)]
    return out


Padding = Any


def check_padding(name: str, padding: Padding, rank: int) -> str | tuple[tuple[int, int], ...]:
    """A padding as "SAME", "SAME_LOWER", "VALID", or a pair of ints for each of `rank` axes."""
    if isinstance(padding, str):
        if padding.upper() in ("SAME", "SAME_LOWER", "VALID"):
            return padding.upper()
        raise ValueError(
            f'[{name}] padding is "SAME", "SAME_LOWER", "VALID" or one pair (before, after) per axis, but got '
            f"{padding!r}."
        )
    pairs = as_tuple(padding)
    if len(pairs) != rank or any(len(as_tuple(pair)) != 2 for pair in pairs):
        raise ValueError(
            f"[{name}] padding = {padding}, but {rank} axes need {rank} pairs (before, after), such as "
            f"{[(1, 1)] * rank}."
        )
    return tuple((int(low), int(high)) for low, high in pairs)


def as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if hasattr(value, "__len__") else (value,)


def check_factors(
    name: str, label: str, values: Sequence[int] | None, rank: int
) -> tuple[int, ...]:
    """One positive int per axis; 1 everywhere for None."""
    if values is None:
        return (1,) * rank
    found = as_tuple(values)
    if len(found) != rank or any(int(v) < 1 for v in found):
        raise ValueError(
            f"[{name}] {label} = {values}, but {rank} axes need {rank} ints that are at least 1, such as "
            f"{(1,) * rank}."
        )
    return tuple(int(v) for v in found)


def pad_widths(sliding: Sliding, length: int, padding: str) -> tuple[int, int]:
    """How many elements a padding by name puts before and after an axis.

    "SAME" gives `ceil(length / stride)` places, with the odd element after the axis ("SAME_LOWER": before).
    """
    if padding == "VALID":
        return 0, 0
    places = -(-length // sliding.stride)
    extent = (sliding.size - 1) * sliding.dilation + 1
    total = max((places - 1) * sliding.stride + extent - length, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "SAME" else (large, small)


def with_padding(window: Sequence[Sliding], lengths: Sequence[int], padding: Padding) -> Window:
    """Windows with a padding that `check_padding` returned."""
    if isinstance(padding, str):
        padding = [pad_widths(w, n, padding) for w, n in zip(window, lengths, strict=True)]
    return tuple(
        w._replace(low=low, high=high) for w, (low, high) in zip(window, padding, strict=True)
    )
