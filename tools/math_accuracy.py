"""Measures the accuracy and the speed of the inlined math functions of compiled code.

float32: every float (or every STRIDE-th), against the double version of the same function. That one is
compared with mpmath on samples: random bits, random numbers of moderate size, and neighbours of special values.

    python tools/math_accuracy.py                     all functions; about half a minute for each
    python tools/math_accuracy.py exp tanh            only these
    python tools/math_accuracy.py --stride 1009       a quick run
    python tools/math_accuracy.py --speed             nanoseconds per element, beside NumPy or SciPy
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.math_kernels import elementwise, float_errors  # noqa: E402

CHUNK = 1 << 18
UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x,
    "expm1": mp.expm1,
    "logistic": lambda x: 1 / (1 + mp.exp(-x)),
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p,
    "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "erf": mp.erf,
    "erfc": lambda x: mp.erfc(x) if abs(x) < 30 else mp.mpf(0 if x > 0 else 2),
    "erfinv": mp.erfinv,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "power": lambda x, y: mp.power(x, y),
    "arctan2": mp.atan2,
    "hypot": mp.hypot,
}
# Functions of a bounded domain; samples outside only give NaN.
BOUNDED = {"arcsin", "arccos", "arctanh", "erfinv"}
SPECIAL_NAMES = {"erf", "erfc", "erfinv"}


def reference(name: str) -> Callable[..., Any]:
    """NumPy's or SciPy's function."""
    if name == "logistic":
        return scipy.special.expit
    if name == "rsqrt":
        return lambda x: 1 / np.sqrt(x)
    return getattr(scipy.special if name in SPECIAL_NAMES else np, name)


# --- accuracy ---


def float32_error(name: str, stride: int) -> tuple[float, np.float32]:
    """The largest error in ulps over all floats, and where it is."""
    errors = float_errors(name, stride)
    count = 2**32 // stride

    def worst(worker: int) -> tuple[float, int]:
        buffer = np.empty(CHUNK, np.float32)
        found = (-1.0, 0)
        for start in range(worker * CHUNK, count, 2 * CHUNK):
            first = start * stride % 2**32
            errors(first, buffer)
            place = int(buffer.argmax())
            bits = (first + place * stride) % 2**32
            found = max(found, (float(buffer[place]), bits))
        return found

    with ThreadPoolExecutor(2) as pool:
        error, bits = max(pool.map(worst, range(2)))
    return error, np.uint32(bits).view(np.float32)


def samples(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Doubles: random bits, moderate sizes, small integers and fractions with their neighbours."""
    bits = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    moderate = rng.standard_normal(count) * np.exp(2 * rng.standard_normal(count))
    if name in BOUNDED:
        moderate = 1 - 2.0 ** -rng.uniform(0, 53, count)
        moderate *= rng.choice([-1, 1], count)
    special = np.concatenate([np.arange(-40, 41) / 4, np.arange(-800, 800, 7), [1e-310, 5e-324]])
    near = np.concatenate([special, np.nextafter(special, np.inf), np.nextafter(special, -np.inf)])
    values = np.concatenate([bits[: count // 3], moderate[: 2 * count // 3], near])
    return values[np.isfinite(values)]


def float64_error(name: str, count: int) -> tuple[float, tuple[float, ...]]:
    """The largest error in ulps against mpmath over samples, and where it is."""
    rng = np.random.default_rng(0)
    exact = UNARY.get(name) or BINARY[name]
    arity = 1 if name in UNARY else 2
    xs = [samples(name, count, rng) for _ in range(arity)]
    size = min(map(len, xs))
    xs = [x[:size] for x in xs]
    results = elementwise(name, np.float64, arity)(*xs)
    worst: tuple[float, tuple[float, ...]] = (0.0, ())
    for result, *place in zip(results.tolist(), *[x.tolist() for x in xs], strict=True):
        if np.isfinite(result):
            worst = max(worst, (ulps(result, exact, place), tuple(place)))
    return worst


def ulps(result: float, exact: Callable[..., Any], place: Sequence[float]) -> float:
    """Error of a finite result, with as many digits as the reduction of a huge angle needs."""
    with mp.workdps(700 if exact in (mp.sin, mp.cos, mp.tan) and abs(place[0]) > 1e20 else 60):
        value = exact(*map(mp.mpf, place))
        unit = float(np.spacing(np.float64(abs(float(value)))))
        return float(abs(mp.mpf(result) - value) / unit) if np.isfinite(unit) else np.inf


# --- speed ---


def nanoseconds(function: Callable[[], Any], count: int) -> float:
    best = np.inf
    for _ in range(30):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best / count * 1e9


def speed(name: str, dtype: Any) -> tuple[float, float]:
    """Nanoseconds per element: ours, and NumPy's or SciPy's."""
    rng = np.random.default_rng(0)
    arity = 1 if name in UNARY else 2
    xs = [rng.uniform(0.01, 0.99, 1 << 15).astype(dtype) for _ in range(arity)]
    if name == "arccosh":
        xs = [x + 1 for x in xs]
    out = np.empty_like(xs[0])
    ours, theirs = elementwise(name, dtype, arity), reference(name)
    return (
        nanoseconds(lambda: ours(*xs, out=out), len(out)),
        nanoseconds(lambda: theirs(*xs), len(out)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions; all by default")
    parser.add_argument("--stride", type=int, default=1, help="every how many-th float (odd)")
    parser.add_argument(
        "--samples", type=int, default=20_000, help="doubles to compare with mpmath"
    )
    parser.add_argument("--speed", action="store_true", help="measure time instead of accuracy")
    options = parser.parse_args()
    for name in options.names or [*UNARY, *BINARY]:
        if options.speed:
            columns = [f"{'/'.join(f'{t:.2f}' for t in speed(name, d)):>14}" for d in ("f4", "f8")]
            print(
                f"{name:10} ns/element, ours/theirs: float32 {columns[0]}  float64 {columns[1]}",
                flush=True,
            )
            continue
        text = ""
        if name in UNARY:
            error, place = float32_error(name, options.stride)
            text = f"float32 {error:7.4f} ulp at {place!s:>15}   "
        error, places = float64_error(name, options.samples)
        print(
            f"{name:10} {text}float64 {error:7.4f} ulp at {', '.join(map(repr, places))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
