"""Sums of arrays that are zero but for one slice each, as one concatenation: cotangents of an array taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compiler.passes.dead_code import replaced, with_parts
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.types import kind
from funcgrad.ops.arithmetic import ADD
from funcgrad.ops.create import FULL
from funcgrad.ops.pieces import CONCATENATE, PLACE
from funcgrad.ops.shape import RESHAPE
from funcgrad.ops.slices import sliced_axis


class Piece(NamedTuple):
    """The part of an array from `start` to `stop` along an axis; None for zeros."""

    start: int
    stop: int
    source: Atom | None


def join_places(program: Program) -> Program:
    """Replace sums of `place` operations that do not overlap by concatenations."""
    if sum(equation.primitive is PLACE for equation in program.equations) < 2:
        return program
    sums = Sums(program)
    equations: list[Equation] = []
    for equation in program.equations:
        pieces = sums.pieces(equation) if sums.is_root(equation) else None
        if pieces is None:
            equations.append(equation)
        else:
            equations += concatenation(equation, *pieces)
    return replaced(program, equations=equations)


class Sums:
    """The trees of additions in a Program."""

    def __init__(self, program: Program) -> None:
        used = [atom for equation in program.equations for atom in equation.inputs]
        uses = Counter([*used, *program.outputs])
        self.makers: dict[Any, Equation] = {v: e for e in program.equations for v in e.outputs}
        # Inner nodes: sums that are only added to one other array.
        self.inner: set[Atom] = {
            atom
            for equation in program.equations
            if equation.primitive is ADD
            for atom in equation.inputs
            if uses[atom] == 1 and self.is_sum(self.makers.get(atom))
        }

    def is_sum(self, equation: Equation | None) -> bool:
        return equation is not None and equation.primitive is ADD

    def is_root(self, equation: Equation) -> bool:
        return equation.primitive is ADD and equation.outputs[0] not in self.inner

    def pieces(self, root: Equation) -> tuple[int, list[Piece]] | None:
        """The axis and the pieces of a sum of places; None if it is no such sum, or places overlap."""
        axes: set[int] = set()
        found: list[Piece] = []
        waiting = list(root.inputs)
        while waiting:
            maker = self.makers.get(waiting.pop())
            if maker is not None and maker.outputs[0] in self.inner:
                waiting += maker.inputs
                continue
            part = None if maker is None else placed(maker)
            if part is None:
                return None
            axes.add(part[0])
            found.append(part[1])
        found.sort(key=lambda piece: piece[:2])
        is_apart = all(a.stop <= b.start for a, b in zip(found, found[1:], strict=False))
        return (axes.pop(), found) if len(axes) == 1 and is_apart else None


def placed(maker: Equation) -> tuple[int, Piece] | None:
    """The axis along which a `place` leaves something zero, and the piece it fills."""
    if maker.primitive is not PLACE:
        return None
    spec, shape = maker.params["spec"], maker.params["shape"]
    whole = [entry == (0, n, 1) for entry, n in zip(spec, shape, strict=True)]
    if whole.count(False) == 1 and isinstance(spec[whole.index(False)], int):
        axis = whole.index(False)
        return axis, Piece(spec[axis], spec[axis] + 1, maker.inputs[0])
    axis = sliced_axis(spec, shape)
    return None if axis is None else (axis, Piece(spec[axis][0], spec[axis][1], maker.inputs[0]))


def concatenation(root: Equation, axis: int, pieces: Sequence[Piece]) -> list[Equation]:
    """The equations that join pieces, with zeros between them, into the result of `root`."""
    out = root.outputs[0].type
    equations: list[Equation] = []

    def made(primitive: Any, inputs: Sequence[Atom], **params: Any) -> Variable:
        types = [atom.type for atom in inputs]
        result = Variable(primitive.type_rule(*types, **params))
        equations.append(with_parts(root, inputs, [result], params, primitive))
        return result

    parts: list[Atom] = []
    for piece in filled(pieces, out.shape[axis]):
        shape = (*out.shape[:axis], piece.stop - piece.start, *out.shape[axis + 1 :])
        if piece.source is None:
            parts.append(made(FULL, [], shape=shape, value=0, dtype=out.dtype))
            continue
        part = piece.source
        if part.type.shape != shape:
            part = made(RESHAPE, [part], shape=shape)
        # The sum made 0.0 of -0.0, because it added the zeros of the other places.
        parts.append(made(ADD, [part, zero(out.dtype)]) if kind(out.dtype) in "fc" else part)
    equations.append(with_parts(root, parts, root.outputs, {"axis": axis}, CONCATENATE))
    return equations


def zero(dtype: np.dtype) -> Literal:
    return Literal(dtype.type(0))


def filled(pieces: Sequence[Piece], length: int) -> list[Piece]:
    """The pieces, and zeros between them."""
    found = []
    end = 0
    for piece in (*pieces, Piece(length, length, None)):
        if end < piece.start:
            found.append(Piece(end, piece.start, None))
        if piece.start < piece.stop:
            found.append(piece)
        end = piece.stop
    return found
