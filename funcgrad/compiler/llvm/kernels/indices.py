"""Indices as values: what an affine index of the open loops amounts to, as a scalar or one number per lane."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.scopes import LoopScopes, Placed
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, vector
from funcgrad.compiler.lowering.index import Affine


class IndexWriter(LoopScopes):
    """Computes indices and tests of them."""

    def __init__(self, function: Function, lanes: int) -> None:
        super().__init__(function, lanes)
        self.alive: list[Placed] = []

    def index_value(self, part: Affine) -> Placed:
        """An index as an i64, a vector of them if it moves with the vector loop."""
        depth = self.depth_of(part)
        with self.at(depth):
            scalar, vectors = self.index_terms(part)
            if not vectors:
                return Placed(scalar, depth)
            lanes = max(lanes_of(vector.type) for vector in vectors)
            total = vectors[0]
            for term in [*vectors[1:], *([scalar] if scalar.text != "0" else [])]:
                total = self.f.op("add", total, self.f.splat(term, lanes))
            return Placed(total, depth)

    def index_terms(self, part: Affine) -> tuple[Value, list[Value]]:
        """The summands of an index that are the same in all lanes, added up, and the others."""
        f, scalar = self.f, constant("i64", part.constant)
        vectors: list[Value] = []
        for scope in self.scopes:
            factor = scope.level.factor(part) if scope.level is not None else 0
            if not factor or scope.loop is None:
                continue
            count = f.op("add", scope.loop.index, constant("i64", scope.shift))
            scalar = f.op("add", scalar, f.op("mul", count, constant("i64", factor)))
            if scope.lanes:
                steps = ", ".join([f"i64 {i * factor}" for i in range(scope.lanes)])
                vectors.append(Value(vector(scope.lanes, "i64"), f"<{steps}>"))
        for placed, factor in part.dynamic:
            term = placed.value
            if factor != 1:
                term = f.op("mul", term, constant(term.type, factor))
            if lanes_of(term.type):
                vectors.append(term)
            else:
                scalar = f.op("add", scalar, term)
        return scalar, vectors

    def scalar_index(self, part: Affine) -> Value | int:
        """An index in the first lane."""
        f = self.f
        if part.is_constant:
            return part.constant
        total, shift = constant("i64", 0), part.constant
        for scope in self.scopes:
            factor = scope.level.factor(part) if scope.level is not None else 0
            if factor and scope.loop is not None:
                shift += scope.shift * factor
                term = f.op("mul", scope.loop.index, constant("i64", factor))
                total = f.op("add", total, term)
        for placed, factor in part.dynamic:
            total = f.op("add", total, f.op("mul", placed.value, constant("i64", factor)))
        return f.op("add", total, constant("i64", shift))

    def divided(self, part: Affine, step: int) -> tuple[Affine, Placed]:
        """An index over a step, and whether it leaves no rest."""
        placed = self.index_value(part)
        divisor = constant(placed.value.type, step)
        with self.at(placed.depth):
            quotient = self.f.op("sdiv", placed.value, divisor)
            rest = self.f.op("srem", placed.value, divisor)
            exact = self.f.icmp("eq", rest, constant(rest.type, 0))
        return self.dynamic(Placed(quotient, placed.depth)), Placed(exact, placed.depth)

    def dynamic(self, placed: Placed) -> Affine:
        """A value as an index."""
        self.alive.append(placed)  # indices are told apart by identity
        return Affine((), 0, ((placed, 1),))

    def is_in_range(self, part: Affine, length: int) -> Placed:
        placed = self.index_value(part)
        with self.at(placed.depth):
            test = self.f.icmp("ult", placed.value, constant(placed.value.type, length))
        return Placed(test, placed.depth)
