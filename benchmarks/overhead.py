"""What funcgrad costs on top of NumPy: calling a compiled function, and a gradient without `jit`.

Run `python benchmarks/overhead.py`. HIPS autograd is measured beside it where it is installed
(`pip install autograd`). Every side is checked against the others before it is timed; times are the best of
several repeats, interleaved, in microseconds per call.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg


def best_times(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Microseconds per call for each of several functions, measured in turns."""
    counts = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(seconds / 10 / max(time.perf_counter() - start, 1e-7)))
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(10):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / counts[name])
    return {name: 1e6 * value for name, value in best.items()}


def tiny_mlp(xp: Any) -> Callable[..., Any]:
    """Mean squared error of a 4-32-1 network, written for one array namespace."""

    def loss(params: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = params
        hidden = xp.tanh(xp.dot(x, w1) + b1)
        return xp.mean((xp.dot(hidden, w2) + b2 - y) ** 2)

    return loss


def dispatch_rows(seconds: float) -> list[tuple[str, float, str]]:
    """A cached `jit(lambda x: x + 1)` on 3 elements, beside the NumPy call that it makes."""
    x = np.arange(3.0)
    add_one = fg.jit(lambda x: x + 1)
    np.testing.assert_array_equal(add_one(x), x + 1)
    times = best_times({"numpy": lambda: np.add(x, 1), "jit": lambda: add_one(x)}, seconds)
    extra = times["jit"] - times["numpy"]
    return [
        ("np.add(x, 1), 3 elements", times["numpy"], ""),
        ("jit(x + 1), 3 elements", times["jit"], f"{extra:.2f} us on top of NumPy"),
    ]


def gradient_rows(seconds: float) -> list[tuple[str, float, str]]:
    """The gradient of a tiny network without `jit`, with it, and by HIPS autograd."""
    rng = np.random.default_rng(0)
    params = [rng.normal(size=(4, 32)), np.zeros(32), rng.normal(size=(32, 1)), np.zeros(1)]
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 1))
    gradient = fg.grad(tiny_mlp(np))
    compiled = fg.jit(gradient)
    expected = gradient(params, x, y)
    calls = {
        "funcgrad grad": lambda: gradient(params, x, y),
        "funcgrad jit(grad)": lambda: compiled(params, x, y),
    }
    if importlib.util.find_spec("autograd"):
        autograd = importlib.import_module("autograd")
        peer = autograd.grad(tiny_mlp(importlib.import_module("autograd.numpy")))
        calls["HIPS autograd"] = lambda: peer(params, x, y)
    for call in calls.values():
        for got, want in zip(call(), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
    times = best_times(calls, seconds)
    reference = times.get("HIPS autograd")
    return [
        (
            f"{name}, MLP 4-32-1",
            value,
            "" if reference is None else f"{value / reference:.2f} x autograd",
        )
        for name, value in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time per row (default 1)")
    seconds = parser.parse_args().seconds
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}")
    for name, value, note in dispatch_rows(seconds) + gradient_rows(seconds):
        print(f"{name:40s} {value:10.2f} us   {note}")


if __name__ == "__main__":
    main()
