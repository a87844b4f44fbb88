"""Row I: how long `import` takes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.process import Settings, run_python
from benchmarks.report import number, table, verdict

GOAL = 150.0
ROUNDS = 5
MODULES = ("numpy", "funcgrad", "jax", "torch", "autograd")


def measure_imports(settings: Settings, sides: list[str]) -> dict[str, float]:
    """Milliseconds of importing each module in a fresh process, the best of several, in turns."""
    best = {module: float("inf") for module in MODULES if module in sides}
    for _ in range(ROUNDS):
        for module in list(best):
            seconds = _import_time(module, settings.python(module))
            if seconds is None:
                best.pop(module)
            else:
                best[module] = min(best[module], 1e3 * seconds)
    return best


def _import_time(module: str, python: str) -> float | None:
    """None where the module cannot be imported."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    result = run_python(python, ["-c", code])
    return None if result.returncode else float(result.stdout)


def imports_text(found: Mapping[str, float]) -> str:
    lines = [[module, number(milliseconds)] for module, milliseconds in found.items()]
    ours = found.get("funcgrad", float("nan"))
    goal = f"The goal of funcgrad is {number(GOAL)}; met: {verdict(ours <= GOAL, ours)}."
    return f"## I: `import`, ms\n\n{goal}\n\n" + table(["", "ms"], lines)
