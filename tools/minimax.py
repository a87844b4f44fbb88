"""Minimax polynomials of the inlined math functions: derives `mathlib/coefficients.py`.

Each coefficient is rounded to the floating type and the rest is fitted again, so that the rounding costs almost
no accuracy. Source: the exchange algorithm of Remez, on a dense Chebyshev grid.

    python tools/minimax.py            print every polynomial with its error
    python tools/minimax.py EXP LOG    only these
    python tools/minimax.py --write    write the file
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 50
TARGET = pathlib.Path(__file__).parent.parent / "funcgrad/compiler/llvm/mathlib/coefficients.py"
GRID = 500


@dataclass
class Fit:
    """A polynomial in `variable(x)` close to `function(x)`; errors are multiplied by `weight(x)`.

    Attributes:
        terms: number of coefficients for "float" and for "double", None for no polynomial.
        precise: how many of the lowest coefficients have a second word, in the table NAME_LOW.
    """

    function: Callable[[Any], Any]
    weight: Callable[[Any], Any]
    low: Any
    high: Any
    terms: tuple[int | None, int | None]
    variable: Callable[[Any], Any] = lambda x: x
    precise: int = 0


def round_to(value: Any, double: bool) -> float:
    return float(value) if double else float(np.float32(float(value)))


def alternation(errors: list[Any], count: int) -> list[int]:
    """Where the error is extreme, one place for each sign change; fewer than `count` if it has not enough."""
    places = [0]
    for i, error in enumerate(errors):
        if error * errors[places[-1]] < 0:
            places.append(i)
        elif abs(error) > abs(errors[places[-1]]):
            places[-1] = i
    while len(places) > count:
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    return places


def exchange(powers: Sequence[int], t: list, g: list, w: list) -> list | None:
    """Coefficients of these powers of `t` with the smallest maximum of `w * |g - p|`, None if none is found."""
    size = len(powers)
    places = [round(i * (len(t) - 1) / size) for i in range(size + 1)]
    found = None
    for _ in range(30):
        matrix = mp.matrix(size + 1, size + 1)
        right = mp.matrix(size + 1, 1)
        for row, i in enumerate(places):
            for column, power in enumerate(powers):
                matrix[row, column] = t[i] ** power * w[i]
            matrix[row, size] = (-1) ** row
            right[row] = g[i] * w[i]
        try:
            solution = mp.lu_solve(matrix, right)
        except ZeroDivisionError:
            return found
        level = abs(solution[size])
        candidate = list(solution[:size])
        errors = residuals(dict(zip(powers, candidate, strict=True)), t, g, w)
        found = candidate
        places = alternation(errors, size + 1)
        if len(places) <= size or max(map(abs, errors)) <= level * mp.mpf("1.01"):
            break
    return found


def residuals(coefficients: dict[int, Any], t: list, g: list, w: list) -> list:
    highest = max(coefficients)
    dense = [coefficients.get(k, mp.mpf(0)) for k in range(highest, -1, -1)]
    return [(y - mp.polyval(dense, x)) * z for x, y, z in zip(t, g, w, strict=True)]


def solve(fit: Fit, double: bool) -> tuple[list[Any], float]:
    """The rounded coefficients, lowest power first, and the largest error."""
    low, high = mp.mpf(fit.low), mp.mpf(fit.high)
    nodes = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (k + mp.mpf(1) / 2) / GRID)
        for k in range(GRID)
    ]
    t = [fit.variable(x) for x in nodes]
    g = [fit.function(x) for x in nodes]
    w = [abs(fit.weight(x)) for x in nodes]
    size = fit.terms[double]
    assert size is not None
    # What remains to be fitted must be a Chebyshev system: if the interval contains 0, powers from 0 on.
    first = -1 if t[0] < 0 else 0
    known: dict[int, Any] = {}
    while len(known) < size:
        powers = [k for k in range(size) if k not in known]
        rest = [y - sum(c * x**k for k, c in known.items()) for x, y in zip(t, g, strict=True)]
        found = exchange(powers, t, rest, w)
        if found is None:
            raise ArithmeticError("no polynomial found")
        known[powers[first]] = sum(
            words(found[first], double, 2 if powers[first] < fit.precise else 1)
        )
    error = max(map(abs, residuals(known, t, g, w)))
    return [known[k] for k in range(size)], float(error)


def words(value: Any, double: bool, count: int) -> list[Any]:
    """The value as a sum of floats."""
    parts = []
    for _ in range(count):
        parts.append(mp.mpf(round_to(value, double)))
        value -= parts[-1]
    return parts


LN2, PI = mp.log(2), mp.pi


def scaled_erfc(t: Any) -> Any:
    """`exp(x**2) * erfc(x) * (x + 3)` for `t = (x - 3) / (x + 3)`."""
    x = 3 * (1 + t) / (1 - t)
    return mp.exp(x * x) * mp.erfc(x) * (x + 3)


@functools.cache
def erfinv_ratio(w: Any) -> Any:
    """`erfinv(x) / x` for `w = -log(1 - x**2)`."""
    if w < mp.mpf(10) ** -12:
        return mp.sqrt(PI) / 2
    x = mp.sqrt(-mp.expm1(-w))
    if w < 2:
        return mp.erfinv(x) / x
    missing = mp.exp(-w) / (1 + x)
    y = mp.sqrt(-mp.log(missing * mp.sqrt(PI * w))) if w > 3 else mp.mpf(1)
    for _ in range(60):
        step = (mp.erfc(y) - missing) / (2 / mp.sqrt(PI) * mp.exp(-y * y))
        y += step
        if abs(step) < mp.mpf(10) ** -45:
            break
    return y / x


def erfinv_fit(
    low: float, high: float, center: float, terms: int, root: bool, precise: int = 1
) -> Fit:
    """In `w`, or in its square root, less the centre."""

    def function(t: Any) -> Any:
        return erfinv_ratio((t + center) ** 2 if root else t + center)

    low, high = (mp.sqrt(low), mp.sqrt(high)) if root else (low, high)
    weight = lambda t: 1 / function(t)  # noqa: E731
    return Fit(function, weight, low - center, high - center, (None, terms), precise=precise)


HALF_LN2 = mp.mpf("0.3470")

FITS = {
    "EXPM1": Fit(
        lambda r: (mp.expm1(r) - r) / r**2,
        lambda r: r**2 / mp.expm1(r),
        -HALF_LN2,
        HALF_LN2,
        (5, 10),
    ),
    "TANH": Fit(
        lambda r: (mp.tanh(r) - r) / r**3,
        lambda r: r**3 / mp.tanh(r),
        1e-6,
        0.262,
        (3, 8),
        lambda r: r * r,
    ),
    "SINH": Fit(
        lambda x: (mp.sinh(x) - x) / x**3,
        lambda x: x**3 / mp.sinh(x),
        1e-6,
        1,
        (4, 7),
        lambda x: x * x,
    ),
    "EXP2": Fit(lambda r: mp.expm1(r * LN2) / r, lambda r: r / mp.exp(r * LN2), -0.5, 0.5, (6, 11)),
    "LOG": Fit(
        lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
        lambda f: f**3 / mp.log1p(f),
        -0.25,
        0.5,
        (8, None),
    ),
    "LOG_RATIO": Fit(
        lambda s: (2 * mp.atanh(s) - 2 * s) / s**3,
        lambda s: s**3 / mp.atanh(s) / 2,
        1e-6,
        0.2,
        (None, 8),
        lambda s: s * s,
    ),
    "LOG_CUBE": Fit(
        lambda s: (2 * mp.atanh(s) / s - 2 - s**2 * 2 / 3) / s**4,
        lambda s: s**4,
        1e-4,
        0.2,
        (None, 7),
        lambda s: s * s,
    ),
    "LOG2_SHORT": Fit(
        lambda s: (2 * mp.atanh(s) - 2 * s) / LN2 / s**3,
        lambda s: s**3 / mp.atanh(s),
        1e-6,
        0.2,
        (None, 4),
        lambda s: s * s,
    ),
    "CBRT": Fit(lambda f: mp.cbrt(1 + f), lambda f: 1 / mp.cbrt(1 + f), -0.25, 0.5, (None, 5)),
    "EXP2_SHORT": Fit(
        lambda r: mp.expm1(r * LN2) / r, lambda r: r / mp.exp(r * LN2), -0.5, 0.5, (None, 6)
    ),
    "SIN": Fit(
        lambda r: (mp.sin(r) - r) / r**3,
        lambda r: r**3 / mp.sin(r),
        1e-6,
        PI / 4 + mp.mpf("0.005"),
        (3, 6),
        lambda r: r * r,
    ),
    "COS": Fit(
        lambda r: (mp.cos(r) - 1) / r**2,
        lambda r: r**2 / mp.cos(r),
        1e-6,
        PI / 4 + mp.mpf("0.005"),
        (3, 6),
        lambda r: r * r,
    ),
    "TAN": Fit(
        lambda r: (mp.tan(r) - r) / r**3,
        lambda r: r**3 / mp.tan(r),
        1e-6,
        PI / 4 + mp.mpf("0.005"),
        (7, 14),
        lambda r: r * r,
    ),
    "ATAN": Fit(
        lambda r: (mp.atan(r) - r) / r**3,
        lambda r: r**3 / mp.atan(r),
        1e-6,
        1,
        (9, 20),
        lambda r: r * r,
    ),
    "ASIN": Fit(
        lambda r: (mp.asin(r) - r) / r**3,
        lambda r: r**3 / mp.asin(r),
        1e-6,
        0.5,
        (5, 12),
        lambda r: r * r,
    ),
    "ERF": Fit(
        lambda x: mp.erf(x) / x - 1, lambda x: x / mp.erf(x), 1e-6, 1, (7, 12), lambda x: x * x
    ),
    "ERFC_LOG": Fit(
        lambda x: -mp.log(mp.erfc(x)) / x, lambda x: x * mp.erfc(x) / mp.erf(x), 0.9, 6, (7, 19)
    ),
    "ERFC_SHORT": Fit(
        scaled_erfc, lambda t: 1 / scaled_erfc(t), -1, mp.mpf(10.1 - 3) / (10.1 + 3), (None, 10)
    ),
    "ERFC": Fit(
        scaled_erfc,
        lambda t: 1 / scaled_erfc(t),
        mp.mpf(0.4 - 3) / (0.4 + 3),
        mp.mpf(27.3 - 3) / (27.3 + 3),
        (None, 23),
        precise=2,
    ),
    "ERFINV_NEAR_SHORT": erfinv_fit(0, 6, 3.0, 12, root=False, precise=0),
    "ERFINV_FAR_SHORT": erfinv_fit(6, 17.5, 3.25, 11, root=True, precise=0),
    "ERFINV_NEAR": erfinv_fit(0, 6.25, 3.125, 26, root=False),
    "ERFINV_MIDDLE": erfinv_fit(6.25, 16, 3.25, 21, root=True),
    "ERFINV_FAR": erfinv_fit(16, 38, 5.0, 20, root=True),
}


def table(name: str) -> tuple[str, str]:
    """The Python text of one set of polynomials, and a line about its errors."""
    fit = FITS[name]
    high, low, notes = {}, {}, []
    for double, element in enumerate(("float", "double")):
        if fit.terms[double] is None:
            continue
        coefficients, error = solve(fit, bool(double))
        pairs = [words(c, bool(double), 2) for c in coefficients]
        high[element] = [float(pair[0]) for pair in pairs]
        low[element] = [float(pair[1]) for pair in pairs[: fit.precise]]
        notes.append(f"{element}: {len(pairs)} terms, error {error:.1e}")
    text = python_text(name, high) + (python_text(f"{name}_LOW", low) if fit.precise else "")
    return text, f"{name}: {'; '.join(notes)}"


def python_text(name: str, sets: dict[str, Sequence[float]]) -> str:
    lines = [f"\n{name} = {{\n"]
    for element, coefficients in sets.items():
        if len(coefficients) == 1:
            lines.append(f'    "{element}": ({coefficients[0]!r},),\n')
        else:
            values = [f"        {c!r},\n" for c in coefficients]
            lines += [f'    "{element}": (\n', *values, "    ),\n"]
    return "".join([*lines, "}\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="polynomials to derive; all by default")
    parser.add_argument("--write", action="store_true", help="replace the file of coefficients")
    options = parser.parse_args()
    texts = [HEADER]
    for name in options.names or FITS:
        text, note = table(name)
        print(note, flush=True)
        texts.append(text)
        if not options.write:
            print(text)
    if options.write:
        TARGET.write_text("".join(texts))


HEADER = '''"""Polynomials of the inlined math functions, lowest power first; written by tools/minimax.py."""
'''

if __name__ == "__main__":
    main()
