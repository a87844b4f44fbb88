"""What attention does, which times see each other, and how heads are grouped around the keys that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad.ops.shape import reshape, transpose


@dataclass(frozen=True)
class AttentionSpec:
    """What attention does.

    Attributes:
        scale: factor of the logits.
        is_causal: whether query t sees only the keys up to t.
        window: how many keys before and after its own time a query sees.
        extras: which of "bias", "mask", "query_lengths", "key_lengths" there are besides query, key and value.
    """

    scale: float
    is_causal: bool = False
    window: tuple[int, int] | None = None
    extras: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all arrays, in order."""
        return ("query", "key", "value", *self.extras)

    def keys_of(self, start: int, stop: int, count: int) -> tuple[int, int]:
        """The first of the keys that the queries at these times may see, and the one behind the last; at least one."""
        low, high = 0, count
        if self.is_causal:
            high = min(high, stop)
        if self.window is not None:
            low, high = start - self.window[0], min(high, stop + self.window[1])
        return within(low, high, count)

    def queries_of(self, low: int, high: int, count: int) -> tuple[int, int]:
        """The first of the queries that may see the keys at these times, and the one behind the last; at least one."""
        start, stop = (low if self.is_causal else 0), count
        if self.window is not None:
            start, stop = max(start, low - self.window[1]), high + self.window[0]
        return within(start, stop, count)


def within(start: int, stop: int, count: int) -> tuple[int, int]:
    """What lies among so many times of this range; the nearest one if nothing does."""
    start = min(max(start, 0), count - 1)
    return start, max(min(stop, count), start + 1)


class Place(NamedTuple):
    """The times of the first query and of the first key at hand; the first may be traced."""

    query: Any = 0
    key: int = 0


FROM_THE_START = Place()


def grouped(name: str, x: Any, heads: int) -> Any:
    """An array of the user with the axes of groups; `heads` are those of keys and values. Weights have them already."""
    if name == "weights":
        return x
    if name.endswith("lengths"):
        return reshape(x, (x.shape[0], 1, 1, 1, 1))
    if name.endswith(("bias", "mask")):
        own = heads if x.shape[1] > 1 else 1
        return reshape(x, (x.shape[0], own, x.shape[1] // own, *x.shape[2:]))
    if name in ("logsumexp", "pulls"):
        return reshape(x, (x.shape[0], heads, x.shape[1] // heads, x.shape[2]))
    if name.endswith(("key", "value")):
        return transpose(x, (0, 2, 1, 3))
    examples, length, count, size = x.shape
    split = reshape(x, (examples, length, heads, count // heads, size))
    return transpose(split, (0, 2, 3, 1, 4))


def ungrouped(name: str, x: Any) -> Any:
    """The inverse of `grouped`, for results and cotangents."""
    if name.endswith("bias") or name in ("logsumexp", "pulls"):
        return reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))
    if name.endswith(("key", "value")):
        return transpose(x, (0, 2, 1, 3))
    examples, heads, groups, length, size = x.shape
    return reshape(transpose(x, (0, 3, 1, 2, 4)), (examples, length, heads * groups, size))
