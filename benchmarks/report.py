"""The tables, as text that is also Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmarks.measure import Measured
from benchmarks.row import COMPILED, SIDES
from benchmarks.rows import ROWS

Rows = Mapping[str, Mapping[str, Measured]]
OVERALL_GOAL = 2.5


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; all but the first two are numbers."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    is_text = [head in ("", "work") for head in heads]

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


def best_peer(name: str, found: Mapping[str, Measured]) -> float:
    """Seconds of the fastest of the row's rivals; nan without any."""
    times = [found[peer].best for peer in ROWS[name].peers if peer in found]
    return min((time for time in times if not math.isnan(time)), default=float("nan"))


def ratio(name: str, found: Mapping[str, Measured]) -> float:
    """The time of funcgrad divided by that of its best peer: below 1 is faster."""
    if "funcgrad" not in found:
        return float("nan")
    return found["funcgrad"].best / best_peer(name, found)


def geometric_mean(values: Sequence[float]) -> float:
    known = [math.log(value) for value in values if not math.isnan(value)]
    return math.exp(sum(known) / len(known)) if known else float("nan")


def overall_ratio(rows: Rows) -> float:
    """The geometric mean over the rows, where the parts of a row (a, b) count together as one."""
    parts: dict[str, list[float]] = {}
    for name, found in rows.items():
        parts.setdefault(name.rstrip("ab"), []).append(ratio(name, found))
    return geometric_mean([geometric_mean(values) for values in parts.values()])


def time_table(rows: Rows, sides: Sequence[str]) -> str:
    lines = []
    for name, found in rows.items():
        times = [duration(found[s].best) if s in found else "-" for s in sides]
        goal = f"{1 / ROWS[name].goal:.2f}"
        lines.append([name, ROWS[name].title, *times, number(ratio(name, found), 2), goal])
    return table(["", "work", *(SIDES[s] for s in sides), "ratio", "goal"], lines)


def side_table(rows: Rows, sides: Sequence[str], cell: Callable[[Measured], str]) -> str:
    """One number per row and side."""
    lines = [
        [name, *(cell(found[s]) if s in found else "-" for s in sides)]
        for name, found in rows.items()
    ]
    return table(["", *(SIDES[s] for s in sides)], lines)


def troubles(rows: Rows) -> list[str]:
    """Why times are missing."""
    return [
        f"- {name}, {SIDES[side]}: {measured.trouble}"
        for name, found in rows.items()
        for side, measured in found.items()
        if measured.trouble
    ]


def rows_text(rows: Rows, sides: Sequence[str]) -> str:
    """Everything about the rows W."""
    compiled = {name: found for name, found in rows.items() if ROWS[name].is_compiled}
    compiling = [side for side in sides if side in COMPILED]
    mean = overall_ratio(rows)
    parts = [
        "## Time per call",
        "The best of several rounds. ratio: funcgrad divided by its best peer (NumPy by hand is not one).",
        time_table(rows, sides),
        f"Geometric mean of the ratios: {number(mean, 2)} (goal {1 / OVERALL_GOAL:.2f}).",
        "## Time to compile, ms",
        "The first call in a fresh process without caches, less the time of a later call.",
        side_table(compiled, compiling, lambda m: number(1e3 * m.compile)),
        "## Peak memory, MB",
        "Above what the process held before the first call: compiling, results and temporary arrays.",
        side_table(rows, sides, lambda m: number(m.memory)),
    ]
    missing = troubles(rows)
    if missing:
        parts += ["## Not measured", "\n".join(missing)]
    return "\n\n".join(parts)


def compile_text(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Row C: compiling in a first and in a second process."""
    sides = [side for side in SIDES if any(side in measured for measured in found.values())]
    unknown = {"cold": float("nan"), "warm": float("nan")}
    heads, lines = ["", *(f"{SIDES[s]} {kind}" for s in sides for kind in unknown)], []
    for name, measured in found.items():
        cells = [number(measured.get(s, unknown)[kind], 1) for s in sides for kind in unknown]
        lines.append([name, *cells])
    parts = [
        "## C: time to compile, ms",
        "cold: no disk cache. warm: a second process with the disk cache of the first (JAX's is turned on "
        "for it; a library without a disk cache compiles again).",
        table(heads, lines),
    ]
    pairs = [(m["funcgrad"], m["jax"]) for m in found.values() if {"funcgrad", "jax"} <= set(m)]
    if pairs:
        cold = geometric_mean([ours["cold"] / theirs["cold"] for ours, theirs in pairs])
        warm = geometric_mean([ours["warm"] / theirs["cold"] for ours, theirs in pairs])
        parts.append(
            f"Geometric mean, divided by JAX cold: cold {cold:.2f} (goal 0.25), warm {warm:.2f} (goal 0.05)."
        )
    return "\n\n".join(parts)


def imports_text(found: Mapping[str, float]) -> str:
    """Row I."""
    lines = [[module, number(milliseconds)] for module, milliseconds in found.items()]
    return "## I: `import`, ms\n\nThe goal of funcgrad is 150.\n\n" + table(["", "ms"], lines)


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
