"""Runs the table: `python -m benchmarks [ROW ...] [--sides ...] [--seconds S] [--peers-python PATH]`.

The rows are W1 to W12 (or a part such as W6b), C (time to compile) and I (time to import); without any, all.
Libraries that are not installed are shown as '-'. They may live in another environment, whose Python
`--peers-python` names; give that one the NumPy version of this one, so that all sides get the same data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_workers
from benchmarks.measure import measure_compile, measure_imports, measure_row
from benchmarks.process import Failed, Settings
from benchmarks.report import compile_text, imports_text, machine_text, rows_text, versions
from benchmarks.row import SIDES
from benchmarks.rows import ROWS

RESULTS = Path(__file__).parent / "RESULTS.md"
IMPORT_ROUNDS = 5
COMPILE_SIDES = ("funcgrad", "jax")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Runs the table.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="W1 ... W12, W6b, C, I (all)")
    add("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="(all that are installed)")
    add("--seconds", type=float, default=1.0, help="to measure each side of a row (1)")
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="arrays of funcgrad (numpy)")
    add("--peers-python", default=sys.executable, metavar="PATH", help="the Python with the peers")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--results", action="store_true", help="write benchmarks/RESULTS.md")
    return parser.parse_args(arguments)


class Choice(NamedTuple):
    """What is to be done: the rows to time, the rows to compile for C, and whether to measure I."""

    timed: list[str]
    compiled: list[str]
    imports: bool


def chosen_rows(names: list[str]) -> Choice:
    """What the names on the command line mean; C alone is about all rows."""
    wanted = [name for name in names if name not in ("C", "I")]
    for name in wanted:
        if not any(name in (row, row.rstrip("ab")) for row in ROWS):
            raise SystemExit(f"error: no row {name!r}. Rows are {', '.join([*ROWS, 'C', 'I'])}.")
    rows = [row for row in ROWS if not wanted or row in wanted or row.rstrip("ab") in wanted]
    return Choice(
        timed=rows if wanted or not names else [],
        compiled=[row for row in rows if ROWS[row].is_compiled and ("C" in names or not names)],
        imports="I" in names or not names,
    )


def progress(text: str) -> None:
    """What is being done, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:40}", end="\r", file=sys.stderr, flush=True)


def compile_row(name: str, settings: Settings, sides: list[str]) -> dict[str, Any]:
    """Row C for one row: the sides that can do it."""
    found = {}
    for side in (s for s in COMPILE_SIDES if s in sides and s in ROWS[name].sides()):
        progress(f"C: {name}, {side}")
        with contextlib.suppress(Failed):  # rows W say why
            found[side] = measure_compile(name, side, settings)
    return found


def import_row(settings: Settings, sides: list[str]) -> dict[str, float]:
    modules = [name for name in ("numpy", "funcgrad", "jax", "torch", "autograd") if name in sides]
    return measure_imports({name: settings.python(name) for name in modules}, IMPORT_ROUNDS)


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The report, and its numbers."""
    choice = chosen_rows(options.rows)
    settings = Settings(options.peers_python, options.backend, options.seconds)
    sides = [side for side in SIDES if side in options.sides]
    machine = {**describe_workers(), "arrays": options.backend}
    rows = {name: measure_row(name, sides, settings, progress) for name in choice.timed}
    compiled = {name: compile_row(name, settings, sides) for name in choice.compiled}
    imports = import_row(settings, sides) if choice.imports else {}
    progress("")
    text = [machine_text({**machine, **versions(rows)})]
    text += [rows_text(rows, sides)] if rows else []
    text += [compile_text(compiled)] if compiled else []
    text += [imports_text(imports)] if imports else []
    numbers = {name: {s: asdict(m) for s, m in found.items()} for name, found in rows.items()}
    everything = {"machine": machine, "rows": numbers, "compile": compiled, "imports": imports}
    return "\n\n".join(text) + "\n", everything


def main() -> None:
    options = parse()
    report, numbers = run(options)
    print(report)
    if options.results:
        RESULTS.write_text("# Benchmark results\n\n" + report)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
