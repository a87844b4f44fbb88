"""The table of the rows W, as text that is also Markdown, and how numbers are written in all tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmarks.measure import Measured
from benchmarks.row import COMPILED, SIDES
from benchmarks.rows import ROWS, whole

Rows = Mapping[str, Mapping[str, Measured]]
OVERALL_GOAL = 2.5
ALL_ROWS = len({whole(name) for name, row in ROWS.items() if row.counts})

HOW_TIMED = """\
Each side runs in its own process on all cores and was first checked against a float64 reference. The sides take turns
in slices; a slice during which other programs used the machine is repeated. A time is the lower quartile over the
slices of the median call of each. "faster" is the time of the best peer divided by that of funcgrad (NumPy by hand is
no peer: somebody derived it on paper), "medians" the same of the medians over all slices."""


# --- how numbers are written ---


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; all but the named ones are numbers."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    is_text = [head in ("", "work", "best peer") for head in heads]

    def line(cells: Sequence[str]) -> str:
        padded = zip(cells, widths, is_text, strict=True)
        return "| " + " | ".join(c.ljust(w) if t else c.rjust(w) for c, w, t in padded) + " |"

    rule = ["-" * w if t else "-" * (w - 1) + ":" for w, t in zip(widths, is_text, strict=True)]
    return "\n".join(map(line, [heads, rule, *lines]))


def duration(seconds: float) -> str:
    """Three digits and a unit; '-' for nan."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "-" if math.isnan(seconds) else f"{seconds * 1e9:.3g} ns"


def number(value: float, digits: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def times(value: float) -> str:
    """How many times faster."""
    return "-" if math.isnan(value) else f"{value:.3g}x" if value < 100 else f"{value:.0f}x"


def verdict(is_met: bool, *values: float) -> str:
    """Whether a goal is met; '-' where a value is missing."""
    return "-" if any(map(math.isnan, values)) else "yes" if is_met else "NO"


def geometric_mean(values: Sequence[float]) -> float:
    known = [math.log(value) for value in values if not math.isnan(value)]
    return math.exp(sum(known) / len(known)) if known else float("nan")


# --- the rows W ---


def best_peer(name: str, found: Mapping[str, Measured]) -> str | None:
    """The fastest of the row's rivals; None without any."""
    timed = [side for side in ROWS[name].peers if side in found and found[side].times]
    return min(timed, key=lambda side: found[side].time, default=None)


def speedup(name: str, found: Mapping[str, Measured]) -> float:
    """The time of the best peer divided by that of funcgrad."""
    peer = best_peer(name, found)
    if peer is None or "funcgrad" not in found:
        return float("nan")
    return found[peer].time / found["funcgrad"].time


def median_speedup(name: str, found: Mapping[str, Measured]) -> float:
    """The same of the medians over all slices."""
    if "funcgrad" not in found:
        return float("nan")
    known = [found[s].median for s in ROWS[name].peers if s in found and found[s].times]
    return min(known, default=float("nan")) / found["funcgrad"].median


def overall_speedup(rows: Rows) -> tuple[float, int]:
    """The geometric mean over the rows, where the parts of a row (a, b) count together as one, and their number."""
    parts: dict[str, list[float]] = {}
    for name, found in rows.items():
        if ROWS[name].counts:
            parts.setdefault(whole(name), []).append(speedup(name, found))
    means = [geometric_mean(values) for values in parts.values()]
    return geometric_mean(means), sum(not math.isnan(mean) for mean in means)


def time_table(rows: Rows, sides: Sequence[str]) -> str:
    lines = []
    for name, found in rows.items():
        row, peer, factor = ROWS[name], best_peer(name, found), speedup(name, found)
        seconds = [duration(found[s].time) if s in found else "-" for s in sides]
        goal = [times(row.goal), verdict(factor >= row.goal, factor)]
        compared = [times(factor), times(median_speedup(name, found)), *goal]
        lines.append([name, row.title, *seconds, SIDES[peer] if peer else "-", *compared])
    heads = [SIDES[side] for side in sides]
    return table(["", "work", *heads, "best peer", "faster", "medians", "goal", "met"], lines)


def side_table(rows: Rows, sides: Sequence[str], cell: Callable[[Measured], str]) -> str:
    """One cell per row and side."""
    lines = [
        [name, *(cell(found[s]) if s in found else "-" for s in sides)]
        for name, found in rows.items()
    ]
    return table(["", *(SIDES[s] for s in sides)], lines)


def overall_text(rows: Rows) -> str:
    """The goal of the whole table, and how calm the machine was."""
    mean, count = overall_speedup(rows)
    met = verdict(mean >= OVERALL_GOAL, mean)
    slices = [measured for found in rows.values() for measured in found.values()]
    total = sum(len(measured.times) for measured in slices)
    return (
        f"Geometric mean of best peer / funcgrad over {count} of the {ALL_ROWS} rows: {times(mean)} "
        f"(goal {times(OVERALL_GOAL)}; met: {met}). Other programs disturbed "
        f"{sum(measured.disturbed for measured in slices)} of {total} slices in spite of repeating them."
    )


def troubles(rows: Rows) -> list[str]:
    """Why times are missing."""
    return [
        f"- {name}, {SIDES[side]}: {measured.trouble}"
        for name, found in rows.items()
        for side, measured in found.items()
        if measured.trouble
    ]


def rows_text(rows: Rows, sides: Sequence[str], with_first_calls: bool = True) -> str:
    """Everything about the rows W."""
    parts = ["## Time per call", HOW_TIMED, time_table(rows, sides), overall_text(rows)]
    if with_first_calls:
        compiled = {name: found for name, found in rows.items() if ROWS[name].is_compiled}
        compiling = [side for side in sides if side in COMPILED]
        parts += [
            "## Time to compile, ms",
            "The first call in a fresh process without caches, less the time of a later call.",
            side_table(compiled, compiling, lambda m: number(1e3 * m.compile)),
        ]
    parts += [
        "## Peak memory, MB",
        "What the process held more than before the first call: while the calls were timed / in the first "
        "call, which compiles.",
        side_table(rows, sides, memory_cell),
    ]
    missing = troubles(rows)
    if missing:
        parts += ["## Not measured", "\n".join(missing)]
    return "\n\n".join(parts)


def memory_cell(measured: Measured) -> str:
    if math.isnan(measured.memory):
        return "-"
    return f"{number(measured.memory)} / {number(measured.first_memory)}"


def versions(rows: Rows) -> dict[str, str]:
    """The version of each library that did something."""
    return {
        SIDES[side]: measured.version
        for found in rows.values()
        for side, measured in found.items()
        if measured.version and side != "numpy"
    }


def machine_text(machine: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in machine.items())
