"""What compiled results may be: plain evaluation of a Program, and how far rounding may move it.

Arithmetic, comparisons and movement have one right result, bit by bit. Functions may be off by a few units in the
last place, and sums may be added up in any order. How this grows on the way to a result is found by evaluating
again with such errors put in at random.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.control import cond, scan, while_loop
from funcgrad.ir.program import Literal, Program, subprograms
from funcgrad.ir.types import kind
from funcgrad.transforms import call, custom_rules
from tests.compiler.programs import bits

# A product that underflows is -0.0 or, fused into a sum that begins with 0.0, may be 0.0; both are right.
PRODUCTS = frozenset(("dot_general", "convolve"))
ROUGH = 8.0  # units in the last place
LIMITS = (np.nan, 1.0, np.inf, -np.inf)  # what sums that overflow on the way may be
# Operations that have one right result for numbers that are not complex.
EXACT = frozenset(
    """add subtract multiply masked_multiply quiet_multiply divide quiet_divide negative convert equal not_equal
    less less_equal greater greater_equal isnan isinf isfinite signbit logical_and logical_or logical_xor
    logical_not heaviside absolute sign copysign nextafter bitwise_and bitwise_or bitwise_xor invert
    bitwise_count left_shift right_shift gcd lcm sqrt quiet_sqrt square reciprocal quiet_reciprocal threefry
    bitcast floor ceil trunc rint floor_divide remainder fmod select arg_max arg_min reduce_and reduce_or gather
    scatter_set window_take window_position dynamic_slice dynamic_update axis_index pure_callback debug_callback
    frexp ldexp""".split()  # noqa: SIM905
)
# Exact but for the sign of zero, which NumPy itself takes from one operand here and from the other there.
EXTREMA = frozenset(
    """maximum minimum fmax fmin clip relu reduce_max reduce_min cum_max cum_min scatter_max scatter_min window_max
    window_min sort""".split()  # noqa: SIM905
)
MOVES = frozenset(
    """real imag conjugate complex broadcast_to reshape transpose concatenate static_slice place update
    stop_gradient name iota full add subtract negative select equal not_equal gather scatter_set dynamic_slice
    dynamic_update repeat_stack add_stacks mask_stack run_time_iota empty_stack""".split()  # noqa: SIM905
)
# The error of these is measured by what the operation makes of absolute values.
SUMS = frozenset(
    """reduce_sum dot_general convolve cum_sum scatter_add scatter_linear window_sum window_put linear_recurrence
    p_sum sum_stack""".split()  # noqa: SIM905
)


@contextlib.contextmanager
def inner_programs(run: Callable[[Program], Callable[..., list[Any]]]) -> Iterator[None]:
    """Loops, branches and calls run their Programs in this way."""
    modules: list[Any] = [cond, scan, while_loop, call, custom_rules]
    saved = [module.compiled for module in modules]
    for module in modules:
        module.compiled = lambda program, xp: run(program)
    try:
        yield
    finally:
        for module, function in zip(modules, saved, strict=True):
            module.compiled = function


def evaluated(program: Program, args: Sequence[Any], noise: Rounding | None = None) -> list[Any]:
    """The results, equation by equation as recorded, also inside of loops."""

    def run(program: Program) -> Callable[..., list[Any]]:
        return lambda *args: run_equations(program, args, noise)

    with inner_programs(run), np.errstate(all="ignore"):
        outs = [np.asarray(out) for out in run(program)(*args)]
        return [out.astype(out.dtype.newbyteorder("=")) for out in outs]


def run_equations(program: Program, args: Sequence[Any], noise: Rounding | None) -> list[Any]:
    """The results of the equations, each moved by `noise`."""
    environment = dict(zip(program.inputs, args, strict=True))
    read = lambda atom: atom.value if isinstance(atom, Literal) else environment[atom]
    for equation in program.equations:
        inputs = [read(atom) for atom in equation.inputs]
        if noise is not None:
            noise.enter(equation)
        outs = equation.run(*inputs)
        if noise is not None:
            outs = [noise.moved(equation, inputs, out) for out in outs]
        environment.update(zip(equation.outputs, outs, strict=True))
    return [read(atom) for atom in program.outputs]


# --- rounding ---


class Rounding:
    """Moves each result of an operation that is not exact by some units in the last place."""

    def __init__(self, seed: int, units: float = ROUGH) -> None:
        self.rng = np.random.default_rng(seed)
        self.units = units
        self.loose: set[Any] = set()

    def enter(self, equation: Any) -> None:
        """Sums over the iterations of a derivative, or of products, may be added up in any order."""
        programs = subprograms(equation)
        if equation.is_quiet or any(
            e.primitive.name == "dot_general" for p in programs for e in p.equations
        ):
            self.loose |= {e for p in programs for e in p.equations}

    def moved(self, equation: Any, inputs: Sequence[Any], out: Any) -> Any:
        """A result that is as good as this one."""
        dtype = getattr(out, "dtype", None)
        name = equation.primitive.name
        if name == "convert" and dtype == np.uint32 and inputs[0].dtype.kind not in "biu":
            return self.out_of_range(np.real(inputs[0]), out)
        is_sum = name in ("add", "subtract") and equation in self.loose
        if dtype is None or kind(dtype) not in "fc" or equation.primitive.kind == "higher_order":
            return out
        if kind(dtype) == "f" and np.any(np.isnan(out)):
            # IEEE arithmetic leaves the sign of NaN open, which copysign and signbit show.
            out = np.where(np.isnan(out), self.rng.choice([-np.nan, np.nan]), out).astype(dtype)[()]
        if name in EXTREMA:
            signs = self.rng.choice(np.array([-1.0, 1.0]), np.shape(out)).astype(dtype)
            return np.where(out == 0, out * signs, out)[()]
        if name in MOVES and not is_sum:
            return out
        if name in EXACT and not is_sum and not any(is_complex(x) for x in (*inputs, out)):
            return out
        scale = error_scale(equation, inputs, out)
        size = self.units * (unit(dtype) * scale + np.where(scale > 0, least(dtype), 0.0))
        moved = out + size * self.rng.uniform(-1, 1, np.shape(out))
        if is_complex(out):
            moved = moved + 1j * size * self.rng.uniform(-1, 1, np.shape(out))
        if name in PRODUCTS:
            moved = self.signed_zeros(moved)
        # What complex numbers that are not finite become depends on the order of the real operations, and what
        # finite numbers become whose sum overflows on the order of the additions.
        overflows = name in SUMS and ~np.isfinite(size) & all(
            np.all(np.isfinite(x)) for x in inputs
        )
        other = np.where(is_complex(out) | overflows, self.rng.choice(LIMITS), out)
        return np.where(np.isfinite(out), moved, other).astype(dtype)[()]

    def signed_zeros(self, x: Any) -> Any:
        """The same with zeros of either sign, also as parts of complex numbers."""
        if is_complex(x):
            x = np.array(x, x.dtype)
            x.real, x.imag = self.signed_zeros(x.real), self.signed_zeros(x.imag)
            return x
        return np.where(x == 0, self.rng.choice([-0.0, 0.0]), x)

    def out_of_range(self, x: Any, out: Any) -> Any:
        """NumPy makes one number of a float that no uint32 can hold in some loops, and another one in others."""
        fits = (x > -1) & (x < 2**32)
        return np.where(fits, out, self.rng.integers(0, 2**32, np.shape(out), np.uint32))[()]


def is_complex(x: Any) -> bool:
    return np.asarray(x).dtype.kind == "c"


def unit(dtype: np.dtype) -> float:
    """The distance of 1 to the next number of this dtype."""
    names = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "complex64": 2.0**-23}
    return names.get(dtype.name, 2.0**-52)


def least(dtype: np.dtype) -> float:
    """The smallest positive number of this dtype, which is what rounding is about where results underflow."""
    name = {"complex64": "float32", "complex128": "float64"}.get(dtype.name, dtype)
    return float(ml_dtypes.finfo(name).smallest_subnormal)


def error_scale(equation: Any, inputs: Sequence[Any], out: Any) -> Any:
    size = np.abs(out).astype(np.float64)
    if equation.primitive.name in SUMS:
        wide = [absolute(x) for x in inputs]
        sums = equation.primitive(*wide, **equation.params)
        return np.maximum(np.abs(sums).astype(np.float64), size)
    if equation.primitive.name in ("log_sum_exp", "cum_log_sum_exp", "logaddexp", "logaddexp2"):
        return size + 1.0
    return size


def absolute(x: Any) -> Any:
    return np.abs(x).astype(x.dtype) if kind(np.asarray(x).dtype) in "fc" else x


# --- comparison ---


def mismatch(program: Program, args: Sequence[Any], found: Sequence[Any]) -> str:
    """What is wrong with these results, or nothing."""
    expected = evaluated(program, args)
    wrong = [i for i, pair in enumerate(zip(found, expected, strict=True)) if not same(*pair)]
    if not wrong:
        return ""
    for i in wrong:
        if found[i].dtype != expected[i].dtype or found[i].shape != expected[i].shape:
            return f"result {i} is {found[i].dtype}{found[i].shape}, not {expected[i].dtype}{expected[i].shape}"
    nearby = [evaluated(program, args, Rounding(seed)) for seed in range(4)]
    if any(is_off(found[i], expected[i], [near[i] for near in nearby]) for i in wrong):
        nearby += [evaluated(program, args, Rounding(seed, 4 * ROUGH)) for seed in range(4, 24)]
    for i in wrong:
        near = [outs[i] for outs in nearby]
        off = is_off(found[i], expected[i], near)
        if off is not None:
            return f"result {i}{list(off)} is {found[i][off]!r}, not {expected[i][off]!r}, tried {near[0][off]!r}"
    return ""


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return (
        found.dtype == expected.dtype
        and found.shape == expected.shape
        and bits(found) == bits(expected)
    )


def is_off(found: np.ndarray, expected: np.ndarray, nearby: Sequence[np.ndarray]) -> Any:
    """The place of an element that is further away than rounding explains; None if there is none."""
    if expected.dtype.kind == "c":
        places = [
            is_off(part(found), part(expected), [part(near) for near in nearby])
            for part in (np.real, np.imag)
        ]
        return next((place for place in places if place is not None), None)
    is_float = kind(expected.dtype) == "f"
    wide = [x.astype(np.float64) if is_float else x for x in (found, expected, *nearby)]
    settled = np.all([equal(x, wide[1]) for x in wide[2:]], axis=0)
    wrong = settled & ~(equal(wide[0], wide[1]))
    if is_float:
        finite = np.all([np.isfinite(x) for x in wide[1:]], axis=0) & ~settled
        with np.errstate(all="ignore"):
            moved = np.max([np.abs(x - wide[1]) for x in wide[2:]], axis=0)
            # Few tries may have missed an error that neighbours show.
            moved = 16 * moved + spacing(expected)
            wrong |= finite & ~(np.abs(wide[0] - wide[1]) <= moved)
    places = np.argwhere(wrong)
    return tuple(int(i) for i in places[0]) if len(places) else None


def spacing(x: np.ndarray) -> np.ndarray:
    return 2 * unit(x.dtype) * np.abs(x).astype(np.float64) + float(
        np.finfo(x.dtype).tiny if x.dtype.kind == "f" else 1e-37
    )


def equal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which elements are the same, also in the sign of zero."""
    if x.dtype.kind != "f":
        return x == y
    return ((x == y) & (np.signbit(x) == np.signbit(y))) | (np.isnan(x) & np.isnan(y))
