"""Rows S: time per element, step or equation while there are 10, 100 and 1000 times as many of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.measure import Measured, measure_row
from benchmarks.process import Settings
from benchmarks.report import duration, table, verdict
from benchmarks.row import SIDES
from benchmarks.rows import SERIES

LIMIT = 120.0  # seconds that one program may take to compile
# Near linear: a unit of the largest program may take this many times longer to compile than one of a program
# that is a tenth of its size.
GROWTH_GOAL = 2.0
NAN = float("nan")

Scaled = Mapping[int, Mapping[str, Measured]]  # units -> side -> what was found


def measure_series(
    name: str, sides: Sequence[str], settings: Settings, report: Callable[[str], None]
) -> dict[int, dict[str, Measured]]:
    """Every size of a series on the sides that it is written for."""
    settings = replace(settings, limit=LIMIT)
    compared = [side for side in sides if side in ("funcgrad", "jax")]
    return {
        units: measure_row(f"{name}@{units}", compared, settings, report)
        for units in SERIES[name].rows
    }


def series_text(name: str, found: Scaled) -> str:
    """One table: what a unit costs at each size, to call and to compile."""
    series = SERIES[name]
    sides = [side for side in SIDES if any(side in measured for measured in found.values())]
    kinds: dict[str, Callable[[Measured], float]] = {"call": lambda measured: measured.time}
    if series.compiles:
        kinds["compile"] = lambda measured: measured.compile
    heads = [f"{series.unit}s", *(f"{SIDES[s]} {kind}" for kind in kinds for s in sides)]
    lines = []
    for units, measured in found.items():
        seconds = [
            of(measured[s]) if s in measured else NAN for of in kinds.values() for s in sides
        ]
        lines.append([f"{units:,}", *(duration(value / units) for value in seconds)])
    parts = [f"### {name}: {series.title}", f"Time per {series.unit}.", table(heads, lines)]
    if series.compiles:
        parts.append(growth_text(found))
    return "\n\n".join(parts + troubles(found))


def growth_text(found: Scaled) -> str:
    """Whether the time to compile is near linear at the end of the series."""
    (fewer, before), (units, after) = list(found.items())[-2:]
    if "funcgrad" not in after:
        return ""
    growth = after["funcgrad"].compile / units / (before["funcgrad"].compile / fewer)
    return (
        f"Compiling {units // fewer} times as much takes {units / fewer * growth:.1f} times as long "
        f"(goal: at most {units / fewer * GROWTH_GOAL:.0f}; met: {verdict(growth <= GROWTH_GOAL, growth)})."
    )


def troubles(found: Scaled) -> list[str]:
    """Why times are missing."""
    return [
        f"{units:,} {SIDES[side]}: {measured.trouble}"
        for units, sides in found.items()
        for side, measured in sides.items()
        if measured.trouble
    ]


def scaling_text(found: Mapping[str, Scaled]) -> str:
    return "\n\n".join(["## S: scaling", *(series_text(name, s) for name, s in found.items())])
