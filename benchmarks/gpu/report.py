"""The GPU table as text that is also Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.rows import goal_of, limit_of, row_named
from benchmarks.gpu.sides import PEERS, SIDES
from benchmarks.report import duration, geometric_mean, number, table, times, verdict

Found = Mapping[str, Mapping[str, Any]]


def best_peer(sides: Mapping[str, Any]) -> str | None:
    known = [side for side in PEERS if side in sides and sides[side].times]
    return min(known, key=lambda side: sides[side].time, default=None)


def speedup(sides: Mapping[str, Any]) -> float:
    """The time of the best peer divided by that of funcgrad."""
    peer = best_peer(sides)
    if peer is None or "funcgrad" not in sides:
        return float("nan")
    return sides[peer].time / sides["funcgrad"].time


def time_line(name: str, sides: Mapping[str, Any], shown: Sequence[str], limits: dict) -> list[str]:
    factor, peer, limit = speedup(sides), best_peer(sides), limit_of(row_named(name), limits)
    share = limit / sides["funcgrad"].time if "funcgrad" in sides else float("nan")
    cells = [duration(sides[side].time) if side in sides else "-" for side in shown]
    judged = [times(goal_of(name)), verdict(factor >= goal_of(name), factor)]
    best = SIDES[peer] if peer else "-"
    return [
        name,
        row_named(name).title,
        *cells,
        best,
        times(factor),
        *judged,
        duration(limit),
        percent(share),
    ]


def percent(share: float) -> str:
    return number(100 * share) + (" %" if share == share else "")


def side_table(found: Found, shown: Sequence[str], cell: Any) -> str:
    lines = [
        [name, *(cell(sides[side]) if side in sides else "-" for side in shown)]
        for name, sides in found.items()
    ]
    return table(["", *(SIDES[side] for side in shown)], lines)


def limits_text(limits: Mapping[str, Any]) -> str:
    if "trouble" in limits:
        return f"The limits of the machine could not be measured: {limits['trouble']}"
    named = [f"{name}: {limits[name]}" for name in ("device", "driver", "CuPy") if name in limits]
    speeds = [
        f"{name} {limits[name] / 1e12:.3g} TF/s"
        for name in ("highest", "tensorfloat32", "bfloat16")
        if name in limits
    ]
    named += [f"{name}: {limits[name]}" for name in limits if name.startswith("no ")]
    copy = f"copy {limits['copy'] / 1e12:.3g} TB/s"
    return "\n".join(f"- {line}" for line in [*named, f"{copy}; products: {', '.join(speeds)}"])


def report_text(found: Found, limits: Mapping[str, Any], sides: Sequence[str]) -> str:
    shown = [side for side in SIDES if side in sides]
    heads = [
        "",
        "work",
        *(SIDES[side] for side in shown),
        "best peer",
        "faster",
        "goal",
        "met",
        "limit",
        "of it",
    ]
    lines = [time_line(name, rows, shown, dict(limits)) for name, rows in found.items()]
    mean = geometric_mean([speedup(rows) for rows in found.values()])
    versions = {
        SIDES[side]: measured.version
        for rows in found.values()
        for side, measured in rows.items()
        if measured.version
    }
    troubles = [
        f"- {name}, {SIDES[side]}: {measured.trouble}"
        for name, rows in found.items()
        for side, measured in rows.items()
        if measured.trouble
    ]
    parts = [
        limits_text(limits),
        "\n".join(f"- {name}: {version}" for name, version in versions.items()),
        "## Time per call",
        table(heads, lines),
        f"Geometric mean of best peer / funcgrad: {times(mean)}.",
        "## First call, which compiles, ms",
        side_table(found, shown, lambda side: number(1e3 * side.first)),
        "## Time until a call returns to Python",
        side_table(found, shown, lambda side: duration(min(side.host, default=float("nan")))),
        "## Memory of the GPU that the library holds, MB",
        side_table(found, shown, lambda side: number(side.memory)),
    ]
    notes = [
        f"- {name}, {SIDES[side]}: {note}"
        for name, rows in found.items()
        for side, measured in rows.items()
        for note in measured.notes
    ]
    if notes:
        parts += ["## Warnings", "\n".join(notes)]
    if troubles:
        parts += ["## Not measured", "\n".join(troubles)]
    return "\n\n".join(part for part in parts if part) + "\n"
