"""How the loops of a kernel run on a GPU: the order of the CPU's schedule, with vectors by what is moved in all."""

from __future__ import annotations

import math

from funcgrad.compiler.lowering.accesses import Access
from funcgrad.compiler.lowering.schedule import Level, Schedule


class Loops(Schedule):
    """The levels of a kernel. They are divided by the layout of a launch, not into chunks."""

    def choose_chunks(self) -> tuple[int, int]:
        return -1, 1

    def unit_strides(self, level: Level) -> float:
        """How many accesses vectors along a level would serve, less those that they would scatter."""
        total = 0.0
        for access in self.accesses:
            factor = level.factor(access.offset)
            if factor:
                total += self.points(access) * (1 if factor == 1 else -1) * (1 + access.is_store)
        return total * min(1.0, level.extent / 4)

    def points(self, access: Access) -> int:
        """How many points of the loops an access moves over."""
        moving = [level.extent for level in self.levels_of(access)]
        return math.prod(moving)

    def levels_of(self, access: Access) -> list[Level]:
        return [level for level in self.found_levels if level.factor(access.offset)]

    def choose_vector(self, levels: list[Level]) -> None:
        self.found_levels = levels
        super().choose_vector(levels)
