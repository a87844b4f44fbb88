"""Which units of a partition need results of which others, directly or not, while the partition grows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Reachability:
    """A growing acyclic graph whose transitive closure is kept as one bit set per unit."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.after: list[int] = []  # per unit, the units that need it; as bits

    def number(self, unit: Any) -> int:
        found = self.numbers.get(unit)
        if found is None:
            found = self.numbers[unit] = len(self.after)
            self.after.append(0)
        return found

    def reaches(self, start: Any, goal: Any) -> bool:
        """Whether `goal` needs, directly or not, a result of `start`."""
        return bool(self.after[self.number(start)] >> self.number(goal) & 1)

    def add(self, unit: Any, readers: Iterable[Any]) -> None:
        """Results of `unit` are read by these."""
        new = 0
        for reader in readers:
            number = self.number(reader)
            new |= self.after[number] | 1 << number
        self.extend(self.number(unit), new)

    def extend(self, number: int, new: int) -> None:
        """Everything in `new` needs the unit with this number, and whatever that unit needs."""
        if self.after[number] | new == self.after[number]:
            return
        self.after[number] |= new
        bit = 1 << number
        for other, known in enumerate(self.after):
            if known & bit:
                self.after[other] = known | new

    def merge(self, target: Any, unit: Any) -> None:
        """`unit` becomes part of `target`."""
        keep, gone = self.number(target), self.number(unit)
        new = self.after[gone]
        mask = 1 << gone
        for other, known in enumerate(self.after):
            if known & mask:
                self.after[other] = known | 1 << keep
        self.extend(keep, new)
        self.after[gone] = self.after[keep]
        bit = 1 << keep
        for other, known in enumerate(self.after):
            if known & bit:
                self.after[other] = known | self.after[keep]
