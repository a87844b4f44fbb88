"""Sums of arrays that are zero but for one slice each, as concatenations: cotangents of an array taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.compiler.passes.dead_code import replaced, with_parts
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.types import kind
from funcgrad.ops.arithmetic import ADD
from funcgrad.ops.create import FULL
from funcgrad.ops.dynamic_slice import DYNAMIC_UPDATE
from funcgrad.ops.families import Elementwise
from funcgrad.ops.pieces import CONCATENATE, PLACE, STATIC_SLICE
from funcgrad.ops.shape import RESHAPE
from funcgrad.ops.slices import sliced_axis


class Piece(NamedTuple):
    """What is added to the part of an array from `start` to `stop` along an axis; None for nothing.

    Attributes:
        axis: the axis.
        start, stop: the part.
        source: what is added there.
        adds_zeros: whether 0.0 is added elsewhere, which makes 0.0 of -0.0, or nothing at all.
    """

    axis: int
    start: int
    stop: int
    source: Atom | None
    adds_zeros: bool


def join_places(program: Program) -> Program:
    """Replace sums of `place` operations that do not overlap by concatenations."""
    if not any(equation.primitive in (PLACE, DYNAMIC_UPDATE) for equation in program.equations):
        return program
    sums = Sums(program)
    equations: list[Equation] = []
    for equation in program.equations:
        found = sums.terms(equation) if sums.is_root(equation) else None
        if found is None:
            equations.append(equation)
        else:
            equations += joined(equation, *found)
    return replaced(program, equations=equations)


class Sums:
    """The chains of additions in a Program."""

    def __init__(self, program: Program) -> None:
        used = [atom for equation in program.equations for atom in equation.inputs]
        self.uses = Counter([*used, *program.outputs])
        self.makers: dict[Any, Equation] = {v: e for e in program.equations for v in e.outputs}
        # Inner nodes: sums that are only added to.
        self.inner: set[Atom] = set()
        for equation in program.equations:
            link = self.link(equation)
            if link is not None and self.link(self.makers.get(link[0])) is not None:
                self.inner.add(link[0])

    def is_root(self, equation: Equation) -> bool:
        return equation.outputs[0] not in self.inner and self.link(equation) is not None

    def link(self, equation: Equation | None) -> tuple[Atom, Piece] | None:
        """The sum without its last term, and that term; the sum is used for nothing else."""
        if equation is None:
            return None
        if equation.primitive is DYNAMIC_UPDATE:
            return self.updated(equation)
        if equation.primitive is not ADD:
            return None
        first, second = equation.inputs
        for rest, term in ((first, second), (second, first)):
            piece = placed(self.makers.get(term))
            if piece is not None and self.uses[rest] == 1 and rest.type == equation.outputs[0].type:
                return rest, piece
        return None

    def updated(self, equation: Equation) -> tuple[Atom, Piece] | None:
        """An array with something added to a slice of it, where the array is computed anyway."""
        whole, part, *starts = equation.inputs
        maker, added = self.makers.get(whole), self.maker_of(part)
        if maker is None or added is None or added.primitive is not ADD:
            return None
        before = self.makers.get(added.inputs[0])
        if before is None or before.primitive is not STATIC_SLICE:
            return None
        if before.inputs[0] is not whole or self.uses[whole] != 2:
            return None
        spans = as_spans(starts, part.type.shape)
        axis = None if spans is None else sliced_axis(spans, whole.type.shape)
        is_computed = isinstance(maker.primitive, Elementwise) or self.link(maker) is not None
        if spans is None or axis is None or not is_computed:
            return None
        shape = tuple([stop - start for start, stop, _ in spans])
        if part.type.shape != shape or window_of(before) != spans:
            return None
        return whole, Piece(axis, spans[axis][0], spans[axis][1], added.inputs[1], False)

    def maker_of(self, atom: Atom) -> Equation | None:
        """What computes an array, but for its shape."""
        maker = self.makers.get(atom)
        if maker is None or maker.primitive is not RESHAPE:
            return maker
        return self.makers.get(maker.inputs[0])

    def terms(self, root: Equation) -> tuple[Atom | None, list[list[Piece]]] | None:
        """What a chain begins with, and groups of terms that do not overlap; None if nothing can be joined."""
        links = []
        rest, maker = root.outputs[0], root
        while maker is not None and (rest is root.outputs[0] or rest in self.inner):
            link = self.link(maker)
            assert link is not None
            links.append(link[1])
            rest = link[0]
            maker = self.makers.get(rest)
        first = placed(maker)
        groups: list[list[Piece]] = [[first]] if first is not None else []
        for piece in reversed(links):
            if groups and fits(groups[-1], piece):
                groups[-1].append(piece)
            else:
                groups.append([piece])
        if all(len(group) == 1 and group[0].adds_zeros for group in groups):
            return None
        return (None if first is not None else rest), groups


def as_spans(starts: Sequence[Atom], lengths: Sequence[int]) -> tuple | None:
    """The window of an update as a slice, if it is known where it begins."""
    if not all(isinstance(start, Literal) for start in starts):
        return None
    places = [int(start.value) for start in starts if isinstance(start, Literal)]
    return tuple([(i, i + n, 1) for i, n in zip(places, lengths, strict=True)])


def window_of(equation: Equation) -> tuple | None:
    """The slice that a `static_slice` takes, with slices of length 1 for integers."""
    shape, spec = equation.inputs[0].type.shape, equation.params["spec"]
    entries = [
        (e % n, e % n + 1, 1) if isinstance(e, int) else e for e, n in zip(spec, shape, strict=True)
    ]
    return tuple(entries)


def placed(maker: Equation | None) -> Piece | None:
    """The part of an array that a `place` fills, if it leaves something zero along one axis."""
    if maker is None or maker.primitive is not PLACE:
        return None
    spec, shape = maker.params["spec"], maker.params["shape"]
    whole = [entry == (0, n, 1) for entry, n in zip(spec, shape, strict=True)]
    if whole.count(False) == 1 and isinstance(spec[whole.index(False)], int):
        axis = whole.index(False)
        start = spec[axis] % shape[axis]
        return Piece(axis, start, start + 1, maker.inputs[0], True)
    axis = sliced_axis(spec, shape)
    if axis is None:
        return None
    return Piece(axis, spec[axis][0], spec[axis][1], maker.inputs[0], True)


def fits(group: Sequence[Piece], piece: Piece) -> bool:
    """Whether a piece overlaps none of a group."""
    return all(
        piece.axis == other.axis and (piece.stop <= other.start or other.stop <= piece.start)
        for other in group
    )


def joined(root: Equation, first: Atom | None, groups: Sequence[list[Piece]]) -> list[Equation]:
    """The equations that add groups of pieces, each as one concatenation, into the result of `root`."""
    joining = Joining(root)
    total = first
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        if total is None:
            total = joining.concatenation(group, is_last)
        else:
            part = joining.concatenation(group, False)
            total = joining.made(ADD, [total, part], is_last)
    return joining.equations


class Joining:
    """Writes equations in the place of another one."""

    def __init__(self, root: Equation) -> None:
        self.root = root
        self.out = root.outputs[0].type
        self.equations: list[Equation] = []

    def made(
        self, primitive: Any, inputs: Sequence[Atom], is_last: bool = False, **params: Any
    ) -> Variable:
        result = self.root.outputs[0]
        if not is_last:
            result = Variable(primitive.type_rule(*[atom.type for atom in inputs], **params))
        self.equations.append(with_parts(self.root, inputs, [result], params, primitive))
        return result

    def concatenation(self, group: Sequence[Piece], is_last: bool) -> Variable:
        """The sum of the arrays of a group: in each part what is added there, with the zeros of the others."""
        axis = group[0].axis
        pieces = filled(group, self.out.shape[axis])
        zeros = sum(piece.adds_zeros for piece in group)
        # 0.0 makes 0.0 of -0.0, and nothing is added by -0.0.
        signs = ["0.0" if zeros > piece.adds_zeros else "-0.0" for piece in pieces]
        parts = [self.part(piece, sign) for piece, sign in zip(pieces, signs, strict=True)]
        pairs = list(zip(pieces, signs, strict=True))
        given = {sign for piece, sign in pairs if piece.source is not None}
        if kind(self.out.dtype) not in "fc" or given == {"-0.0"}:
            return self.made(CONCATENATE, parts, is_last, axis=axis)
        if is_last:  # each part is written where it belongs
            parts = [
                part if sign == "-0.0" or piece.source is None else self.added(part, sign)
                for part, (piece, sign) in zip(parts, pairs, strict=True)
            ]
            return self.made(CONCATENATE, parts, is_last, axis=axis)
        whole = self.made(CONCATENATE, parts, axis=axis)
        if len(set(signs)) == 1:
            return self.added(whole, signs[0])
        fills = [self.full(piece, sign) for piece, sign in pairs]
        return self.made(ADD, [whole, self.made(CONCATENATE, fills, axis=axis)])

    def added(self, whole: Atom, sign: str) -> Variable:
        return self.made(ADD, [whole, Literal(self.out.dtype.type(self.value(sign)))])

    def value(self, sign: str) -> Any:
        """0.0 or -0.0, in both parts of complex numbers."""
        number = float(sign)
        return complex(number, number) if kind(self.out.dtype) == "c" else number

    def part(self, piece: Piece, sign: str) -> Atom:
        if piece.source is None:
            return self.full(piece, sign)
        shape = self.shape_of(piece)
        is_shaped = piece.source.type.shape == shape
        return piece.source if is_shaped else self.made(RESHAPE, [piece.source], shape=shape)

    def full(self, piece: Piece, sign: str) -> Variable:
        """A part full of 0.0 or -0.0."""
        value = self.value(sign) if kind(self.out.dtype) in "fc" else 0
        return self.made(FULL, [], shape=self.shape_of(piece), value=value, dtype=self.out.dtype)

    def shape_of(self, piece: Piece) -> tuple[int, ...]:
        shape = list(self.out.shape)
        shape[piece.axis] = piece.stop - piece.start
        return tuple(shape)


def filled(group: Sequence[Piece], length: int) -> list[Piece]:
    """The pieces in their order, and nothing between them."""
    axis, found, end = group[0].axis, [], 0
    pieces = sorted(group, key=lambda piece: (piece.start, piece.stop))
    for piece in (*pieces, Piece(axis, length, length, None, False)):
        if end < piece.start:
            found.append(Piece(axis, end, piece.start, None, False))
        if piece.start < piece.stop:
            found.append(piece)
        end = piece.stop
    return found
