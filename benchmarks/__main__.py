"""Runs the table: `python -m benchmarks [ROW ...] [--sides ...] [--seconds S] [--peers-python PATH]`.

The rows are W1 to W12 (or a part such as W6b), C (time to compile), I (time to import) and S1 to S6 (scaling; S
means all); without any, all, and the report is also written to RESULTS.md beside this file. Libraries that are
not installed are shown as '-'. They may live in another environment, whose Python `--peers-python` names; give
that one the NumPy version of this one, so that all sides get the same data.

How numbers are taken. Every side of a row is a process of its own, so that no library sees another's threads or
settings; variables that pin kernels, threads or caches are taken out of its environment. Its first call is checked
against a float64 reference; a side whose results are wrong is not timed. Then the sides take turns in slices of
about a tenth of `--seconds`: the median call of a slice counts, a slice during which other programs used the
machine is repeated, and the lower quartile over the slices is what the table shows. Compiling is the first call in
a fresh process, with empty caches (cold) or with the disk cache of a process before (warm). Peak memory is the
highest resident set above that before the first call.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.compiling import compile_text, measure_compile
from benchmarks.importing import imports_text, measure_imports
from benchmarks.machine import describe_workers, load
from benchmarks.measure import Measured, measure_row
from benchmarks.process import Settings
from benchmarks.report import machine_text, rows_text, versions
from benchmarks.row import SIDES
from benchmarks.rows import ROWS, SERIES, whole
from benchmarks.scaling import measure_series, scaling_text

PATIENCE_HELP = "seconds to wait for a calm machine, for each second of measuring (3)"
RESULTS = Path(__file__).parent / "RESULTS.md"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Runs the table.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="W1 ... W12, W6b, C, I, S, S1 ... S6 (all)")
    add("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="(all that are installed)")
    add("--seconds", type=float, default=1.0, help="to measure each side of a row (1)")
    add("--limit", type=float, default=300.0, help="seconds that a first call may take (300)")
    add("--patience", type=float, default=3.0, metavar="FACTOR", help=PATIENCE_HELP)
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="arrays of funcgrad (numpy)")
    add("--peers-python", default=sys.executable, metavar="PATH", help="the Python with the peers")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--results", type=Path, metavar="FILE", help="write the report there")
    return parser.parse_args(arguments)


class Choice(NamedTuple):
    """What is to be done: the rows to time, the rows to compile for C, the series of S, and whether to do I."""

    timed: list[str]
    compiled: list[str]
    scaled: list[str]
    imports: bool


def chosen_rows(names: list[str]) -> Choice:
    """What the names on the command line mean; C alone is about all rows."""
    known = {"C", "I", "S", *SERIES, *ROWS, *(whole(row) for row in ROWS)}
    for name in names:
        if name not in known:
            raise SystemExit(
                f"error: no row {name!r}. Rows are {', '.join([*ROWS, 'C', 'I', *SERIES])}."
            )
    wanted = [name for name in names if name.startswith("W")]
    rows = [row for row in ROWS if not wanted or row in wanted or whole(row) in wanted]
    return Choice(
        timed=rows if wanted or not names else [],
        compiled=[row for row in rows if ROWS[row].is_compiled and ("C" in names or not names)],
        scaled=[name for name in SERIES if not names or "S" in names or name in names],
        imports="I" in names or not names,
    )


def progress(text: str) -> None:
    """What is being done, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:40}", end="\r", file=sys.stderr, flush=True)


def measured_each(names: list[str], kind: str, measure: Callable[[str], Any]) -> dict[str, Any]:
    """What was found for each row or series."""
    found = {}
    for name in names:
        progress(f"{kind}{name}")
        found[name] = measure(name)
    progress("")
    return found


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The report, and its numbers."""
    choice = chosen_rows(options.rows)
    settings = Settings(
        options.peers_python, options.backend, options.seconds, options.limit, options.patience
    )
    sides = [side for side in SIDES if side in options.sides]
    machine = {**describe_workers(), "arrays": options.backend, "load when it began": load()}
    rows = measured_each(choice.timed, "", lambda n: measure_row(n, sides, settings, progress))
    compiled = measured_each(choice.compiled, "C: ", lambda n: measure_compile(n, sides, settings))
    scaled = measured_each(
        choice.scaled, "", lambda n: measure_series(n, sides, settings, progress)
    )
    imports = measure_imports(settings, sides) if choice.imports else {}
    machine = {**machine, "load when it ended": load(), **versions(rows)}
    text = [machine_text(machine)]
    text += [rows_text(rows, sides, with_first_calls=not compiled)] if rows else []
    text += [compile_text(compiled)] if compiled else []
    text += [imports_text(imports)] if imports else []
    text += [scaling_text(scaled)] if scaled else []
    found = {"rows": rows, "compile": compiled, "scaling": scaled, "imports": imports}
    return "\n\n".join(text) + "\n", {"machine": machine, **found}


def as_json(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, Measured):
        return asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def main() -> None:
    options = parse()
    is_complete = not options.rows and set(options.sides) == set(SIDES)
    if options.results is None and is_complete and options.backend == "numpy":
        options.results = RESULTS
    report, numbers = run(options)
    print(report)
    if options.results:
        options.results.write_text("# Benchmark results\n\n" + report)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1, default=as_json))


if __name__ == "__main__":
    main()
