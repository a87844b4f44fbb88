"""The order in which kernels and steps run."""

from __future__ import annotations

import heapq

from funcgrad.compiler.lowering.kernels import Kernel, Unit


def execution_order(units: list[Unit], readers: dict[Unit, set[Unit]]) -> list[Unit]:
    """Units after those whose results they read; as recorded where there is a choice."""
    waiting = {unit: 0 for unit in units}
    for unit in units:
        for reader in readers[unit]:
            waiting[reader] += 1
    places = {unit: i for i, unit in enumerate(reversed(units))}
    ready = [
        (unit_number(unit), places[unit], unit) for unit, count in waiting.items() if not count
    ]
    heapq.heapify(ready)
    order = []
    while ready:
        unit = heapq.heappop(ready)[2]
        order.append(unit)
        for reader in readers[unit]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, (unit_number(reader), places[reader], reader))
    assert len(order) == len(units), "kernels wait for each other"
    return order


def unit_number(unit: Unit) -> int:
    return unit.last if isinstance(unit, Kernel) else unit.number
