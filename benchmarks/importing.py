"""Row I: how long `import` takes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.process import Settings, run_python
from benchmarks.report import number, table, verdict

GOAL = 150.0
ROUNDS = 5
# What each line of the table imports, and the side whose Python it takes.
MODULES = {
    "numpy": ("numpy", "numpy"),
    "funcgrad": ("funcgrad", "funcgrad"),
    "funcgrad with nn, optim, io": ("funcgrad.nn, funcgrad.optim, funcgrad.io", "funcgrad"),
    "jax": ("jax", "jax"),
    "torch": ("torch", "torch"),
    "autograd": ("autograd", "autograd"),
}


def measure_imports(settings: Settings, sides: list[str]) -> dict[str, float]:
    """Milliseconds of importing in a fresh process, the best of several, in turns."""
    best = {name: float("inf") for name, (_, side) in MODULES.items() if side in sides}
    for _ in range(ROUNDS):
        for name in list(best):
            modules, side = MODULES[name]
            seconds = _import_time(modules, settings.python(side))
            if seconds is None:
                best.pop(name)
            else:
                best[name] = min(best[name], 1e3 * seconds)
    return best


def _import_time(modules: str, python: str) -> float | None:
    """None where they cannot be imported."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {modules}; print(time.perf_counter() - start)"
    )
    result = run_python(python, ["-c", code])
    return None if result.returncode else float(result.stdout)


def imports_text(found: Mapping[str, float]) -> str:
    lines = [[module, number(milliseconds)] for module, milliseconds in found.items()]
    ours = found.get("funcgrad", float("nan"))
    goal = f"The goal of funcgrad is {number(GOAL)}; met: {verdict(ours <= GOAL, ours)}."
    return f"## I: `import`, ms\n\n{goal}\n\n" + table(["", "ms"], lines)
