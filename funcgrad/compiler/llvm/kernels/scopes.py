"""Open loops: where in a loop nest code is written, and where a value has its place.

Every value is computed at the outermost loop that knows its index, and once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.kernels.masked import first_lanes
from funcgrad.compiler.llvm.kernels.registers import (
    as_python,
    convert_value,
    is_half,
    register_type,
    round_half,
)
from funcgrad.compiler.llvm.types import Value, constant, lanes_of
from funcgrad.compiler.lowering.index import Affine
from funcgrad.compiler.lowering.schedule import Level


class Placed:
    """A value and the depth of the loop in which it was computed."""

    __slots__ = ("depth", "value")

    def __init__(self, value: Value, depth: int) -> None:
        self.value = value
        self.depth = depth


class Scope:
    """One open loop: what was computed in it, and the block in front of it."""

    __slots__ = ("hoist", "lanes", "level", "loop", "mask", "memo", "shift")

    def __init__(
        self, level: Level | None, loop: Loop | None, lanes: int, hoist: Block | None
    ) -> None:
        self.level = level
        self.loop = loop
        self.lanes = lanes
        self.hoist = hoist
        self.memo: dict[Any, Placed] = {}
        self.mask: Value | None = None
        self.shift = 0


class LoopScopes:
    """The open loops of a function, and operations on the values computed in them.

    Args:
        function: what is written into.
        lanes: elements per vector.
    """

    def __init__(self, function: Function, lanes: int) -> None:
        self.f = function
        self.lanes = lanes
        self.scopes: list[Scope] = []

    @contextlib.contextmanager
    def scope(
        self, level: Level | None, loop: Loop | None, lanes: int = 0, hoist: Block | None = None
    ) -> Iterator[None]:
        """An open loop; `hoist` is the block in front of it, by default its preheader."""
        if hoist is None and loop is not None:
            hoist = loop.preheader
        self.scopes.append(Scope(level, loop, lanes, hoist))
        yield
        self.scopes.pop()

    @contextlib.contextmanager
    def copy(self, shift: int) -> Iterator[None]:
        """One unrolled copy of the body of the innermost loop, this many elements on."""
        inner = self.scopes[-1]
        saved = inner.memo, inner.shift
        inner.memo, inner.shift = {}, shift
        yield
        inner.memo, inner.shift = saved

    @contextlib.contextmanager
    def at(self, depth: int) -> Iterator[None]:
        """Write code of an outer loop: in front of the loop inside it."""
        if depth + 1 >= len(self.scopes):
            yield
            return
        hoist = self.scopes[depth + 1].hoist
        assert hoist is not None
        with self.f.at(hoist):
            yield

    def limit(self, index: Value, stop: Value) -> None:
        """Turn off the lanes of the innermost loop from `stop` on, which is not 2**31 elements away."""
        f = self.f
        rest = f.op("sub", stop, index)
        if rest.text[0] != "%":
            self.scopes[-1].mask = first_lanes(self.lanes, int(rest.text))
            return
        steps = ", ".join([f"i32 {i}" for i in range(self.lanes)])
        count = f.splat(f.cast("trunc", rest, "i32"), self.lanes)
        self.scopes[-1].mask = f.icmp("slt", Value(count.type, f"<{steps}>"), count)

    def innermost_index(self) -> Value:
        """The counter of the innermost loop."""
        loop = self.scopes[-1].loop
        assert loop is not None
        return loop.index

    @property
    def mask(self) -> Value | None:
        """Which lanes of the vector loop are on; None for all."""
        for scope in reversed(self.scopes):
            if scope.mask is not None:
                return scope.mask
        return None

    def depth_of(self, part: Affine) -> int:
        """The innermost loop that an index depends on."""
        depth = 0
        for number, scope in enumerate(self.scopes):
            if scope.level is not None and any(part.factor(v) for v in scope.level.variables):
                depth = number
        return max([depth, *[placed.depth for placed, _ in part.dynamic]])

    # --- operations on values, where these were computed ---

    def number(self, dtype: np.dtype, value: Any) -> Value:
        return constant(register_type(dtype), as_python(dtype, value))

    def converted(self, placed: Placed, source: np.dtype, target: np.dtype) -> Placed:
        if source == target:
            return placed
        with self.at(placed.depth):
            return Placed(convert_value(self.f, placed.value, source, target), placed.depth)

    def wide(self, placed: Placed, lanes: int) -> Value:
        """A value in all lanes, made where the value was made."""
        value = placed.value
        if not lanes or lanes_of(value.type) or value.text[0] != "%":
            return self.f.splat(value, lanes)
        memo = self.scopes[placed.depth].memo
        key = ("splat", value.text, lanes)
        if key not in memo:
            with self.at(placed.depth):
                memo[key] = Placed(self.f.splat(value, lanes), placed.depth)
        return memo[key].value

    def full(self, value: Value, type: str) -> Value:
        """A register in the type of an accumulator."""
        return self.f.splat(value, lanes_of(type)) if not lanes_of(value.type) else value

    def widened(self, placed: Placed, source: np.dtype, target: np.dtype) -> Placed:
        """An element as a reduction accumulates it: half precision is a float already."""
        if is_half(source) and target == np.float32:
            return placed
        return self.converted(placed, source, target)

    def narrowed(self, value: Value, source: np.dtype, target: np.dtype) -> Value:
        """What a reduction has accumulated, in the dtype of its result."""
        return (
            round_half(self.f, target, value) if is_half(target) and not is_half(source) else value
        )

    def all_of(self, tests: Sequence[Placed]) -> Placed | None:
        result: Placed | None = None
        for test in tests:
            result = test if result is None else self.both(result, test)
        return result

    def both(self, a: Placed, b: Placed) -> Placed:
        depth = max(a.depth, b.depth)
        lanes = max(lanes_of(a.value.type), lanes_of(b.value.type))
        x, y = self.wide(a, lanes), self.wide(b, lanes)
        with self.at(depth):
            return Placed(self.f.op("and", x, y), depth)
