"""Integers and booleans in registers: what is more than an instruction of addition, multiplication or comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import convert_value
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, mangled, vector, with_element
from funcgrad.compiler.lowering.elements import Unsupported
from funcgrad.ir.types import BOOL, FLOAT64

Rule = Callable[..., Value]


def no_booleans(rule: Rule) -> Rule:
    """The rule, for integers only."""

    def checked(f: Function, dtype: np.dtype, *values: Value) -> Value:
        if dtype == BOOL:
            raise Unsupported(rule.__name__)
        return rule(f, dtype, *values)

    return checked


def is_negative(f: Function, x: Value) -> Value:
    return f.icmp("slt", x, constant(x.type, 0))


# --- extremes and signs ---


def extreme(greater: bool) -> Rule:
    def rule(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
        if dtype == BOOL:
            return f.op("or" if greater else "and", x, y)
        name = ("s" if dtype.kind == "i" else "u") + ("max" if greater else "min")
        return f.intrinsic("llvm." + name, x.type, [x, y])

    return rule


def absolute(f: Function, dtype: np.dtype, x: Value) -> Value:
    if dtype.kind != "i":
        return x
    return f.intrinsic("llvm.abs", x.type, [x, constant("i1", 0)])


@no_booleans
def sign(f: Function, dtype: np.dtype, x: Value) -> Value:
    zero, one = constant(x.type, 0), constant(x.type, 1)
    found = f.select(f.icmp("eq", x, zero), zero, one)
    if dtype.kind == "u":
        return found
    return f.select(is_negative(f, x), constant(x.type, -1), found)


def square(f: Function, dtype: np.dtype, x: Value) -> Value:
    return f.op("and" if dtype == BOOL else "mul", x, x)


# --- bits ---


def invert(f: Function, dtype: np.dtype, x: Value) -> Value:
    return f.op("xor", x, constant(x.type, 1 if dtype == BOOL else -1))


def shift(left: bool) -> Rule:
    @no_booleans
    def rule(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
        """A shift by the width or more (as by a negative number) leaves no bits, or copies of the sign."""
        signed = dtype.kind == "i" and not left
        top = constant(x.type, dtype.itemsize * 8 - 1)
        fits = f.icmp("ule", y, top)
        amount = f.select(fits, y, top)
        shifted = f.op("shl" if left else "ashr" if signed else "lshr", x, amount)
        return shifted if signed else f.select(fits, shifted, constant(x.type, 0))

    return rule


@no_booleans
def count_bits(f: Function, dtype: np.dtype, x: Value) -> Value:
    """How many bits of the absolute value are set, as a byte."""
    size = absolute(f, dtype, x)
    count = f.intrinsic("llvm.ctpop", x.type, [size])
    return f.cast("trunc", count, with_element(x.type, "i8")) if dtype.itemsize > 1 else count


# --- division ---


@no_booleans
def floor_divide(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """The quotient, rounded down; 0 for a divisor 0."""
    divisor, is_zero = safe_divisor(f, dtype, x, y)
    zero = constant(x.type, 0)
    if dtype.kind == "u":
        return f.select(is_zero, zero, f.op("udiv", x, divisor))
    quotient, rest = f.op("sdiv", x, divisor), f.op("srem", x, divisor)
    less = f.op("sub", quotient, constant(x.type, 1))
    return f.select(is_zero, zero, f.select(is_between(f, rest, divisor), less, quotient))


@no_booleans
def remainder(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """What floor division leaves, with the sign of the divisor."""
    rest, is_zero, divisor = rest_of(f, dtype, x, y)
    if dtype.kind == "i":
        rest = f.select(is_between(f, rest, divisor), f.op("add", rest, divisor), rest)
    return f.select(is_zero, constant(x.type, 0), rest)


@no_booleans
def fmod(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """What division toward zero leaves, with the sign of `x`."""
    rest, is_zero, _ = rest_of(f, dtype, x, y)
    return f.select(is_zero, constant(x.type, 0), rest)


def rest_of(f: Function, dtype: np.dtype, x: Value, y: Value) -> tuple[Value, Value, Value]:
    divisor, is_zero = safe_divisor(f, dtype, x, y)
    return f.op("srem" if dtype.kind == "i" else "urem", x, divisor), is_zero, divisor


def safe_divisor(f: Function, dtype: np.dtype, x: Value, y: Value) -> tuple[Value, Value]:
    """A divisor that the CPU accepts, and where it is 0. It takes neither 0 nor -1 for the least number."""
    one, is_zero = constant(y.type, 1), f.icmp("eq", y, constant(y.type, 0))
    note(f, is_zero, "fdiv", 1.0, 0.0)
    safe = f.select(is_zero, one, y)
    if dtype.kind == "i":
        least = constant(y.type, -(2 ** (dtype.itemsize * 8 - 1)))
        is_minus_one = f.icmp("eq", y, constant(y.type, -1))
        overflows = f.op("and", f.icmp("eq", x, least), is_minus_one)
        note(f, overflows, "fmul", 1e300, 1e300)
        safe = f.select(overflows, one, safe)
    return safe, is_zero


def note(f: Function, event: Value, op: str, a: float, b: float) -> None:
    """Where an event happens, let the CPU raise the flag that this operation on doubles raises: NumPy warns then."""
    if lanes_of(event.type):
        event = f.intrinsic("llvm.vector.reduce.or", "i1", [event], mangled(event.type))
    slot = f.alloca("double", 1, 8)
    with f.when(event):
        # Volatile, so that it happens although nobody reads the result.
        f.do(f"store volatile {constant('double', b)}, ptr {slot.text}, align 8")
        other = f.emit("double", f"load volatile double, ptr {slot.text}, align 8")
        result = f.op(op, constant("double", a), other)
        f.do(f"store volatile {result}, ptr {slot.text}, align 8")


def is_between(f: Function, rest: Value, divisor: Value) -> Value:
    """Whether the true quotient lies between two integers and is negative."""
    differs = is_negative(f, f.op("xor", rest, divisor))
    return f.op("and", differs, f.icmp("ne", rest, constant(rest.type, 0)))


@no_booleans
def reciprocal(f: Function, dtype: np.dtype, x: Value) -> Value:
    """As NumPy computes it: the inverse as a float64, truncated."""
    wide = convert_value(f, x, dtype, FLOAT64)
    inverse = f.op("fdiv", constant(wide.type, 1.0), wide)
    return convert_value(f, inverse, FLOAT64, dtype)


# --- common divisors and powers: loops until all lanes are done ---


@no_booleans
def gcd(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """Stein's binary algorithm: halve what is even, subtract the smaller from the larger of two odd numbers."""
    a, b = absolute(f, dtype, x), absolute(f, dtype, y)
    either = f.op("or", a, b)
    zero, one = constant(x.type, 0), constant(x.type, 1)
    has_zero = f.op("or", f.icmp("eq", a, zero), f.icmp("eq", b, zero))

    def step(states: list[Value]) -> list[Value]:
        u, v = states[0], halved(f, dtype, states[1])
        is_done = f.icmp("eq", v, zero)
        low, high = (f.intrinsic("llvm." + name, u.type, [u, v]) for name in ("umin", "umax"))
        return [f.select(is_done, u, low), f.select(is_done, zero, f.op("sub", high, low))]

    first, second = f.select(has_zero, one, a), f.select(has_zero, one, b)
    odd, _ = until_zero(f, [halved(f, dtype, first), second], step)
    common = f.op("shl", odd, even_factor(f, dtype, either))
    return f.select(has_zero, either, common)


def even_factor(f: Function, dtype: np.dtype, x: Value) -> Value:
    """How often a number can be halved; 0 for 0."""
    count = f.intrinsic("llvm.cttz", x.type, [x, constant("i1", 0)])
    return f.op("and", count, constant(x.type, dtype.itemsize * 8 - 1))


def halved(f: Function, dtype: np.dtype, x: Value) -> Value:
    """A number divided by two for as long as it is even."""
    return f.op("lshr", x, even_factor(f, dtype, x))


@no_booleans
def lcm(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    divisor = gcd(f, dtype, x, y)
    zero = constant(x.type, 0)
    is_zero = f.icmp("eq", divisor, zero)
    safe = f.select(is_zero, constant(x.type, 1), divisor)
    factor = f.op("udiv", absolute(f, dtype, x), safe)
    return f.select(is_zero, zero, f.op("mul", factor, absolute(f, dtype, y)))


@no_booleans
def power(f: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """Products of squares; for a signed exponent, which NumPy forbids to be negative, see `whole_power`."""
    if dtype.kind == "i":
        raise Unsupported("power")
    zero, one = constant(x.type, 0), constant(x.type, 1)

    def step(states: list[Value]) -> list[Value]:
        result, factor, left = states
        is_odd = f.icmp("ne", f.op("and", left, one), zero)
        product = f.select(is_odd, f.op("mul", result, factor), result)
        return [product, f.op("mul", factor, factor), f.op("lshr", left, one)]

    return until_zero(f, [f.op("or", zero, one), x, y], step)[0]


def whole_power(f: Function, x: Value, exponent: int) -> Value:
    """A power that is known and not negative."""
    result, factor = constant(x.type, 1), x
    while exponent:
        if exponent % 2:
            result = f.op("mul", result, factor)
        exponent //= 2
        factor = f.op("mul", factor, factor) if exponent else factor
    return result


def until_zero(
    f: Function, states: list[Value], step: Callable[[list[Value]], list[Value]]
) -> list[Value]:
    """Repeat a step while the last of the states is not zero in all lanes; the states then."""
    before, header, after = f.block, f.new_block("again"), f.new_block("enough")
    f.branch(header)
    f.block = header
    phis = []
    for state in states:
        f.count += 1
        phis.append(Value(state.type, f"%p{f.count}"))
    body = f.new_block("step")
    left = f.icmp("ne", phis[-1], constant(phis[-1].type, 0))
    if lanes_of(left.type):
        left = f.intrinsic("llvm.vector.reduce.or", "i1", [left], mangled(left.type))
    f.branch_if(left, body, after)
    f.block = body
    following = step(phis)
    f.branch(header)
    header.lines[:0] = [
        f"  {phi.text} = phi {phi.type} [{first.text}, %{before.label}], [{then.text}, %{f.block.label}]"
        for phi, first, then in zip(phis, states, following, strict=True)
    ]
    f.block = after
    return phis


# --- for integers, these say nothing new ---


def itself(f: Function, dtype: np.dtype, x: Value) -> Value:
    del f, dtype
    return x


def always(answer: bool) -> Rule:
    def rule(f: Function, dtype: np.dtype, x: Value) -> Value:
        del f, dtype
        return constant(vector(lanes_of(x.type), "i1"), answer)

    return rule


DIVISIONS = frozenset({"floor_divide", "remainder", "fmod"})

INTEGERS: dict[str, Rule] = {
    "maximum": extreme(True),
    "fmax": extreme(True),
    "minimum": extreme(False),
    "fmin": extreme(False),
    "absolute": absolute,
    "square": square,
    "sign": sign,
    "invert": invert,
    "left_shift": shift(True),
    "right_shift": shift(False),
    "bitwise_count": count_bits,
    "floor_divide": floor_divide,
    "remainder": remainder,
    "fmod": fmod,
    "reciprocal": reciprocal,
    "gcd": gcd,
    "lcm": lcm,
    "power": power,
    "conjugate": itself,
    "real": itself,
    "floor": itself,
    "ceil": itself,
    "trunc": itself,
    "isnan": always(False),
    "isinf": always(False),
    "isfinite": always(True),
}
