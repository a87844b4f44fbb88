"""Where an element lies: affine functions of loop variables, and how views map indices.

An index has one `Affine` per axis. `dynamic` parts are values that only the emitted code knows (a start read at run
time, an element of an index array): opaque terms for everybody but the backend that put them there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]


class Affine:
    """`constant + sum(factor * loop variable) + sum(factor * dynamic value)`."""

    __slots__ = ("constant", "dynamic", "key", "terms")

    def __init__(
        self,
        terms: tuple[tuple[int, int], ...] = (),
        constant: int = 0,
        dynamic: tuple[tuple[Any, int], ...] = (),
    ) -> None:
        self.terms = terms
        self.constant = constant
        self.dynamic = dynamic
        self.key = (terms, constant, tuple([(id(v), f) for v, f in dynamic]))

    def factor(self, variable: int) -> int:
        """The factor of one loop variable."""
        for name, factor in self.terms:
            if name == variable:
                return factor
        return 0

    def without(self, variable: int) -> Affine:
        """The same, with this variable at zero."""
        return Affine(
            tuple([t for t in self.terms if t[0] != variable]), self.constant, self.dynamic
        )

    @property
    def is_constant(self) -> bool:
        return not self.terms and not self.dynamic

    def __repr__(self) -> str:
        parts = [f"{f}*d{v}" for v, f in self.terms] + [f"{f}*?" for _, f in self.dynamic]
        return " + ".join([*parts, str(self.constant)] if self.constant or not parts else parts)


ZERO = Affine()
Index = tuple[Affine, ...]


def variable(number: int) -> Affine:
    return Affine(((number, 1),))


def constant(value: int) -> Affine:
    return Affine((), value)


def combine(parts: Sequence[tuple[Affine, int]], offset: int = 0) -> Affine:
    """The sum of affine functions times integers, plus a constant."""
    terms: dict[int, int] = {}
    dynamic: dict[int, tuple[Any, int]] = {}
    for part, factor in parts:
        if not factor:
            continue
        offset += part.constant * factor
        for name, f in part.terms:
            terms[name] = terms.get(name, 0) + f * factor
        for value, f in part.dynamic:
            known = dynamic.get(id(value), (value, 0))[1]
            dynamic[id(value)] = (value, known + f * factor)
    return Affine(
        tuple(sorted([(n, f) for n, f in terms.items() if f])),
        offset,
        tuple([entry for entry in dynamic.values() if entry[1]]),
    )


def strides_of(shape: Shape) -> Shape:
    """Element strides of a C-contiguous array."""
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def flat_offset(index: Index, shape: Shape) -> Affine:
    """The position of an element in a C-contiguous array."""
    return combine(list(zip(index, strides_of(shape), strict=True)))


def broadcast_index(index: Index, operand: Shape, result: Shape) -> Index:
    """The index of an operand that was stretched to `result` by NumPy's rules."""
    own = index[len(result) - len(operand) :]
    return tuple([ZERO if n == 1 else i for i, n in zip(own, operand, strict=True)])


def slice_index(index: Index, spec: tuple, shape: Shape) -> Index:
    """The index into `x` for an index into `x[spec]`."""
    given = iter(index)
    result = []
    for entry, length in zip(spec, shape, strict=True):
        if isinstance(entry, int):
            result.append(constant(entry % length))
        else:
            span = range(*slice(*entry).indices(length))
            result.append(combine([(next(given), span.step)], span.start))
    return tuple(result)


def transpose_index(index: Index, permutation: tuple[int, ...]) -> Index:
    """The index into `x` for an index into `x.transpose(permutation)`."""
    result: list[Affine] = [ZERO] * len(index)
    for place, axis in enumerate(permutation):
        result[axis] = index[place]
    return tuple(result)


def matching_blocks(source: Shape, target: Shape) -> list[tuple[range, range]] | None:
    """Runs of axes of two shapes that hold the same elements; None for empty arrays."""
    if 0 in source:
        return None
    blocks = []
    i = j = 0
    while i < len(source) or j < len(target):
        start_i, start_j = i, j
        size_i = size_j = 1
        if i < len(source):
            size_i, i = source[i], i + 1
        if j < len(target):
            size_j, j = target[j], j + 1
        while size_i != size_j:
            if size_i < size_j:
                size_i, i = size_i * source[i], i + 1
            else:
                size_j, j = size_j * target[j], j + 1
        blocks.append((range(start_i, i), range(start_j, j)))
    return blocks


def reshape_index(index: Index, source: Shape, target: Shape) -> Index | None:
    """The index into `x` for an index into `x.reshape(target)`; None if it is not affine."""
    blocks = matching_blocks(source, target)
    if blocks is None:
        return None
    result: list[Affine] = [ZERO] * len(source)
    for inner, outer in blocks:
        flat = flat_offset(tuple(index[j] for j in outer), tuple(target[j] for j in outer))
        lengths = [source[i] for i in inner]
        wide = [i for i in inner if source[i] != 1]
        if len(wide) == 1:
            result[wide[0]] = flat
        elif wide:
            parts = split_flat(flat, lengths)
            if parts is None:
                return None
            for i, part in zip(inner, parts, strict=True):
                result[i] = part
    return tuple(result)


def split_flat(flat: Affine, lengths: list[int]) -> list[Affine] | None:
    """A flat position split over axes of these lengths, where that needs no division of variables."""
    if not flat.is_constant:
        return None
    rest, parts = flat.constant, []
    for length, stride in zip(lengths, strides_of(tuple(lengths)), strict=True):
        parts.append(constant(rest // stride % length))
    return parts


def is_affine_reshape(source: Shape, target: Shape) -> bool:
    """Whether an index into the target is an affine index into the source: no axis is split off another."""
    if math.prod(source) <= 1:
        return True
    blocks = matching_blocks(source, target)
    if blocks is None:
        return False
    for inner, outer in blocks:
        wide_in = sum(source[i] != 1 for i in inner)
        wide_out = sum(target[j] != 1 for j in outer)
        if wide_in > 1 and wide_out >= 1:
            return False
    return True
