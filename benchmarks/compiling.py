"""Row C: how long compiling takes, without a disk cache and in a second process with the disk cache of the first."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.process import Failed, Settings, Worker
from benchmarks.report import geometric_mean, number, table, times, verdict
from benchmarks.row import COMPILED, SIDES
from benchmarks.rows import ROWS

# funcgrad must compile this many times faster than JAX does cold.
COLD_GOAL, WARM_GOAL = 4.0, 20.0
# torch.compile takes so long that one process has to do.
PROCESSES = {"funcgrad": 3, "jax": 3, "torch_compile": 1}
NAN = float("nan")

Compiled = Mapping[str, Mapping[str, float]]  # side -> "cold" and "warm" -> milliseconds


def measure_compile(name: str, sides: Sequence[str], settings: Settings) -> dict[str, dict]:
    """Milliseconds of each side that can do the row: the best of a few processes."""
    found = {}
    for side in (s for s in COMPILED if s in sides and s in ROWS[name].sides()):
        with contextlib.suppress(Failed):  # rows W say why
            found[side] = _best_of(name, side, settings)
    return found


def _best_of(name: str, side: str, settings: Settings) -> dict[str, float]:
    cold, warm = [], []
    for _ in range(PROCESSES[side]):
        with tempfile.TemporaryDirectory() as directory:
            caches = Path(directory)
            cold.append(_compile_time(name, side, settings, caches))
            if side == "jax":  # its disk cache is off by default, so the cold process filled none
                _compile_time(name, side, settings, caches, keeps_jax_cache=True)
            warm.append(_compile_time(name, side, settings, caches, keeps_jax_cache=True))
    return {"cold": min(cold), "warm": min(warm)}


def _compile_time(
    name: str, side: str, settings: Settings, caches: Path, keeps_jax_cache: bool = False
) -> float:
    worker = Worker(name, side, settings, caches, keeps_jax_cache)
    try:
        worker.wait_until_ready()
        return 1e3 * max(worker.ready["first"] - worker.ready["seconds"], 0.0)
    finally:
        worker.stop()


def compile_text(found: Mapping[str, Compiled]) -> str:
    sides = [side for side in SIDES if any(side in measured for measured in found.values())]
    unknown = {"cold": NAN, "warm": NAN}
    heads = ["", *(f"{SIDES[s]} {kind}" for s in sides for kind in unknown)]
    lines, factors = [], {"cold": [], "warm": []}
    for name, measured in found.items():
        cells = [number(measured.get(s, unknown)[kind], 1) for s in sides for kind in unknown]
        jax, ours = measured.get("jax", unknown)["cold"], measured.get("funcgrad", unknown)
        for kind, values in factors.items():
            values.append(jax / max(ours[kind], 0.01))
        cold, warm = factors["cold"][-1], factors["warm"][-1]
        lines.append([name, *cells, times(cold), verdict(cold >= COLD_GOAL, cold)])
        lines[-1] += [times(warm), verdict(warm >= WARM_GOAL, warm)]
    heads += ["cold faster", "met", "warm faster", "met"]
    cold, warm = (geometric_mean(values) for values in factors.values())
    return "\n\n".join(
        [
            "## C: time to compile, ms",
            "The first call in a fresh process less the time of a later call; the best of some processes "
            f"({PROCESSES['funcgrad']}; torch.compile: {PROCESSES['torch_compile']}). cold: no disk cache. "
            "warm: a second process with the disk cache of the first (JAX's is turned on for it). faster: JAX "
            "cold divided by funcgrad.",
            table(heads, lines),
            f"Geometric mean: cold {times(cold)} (goal {times(COLD_GOAL)}; met: "
            f"{verdict(cold >= COLD_GOAL, cold)}), warm {times(warm)} (goal {times(WARM_GOAL)}; met: "
            f"{verdict(warm >= WARM_GOAL, warm)}).",
        ]
    )
