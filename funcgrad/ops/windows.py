"""Reductions over sliding windows: sums and extrema, as in pooling, and the choice of elements they derive from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import all_batched, move_batch_first
from funcgrad.ops.families import Linear
from funcgrad.ops.operands import shape_of
from funcgrad.ops.reduce import accumulator, comparable
from funcgrad.ops.segments import greatest, least
from funcgrad.ops.sliding import ALONE, Window, collect, spread


def places_of(window: Window, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(w.places(n) for w, n in zip(window, shape, strict=True))


def elements(window: Window, places: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Each element of the window in C order: where it is, at all places, in the padded array."""
    for ks in itertools.product(*(range(w.size) for w in window)):
        yield tuple(w.elements(n, k) for w, n, k in zip(window, places, ks, strict=True))


class WindowReduction(Primitive):
    """Combines the elements of windows that slide over all axes; `window` has a `Sliding` for each."""

    combine = ""

    def type_rule(self, x: ArrayType, *, window: Window) -> ArrayType:
        return ArrayType(places_of(window, x.shape), x.dtype)

    def neutral(self, dtype: np.dtype) -> Any:
        """What changes nothing: the value of the elements outside of the array."""
        raise NotImplementedError

    def numpy(self, xp: Any, x: Any, *, window: Window) -> Any:
        """One axis after the other."""
        places = places_of(window, x.shape)
        out = spread(xp, self.widened(x), window, self.neutral(x.dtype))
        function = getattr(xp, self.combine)
        for axis, (w, n) in enumerate(zip(window, places, strict=True)):
            lead = (slice(None),) * axis
            parts = [out[(*lead, w.elements(n, k))] for k in range(w.size)]
            out = parts[0].copy() if len(parts) > 1 else parts[0]
            for part in parts[1:]:
                function(out, part, out=out)
        return out.astype(x.dtype, copy=False)

    def widened(self, x: Any) -> Any:
        """`x` in a dtype in which NumPy combines elements right."""
        return x.astype(accumulator(x.dtype), copy=False)

    def batch(self, size: int, args: Any, axes: Any, *, window: Window) -> tuple[Any, Any]:
        del size
        (x,) = move_batch_first(args, axes)
        return self(x, window=(ALONE, *window)), 0

    def lower(self, emit: Any, x: Any, *, window: Window) -> Any:
        return emit.windows((x,), what=self.combine, window=window)


class WindowSum(WindowReduction, Linear):
    """Sums of windows. Half precision is summed in float32."""

    kind = "reduction"
    combine = "add"

    def neutral(self, dtype: np.dtype) -> Any:
        del dtype
        return 0

    def transpose(self, cotangent: Any, x: LinearInput, *, window: Window) -> list[Any]:
        over = tuple(w.over_results(n) for w, n in zip(window, x.shape, strict=True))
        return [self(cotangent, window=over)]


class WindowExtremum(WindowReduction):
    """Extrema of windows. The first of equal elements gets the derivative, as in JAX's and PyTorch's pooling."""

    kind = "reduction"
    is_largest = True

    def neutral(self, dtype: np.dtype) -> Any:
        return least(dtype) if self.is_largest else greatest(dtype)

    def widened(self, x: Any) -> Any:
        return comparable(x)

    def jvp(self, primals: Any, tangents: Any, *, window: Window) -> tuple[Any, Any]:
        (x,), (tangent,) = primals, tangents
        out = self(x, window=window)
        return out, WINDOW_TAKE(tangent, self.positions(x, window), window=window)

    def vjp(self, primals: Any, active: Any, *, window: Window) -> tuple[Any, Any]:
        del active
        (x,) = primals
        out, positions = self(x, window=window), self.positions(x, window)
        shape = shape_of(x)
        return out, lambda ct: [WINDOW_PUT(ct, positions, window=window, shape=shape)]

    def positions(self, x: Any, window: Window) -> Any:
        return WINDOW_POSITION(x, window=window, is_largest=self.is_largest)


class WindowMax(WindowExtremum):
    """Largest elements of windows; NaN if one is NaN."""

    combine = "maximum"


class WindowMin(WindowExtremum):
    """Smallest elements of windows; NaN if one is NaN."""

    combine = "minimum"
    is_largest = False


class WindowPosition(Primitive):
    """Which element of each window, counted in C order, is its first extremum; the first NaN counts as that."""

    def type_rule(self, x: ArrayType, *, window: Window, is_largest: bool) -> ArrayType:
        del is_largest
        return ArrayType(places_of(window, x.shape), position_dtype(window))

    def numpy(self, xp: Any, x: Any, *, window: Window, is_largest: bool) -> Any:
        places = places_of(window, x.shape)
        primitive = WINDOW_MAX if is_largest else WINDOW_MIN
        x = comparable(x)
        padded = spread(xp, x, window, primitive.neutral(x.dtype))
        wins = xp.greater if is_largest else xp.less
        out = xp.zeros(places, position_dtype(window))
        first, *others = elements(window, places)
        best = padded[first]
        for k, index in enumerate(others, 1):
            part = padded[index]
            better = wins(part, best) | ((part != part) & (best == best))
            best = xp.where(better, part, best)
            out = xp.where(better, out.dtype.type(k), out)
        return out

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        del tangents
        return self(*primals, **params), None

    def batch(
        self, size: int, args: Any, axes: Any, *, window: Window, is_largest: bool
    ) -> tuple[Any, Any]:
        del size
        (x,) = move_batch_first(args, axes)
        return self(x, window=(ALONE, *window), is_largest=is_largest), 0

    def lower(self, emit: Any, x: Any, *, window: Window, is_largest: bool) -> Any:
        what = "largest" if is_largest else "smallest"
        return emit.windows((x,), what=what, window=window)


def position_dtype(window: Window) -> np.dtype:
    """uint8 where that is enough: a backward pass keeps the positions."""
    return np.dtype(np.uint8 if np.prod([w.size for w in window]) <= 256 else np.int32)


class WindowTake(Linear):
    """The element at a given position in each window; 0 where that is outside of the array."""

    keeps_inputs = True

    def type_rule(self, x: ArrayType, positions: ArrayType, *, window: Window) -> ArrayType:
        del window
        return ArrayType(positions.shape, x.dtype)

    def numpy(self, xp: Any, x: Any, positions: Any, *, window: Window) -> Any:
        padded = spread(xp, x, window, 0)
        out = xp.zeros(positions.shape, padded.dtype)
        for k, index in enumerate(elements(window, positions.shape)):
            out = xp.where(positions == k, padded[index], out)
        return out

    def transpose(self, cotangent: Any, x: LinearInput, positions: Any, *, window: Window) -> list:
        return [WINDOW_PUT(cotangent, positions, window=window, shape=x.shape), None]

    def batch(self, size: int, args: Any, axes: Any, *, window: Window) -> tuple[Any, Any]:
        return self(*all_batched(size, args, axes), window=(ALONE, *window)), 0

    def lower(self, emit: Any, x: Any, positions: Any, *, window: Window) -> Any:
        return emit.windows((x, positions), what="take", window=window)


class WindowPut(Linear):
    """The transpose of `WindowTake`: an array of `shape` that sums the operand at a given position in each window."""

    keeps_inputs = True

    def type_rule(
        self, x: ArrayType, positions: ArrayType, *, window: Window, shape: tuple[int, ...]
    ) -> ArrayType:
        del positions, window
        return ArrayType(shape, x.dtype)

    def numpy(
        self, xp: Any, x: Any, positions: Any, *, window: Window, shape: tuple[int, ...]
    ) -> Any:
        wide = accumulator(x.dtype)
        lengths = [max(w.padded(n), 0) for w, n in zip(window, shape, strict=True)]
        padded = xp.zeros(lengths, wide)
        for k, index in enumerate(elements(window, positions.shape)):
            padded[index] += xp.where(positions == k, x, xp.zeros((), wide))
        return collect(xp, padded, window, shape).astype(x.dtype, copy=False)

    def transpose(
        self, cotangent: Any, x: Any, positions: Any, *, window: Window, shape: Any
    ) -> list[Any]:
        del x, shape
        return [WINDOW_TAKE(cotangent, positions, window=window), None]

    def batch(
        self, size: int, args: Any, axes: Any, *, window: Window, shape: tuple[int, ...]
    ) -> tuple[Any, Any]:
        x, positions = all_batched(size, args, axes)
        return self(x, positions, window=(ALONE, *window), shape=(size, *shape)), 0

    def lower(self, emit: Any, x: Any, positions: Any, *, window: Window, shape: Any) -> Any:
        return emit.windows((x, positions), what="put", window=window, shape=shape)


WINDOW_SUM, WINDOW_MAX, WINDOW_MIN = WindowSum(), WindowMax(), WindowMin()
WINDOW_POSITION, WINDOW_TAKE, WINDOW_PUT = WindowPosition(), WindowTake(), WindowPut()
