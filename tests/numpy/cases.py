"""One row per use of a NumPy function: the same call must give NumPy's result on plain and on traced arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

random = np.random.default_rng(7)
A = random.normal(size=(3, 4))
S = random.normal(size=(4, 4))
T = random.normal(size=(2, 3, 4))
V = random.normal(size=5)
W = random.normal(size=4)
P = random.uniform(0.1, 0.9, size=(3, 4))
X = np.array([0.5, 1.0, 2.5, 4.0, 7.0])
F32 = random.normal(size=(3, 4)).astype(np.float32)
F16 = random.normal(size=(3, 4)).astype(np.float16)
C = random.normal(size=(3, 4)) + 1j * random.normal(size=(3, 4))
INTS = random.integers(-5, 9, size=(3, 4))
U = np.array([200, 100, 7], np.uint8)
I8 = np.array([[100, 100], [3, -4]], np.int8)
B = random.normal(size=(3, 4)) > 0
N = A.copy()
N[0, 1] = N[2, 3] = np.nan
N[:, 0] = np.nan
K = np.array([2, 0, 1])
EMPTY = np.zeros((0, 3))


class Case(NamedTuple):
    """`call(module, *args)` with `module` numpy or funcgrad.numpy.

    differentiable: whether its derivative is compared with finite differences.
    static: positions of arguments that stay concrete.
    """

    name: str
    call: Callable[..., Any]
    args: tuple
    differentiable: bool = False
    static: tuple[int, ...] = ()


def rows(
    name: str, call: Callable[..., Any], *args: Any, grad: bool = True, static: Any = ()
) -> Case:
    differentiable = grad and all(
        np.asarray(a).dtype == np.float64 for i, a in enumerate(args) if i not in static
    )
    return Case(name, call, args, differentiable, tuple(static))


CASES: list[Case] = []


def case(
    name: str, call: Callable[..., Any], *args: Any, grad: bool = True, static: Any = ()
) -> None:
    CASES.append(rows(name, call, *args, grad=grad, static=static))


UNARY = {
    "exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh cbrt square absolute negative positive "
    "fabs deg2rad rad2deg degrees radians": A,
    "log log2 log10 log1p sqrt reciprocal arcsin arccos arctanh": P,
    "arccosh": P + 1.5,
    "floor ceil trunc rint sign": A,
}
for names, operand in UNARY.items():
    for unary in names.split():
        case(unary, lambda n, x, f=unary: getattr(n, f)(x), operand)
for unary in ["isnan", "isinf", "isfinite", "signbit", "logical_not"]:
    case(unary, lambda n, x, f=unary: getattr(n, f)(x), N, grad=False)
for unary in ["absolute", "conjugate", "exp", "sqrt", "sin", "real", "imag", "angle", "square"]:
    case(f"{unary}, complex", lambda n, x, f=unary: getattr(n, f)(x), C)
for unary in ["sqrt", "exp", "sin", "absolute", "negative", "square", "sign", "floor"]:
    case(f"{unary}, int", lambda n, x, f=unary: getattr(n, f)(x), np.abs(INTS), grad=False)
for binary in [
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "hypot",
    "logaddexp",
    "copysign",
]:
    case(binary, lambda n, x, y, f=binary: getattr(n, f)(x, y), A, W)
for binary in ["divide", "power", "float_power", "floor_divide", "remainder", "fmod"]:
    case(
        binary, lambda n, x, y, f=binary: getattr(n, f)(x, y), P, P[::-1] + 1, grad=binary != "fmod"
    )
for binary in [
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "heaviside",
    "nextafter",
]:
    case(binary, lambda n, x, y, f=binary: getattr(n, f)(x, y), A, W, grad=False)
for binary in [
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "gcd",
    "lcm",
    "left_shift",
    "right_shift",
    "remainder",
]:
    case(
        f"{binary}, int",
        lambda n, x, y, f=binary: getattr(n, f)(x, y),
        np.abs(INTS),
        np.abs(INTS[0]) + 1,
    )
for binary in ["logical_and", "logical_or", "logical_xor"]:
    case(binary, lambda n, x, y, f=binary: getattr(n, f)(x, y), B, INTS)
case("add, mixed", lambda n, x, y: n.add(x, y), F32, I8[0, 0])
case("multiply, f16 and python", lambda n, x: n.multiply(x, 2.5), F16)
case("divmod", lambda n, x, y: n.divmod(x, y), P, P[::-1], grad=False)
case("modf", lambda n, x: n.modf(x), A, grad=False)
case("frexp", lambda n, x: n.frexp(x), A, grad=False)
case("ldexp", lambda n, x: n.ldexp(x, 3), A)
case("invert", lambda n, x: n.invert(x), INTS)
case("spacing", lambda n, x: n.spacing(x), A, grad=False)
case("sinc", lambda n, x: n.sinc(x), A)
case("i0", lambda n, x: n.i0(x), A)
case("clip", lambda n, x: n.clip(x, -0.5, 0.5), A)
case("clip, one side", lambda n, x: n.clip(x, None, 0.5), A)
case("clip, array", lambda n, x, y: n.clip(x, y - 1, y), A, W)
case("round", lambda n, x: n.round(x, 2), A, grad=False)
case("round, tens", lambda n, x: n.round(x * 100, -1), A, grad=False)
case("round, int", lambda n, x: n.round(x, -1), INTS)
case("fix", lambda n, x: n.fix(x), A, grad=False)
case("nan_to_num", lambda n, x: n.nan_to_num(x, nan=3.0), N, grad=False)
case("nan_to_num, inf", lambda n, x: n.nan_to_num(x), np.array([np.inf, -np.inf, 1.0]), grad=False)
case("unwrap", lambda n, x: n.unwrap(x), np.array([0.0, 3.0, 6.5, -1.0, 2.0, 9.0]))
case("isclose", lambda n, x, y: n.isclose(x, y), A, A + 1e-9, grad=False)
case("isclose, nan", lambda n, x, y: n.isclose(x, y, equal_nan=True), N, N, grad=False)
case("allclose", lambda n, x, y: n.allclose(x, y), A, A + 1e-9, grad=False)
case("array_equal", lambda n, x, y: n.array_equal(x, y), A, A, grad=False)
case("array_equiv", lambda n, x, y: n.array_equiv(x, y), A, A[None], grad=False)
case("isposinf", lambda n, x: n.isposinf(x), np.array([np.inf, -np.inf, 1.0]), grad=False)
case("isneginf", lambda n, x: n.isneginf(x), np.array([np.inf, -np.inf, 1.0]), grad=False)
case("iscomplex", lambda n, x: n.iscomplex(x), C)
case("isreal", lambda n, x: n.isreal(x), C)

# --- reductions ---

for reduction in ["sum", "prod", "mean", "max", "min"]:

    def call(n: Any, x: Any, f: str = reduction, **options: Any) -> Any:
        return getattr(n, f)(x, **options)

    case(reduction, call, A)
    case(f"{reduction}, axis", lambda n, x, f=call: f(n, x, axis=1), A)
    case(f"{reduction}, axes", lambda n, x, f=call: f(n, x, axis=(0, -1), keepdims=True), T)
    case(f"{reduction}, no axes", lambda n, x, f=call: f(n, x, axis=()), A)
    for operand in (I8, U, B, INTS, F16, F32):
        case(f"{reduction}, {operand.dtype}", lambda n, x, f=call: f(n, x), operand, grad=False)
for reduction in ["sum", "prod", "max", "min"]:
    case(
        f"{reduction}, initial",
        lambda n, x, f=reduction: getattr(n, f)(x, axis=0, initial=0.25),
        A,
    )
    case(
        f"{reduction}, where",
        lambda n, x, m, f=reduction: getattr(n, f)(x, axis=0, initial=0.25, where=m),
        A, B, static=(1,),
    )  # fmt: skip
case("sum, dtype", lambda n, x: n.sum(x, dtype=np.float32), A, grad=False)
case("sum, complex", lambda n, x: n.sum(x, axis=0), C)
case("sum, empty", lambda n, x: n.sum(x, axis=0), EMPTY)
case("prod, empty", lambda n, x: n.prod(x, axis=0), EMPTY)
case("max, empty other axis", lambda n, x: n.max(x, axis=1), EMPTY)
case("mean, where", lambda n, x, m: n.mean(x, axis=1, where=m), A, B | (A > -9), static=(1,))
case("mean, f16 large", lambda n, x: n.mean(x), np.full(1000, 60000, np.float16), grad=False)
for spread in ["var", "std"]:
    case(spread, lambda n, x, f=spread: getattr(n, f)(x), A)
    case(f"{spread}, ddof", lambda n, x, f=spread: getattr(n, f)(x, axis=0, ddof=1), A)
    case(f"{spread}, keepdims", lambda n, x, f=spread: getattr(n, f)(x, 1, keepdims=True), A)
    case(f"{spread}, correction", lambda n, x, f=spread: getattr(n, f)(x, correction=1), A)
    case(f"{spread}, complex", lambda n, x, f=spread: getattr(n, f)(x, axis=0), C)
    case(f"{spread}, int", lambda n, x, f=spread: getattr(n, f)(x), INTS)
    case(f"{spread}, f16", lambda n, x, f=spread: getattr(n, f)(x), F16)
case("ptp", lambda n, x: n.ptp(x, axis=1), A)
case("any", lambda n, x: n.any(x, axis=0), INTS)
case("all", lambda n, x: n.all(x, axis=0, keepdims=True), B)
case("any, where", lambda n, x, m: n.any(x, where=m), B, B, static=(1,))
case("count_nonzero", lambda n, x: n.count_nonzero(x, axis=1), INTS)
case("average", lambda n, x: n.average(x, axis=0), A)
case("average, weights", lambda n, x, w: n.average(x, axis=1, weights=w), A, P[0])
case("average, returned", lambda n, x, w: n.average(x, weights=w, returned=True), A, P)
case("cov", lambda n, x: n.cov(x), A)
case("cov, columns", lambda n, x, y: n.cov(x, y, rowvar=False), A, A + P)
case("cov, weights", lambda n, x, w: n.cov(x, aweights=w, fweights=[1, 2, 1, 3]), A, P[0])
case("cov, vector", lambda n, x: n.cov(x, bias=True), V)
case("corrcoef", lambda n, x: n.corrcoef(x), A)
case("median", lambda n, x: n.median(x, axis=1), A)
case("median, odd", lambda n, x: n.median(x, axis=0), A)
case("median, all", lambda n, x: n.median(x), INTS)
case("median, nan", lambda n, x: n.median(x, axis=1), N, grad=False)
case("percentile", lambda n, x: n.percentile(x, [10, 55], axis=1), A)
case(
    "percentile, f32", lambda n, x: n.percentile(x, 30, axis=(0, 1), keepdims=True), F32, grad=False
)
for method in [
    "linear",
    "lower",
    "higher",
    "nearest",
    "midpoint",
    "inverted_cdf",
    "closest_observation",
    "averaged_inverted_cdf",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
]:
    case(
        f"quantile, {method}",
        lambda n, x, m=method: n.quantile(
            x, [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0], axis=1, method=m
        ),
        A,
    )
case("quantile, int", lambda n, x: n.quantile(x, 0.4, axis=0, method="lower"), INTS)
case("quantile, int linear", lambda n, x: n.quantile(x, 0.4, axis=0), INTS)
for reduction in [
    "nansum",
    "nanprod",
    "nanmean",
    "nanmax",
    "nanmin",
    "nanvar",
    "nanstd",
    "nanmedian",
]:
    case(reduction, lambda n, x, f=reduction: getattr(n, f)(x, axis=1), N, grad=False)
    case(f"{reduction}, all", lambda n, x, f=reduction: getattr(n, f)(x), N, grad=False)
case("nanquantile", lambda n, x: n.nanquantile(x, [0.2, 0.7], axis=1), N, grad=False)
case("nanpercentile", lambda n, x: n.nanpercentile(x, 35, axis=1, keepdims=True), N, grad=False)
case("nanargmax", lambda n, x: n.nanargmax(x, axis=1), N, grad=False)
case("nanargmin", lambda n, x: n.nanargmin(x), N, grad=False)
case("nancumsum", lambda n, x: n.nancumsum(x, axis=1), N, grad=False)
case("nancumprod", lambda n, x: n.nancumprod(x), N, grad=False)
case("cumsum", lambda n, x: n.cumsum(x), A)
case("cumsum, int8", lambda n, x: n.cumsum(x, axis=0), I8)
case("cumprod", lambda n, x: n.cumprod(x, axis=1), A)
case("cumulative_sum", lambda n, x: n.cumulative_sum(x, axis=1, include_initial=True), A)
case("cumulative_prod", lambda n, x: n.cumulative_prod(x), V)
case("diff", lambda n, x: n.diff(x), A)
case("diff, twice", lambda n, x: n.diff(x, 2, axis=0, prepend=0.0, append=x[:1]), A)
case("diff, bool", lambda n, x: n.diff(x), B)
case("ediff1d", lambda n, x: n.ediff1d(x, to_end=[1.0, 2.0], to_begin=0.0), A)

# --- shape ---

case("reshape", lambda n, x: n.reshape(x, (2, -1)), A)
case("reshape, F", lambda n, x: n.reshape(x, (2, 6), order="F"), A)
case("ravel", lambda n, x: n.ravel(x), T)
case("ravel, F", lambda n, x: n.ravel(x, "F"), T)
case("transpose", lambda n, x: n.transpose(x), T)
case("transpose, axes", lambda n, x: n.transpose(x, (1, 0, -1)), T)
case("permute_dims", lambda n, x: n.permute_dims(x, (2, 0, 1)), T)
case("matrix_transpose", lambda n, x: n.matrix_transpose(x), T)
case("swapaxes", lambda n, x: n.swapaxes(x, 0, -1), T)
case("moveaxis", lambda n, x: n.moveaxis(x, (0, 1), (-1, 0)), T)
case("rollaxis", lambda n, x: n.rollaxis(x, 2, 1), T)
case("squeeze", lambda n, x: n.squeeze(x[None, :, None]), A)
case("squeeze, axis", lambda n, x: n.squeeze(x[None, :, None], axis=(0,)), A)
case("expand_dims", lambda n, x: n.expand_dims(x, (0, -1)), A)
case("broadcast_to", lambda n, x: n.broadcast_to(x, (2, 3, 4)), A)
case("broadcast_arrays", lambda n, x, y: n.broadcast_arrays(x, y), A, W)
case("atleast_1d", lambda n, x: n.atleast_1d(x), np.float64(2.0))
case("atleast_2d", lambda n, x, y: n.atleast_2d(x, y), V, A)
case("atleast_3d", lambda n, x: n.atleast_3d(x), A)
case("concatenate", lambda n, x, y: n.concatenate([x, y], axis=1), A, P)
case("concatenate, flat", lambda n, x, y: n.concatenate([x, y], axis=None), A, W)
case("concatenate, mixed", lambda n, x, y: n.concatenate([x, y]), F32, INTS)
case("concat", lambda n, x, y: n.concat((x, y), axis=-1), A, P)
case("stack", lambda n, x, y: n.stack([x, y], axis=-1), A, P)
case("stack, mixed", lambda n, x, y: n.stack([x, y]), F16, F32)
case("unstack", lambda n, x: n.unstack(x, axis=1), A)
case("vstack", lambda n, x, y: n.vstack([x, y]), A, W)
case("hstack", lambda n, x, y: n.hstack([x, y]), V, W)
case("hstack, matrices", lambda n, x, y: n.hstack([x, y]), A, P)
case("dstack", lambda n, x, y: n.dstack([x, y]), A, P)
case("column_stack", lambda n, x, y: n.column_stack([x, y]), W, S)
case("split", lambda n, x: n.split(x, 2, axis=1), A)
case("split, indices", lambda n, x: n.split(x, [1, 3]), V)
case("array_split", lambda n, x: n.array_split(x, 3), V)
case("vsplit", lambda n, x: n.vsplit(x, 3), A)
case("hsplit", lambda n, x: n.hsplit(x, 2), A)
case("dsplit", lambda n, x: n.dsplit(x, 2), T)
case("append", lambda n, x, y: n.append(x, y), A, W)
case("append, axis", lambda n, x, y: n.append(x, y[None], axis=0), A, W)
case("block", lambda n, x, y: n.block([[x, x], [y, y]]), A, W)
case("delete", lambda n, x: n.delete(x, [0, 2], axis=1), A)
case("delete, slice", lambda n, x: n.delete(x, slice(0, None, 2)), V)
case("insert", lambda n, x: n.insert(x, 1, 9.0), V)
case("insert, several", lambda n, x, y: n.insert(x, [1, 1, 3], y), V, V[:3])
case("insert, axis", lambda n, x, y: n.insert(x, 2, y, axis=1), A, V[:3])
case("insert, rows", lambda n, x, y: n.insert(x, [0, 3], y, axis=0), A, W)
case("flip", lambda n, x: n.flip(x), A)
case("flip, axis", lambda n, x: n.flip(x, (0, 2)), T)
case("fliplr", lambda n, x: n.fliplr(x), A)
case("flipud", lambda n, x: n.flipud(x), A)
for turns in range(4):
    case(f"rot90, {turns}", lambda n, x, k=turns: n.rot90(x, k), A)
case("rot90, axes", lambda n, x: n.rot90(x, 1, axes=(1, 2)), T)
case("roll", lambda n, x: n.roll(x, 2), A)
case("roll, axes", lambda n, x: n.roll(x, (1, -2), axis=(0, 1)), A)
case("tile", lambda n, x: n.tile(x, (2, 1, 2)), A)
case("tile, int", lambda n, x: n.tile(x, 2), A)
case("repeat", lambda n, x: n.repeat(x, 3), V)
case("repeat, axis", lambda n, x: n.repeat(x, [1, 0, 2], axis=0), A)
case("resize", lambda n, x: n.resize(x, (3, 4)), V)
for mode in [
    "edge",
    "reflect",
    "symmetric",
    "wrap",
    "linear_ramp",
    "maximum",
    "minimum",
    "mean",
    "median",
    "constant",
    "empty",
]:
    if mode != "empty":
        case(f"pad, {mode}", lambda n, x, m=mode: n.pad(x, ((1, 2), (0, 3)), mode=m), A)
case("pad, value", lambda n, x: n.pad(x, 2, constant_values=((1.0, 2.0), (3.0, 4.0))), A)
case("pad, long reflect", lambda n, x: n.pad(x, 7, mode="reflect"), V)
case("pad, stat_length", lambda n, x: n.pad(x, 2, mode="mean", stat_length=2), A)
case("pad, end_values", lambda n, x: n.pad(x, 2, mode="linear_ramp", end_values=(5.0, -4.0)), V)
case("pad, int mean", lambda n, x: n.pad(x, 1, mode="mean"), INTS)

# --- products ---

case("matmul", lambda n, x, y: n.matmul(x, y), A, S)
case("matmul, vectors", lambda n, x, y: n.matmul(x, y), W, S[0])
case("matmul, stacks", lambda n, x, y: n.matmul(x, y), T, T.transpose(0, 2, 1))
case("matmul, broadcast", lambda n, x, y: n.matmul(x, y), T[:, None], S)
case("matmul, int", lambda n, x, y: n.matmul(x, y), INTS, INTS.T)
case("matmul, mixed", lambda n, x, y: n.matmul(x, y), F32, INTS.T)
case("matmul, bool", lambda n, x, y: n.matmul(x, y), B, B.T)
case("dot", lambda n, x, y: n.dot(x, y), A, S)
case("dot, stack", lambda n, x, y: n.dot(x, y), A, T.transpose(0, 2, 1))
case("dot, scalar", lambda n, x: n.dot(x, 2.0), A)
case("vdot", lambda n, x, y: n.vdot(x, y), C, C[::-1])
case("inner", lambda n, x, y: n.inner(x, y), A, T)
case("outer", lambda n, x, y: n.outer(x, y), V, W)
case("vecdot", lambda n, x, y: n.vecdot(x, y), C, C[0])
case("vecdot, axis", lambda n, x, y: n.vecdot(x, y, axis=0), A, P)
case("matvec", lambda n, x, y: n.matvec(x, y), T, W)
case("vecmat", lambda n, x, y: n.vecmat(x, y), V[:3], A)
case("tensordot", lambda n, x, y: n.tensordot(x, y, 2), T, A[..., None] * W)
case("tensordot, axes", lambda n, x, y: n.tensordot(x, y, ([1, 2], [0, 1])), T, A)
case("kron", lambda n, x, y: n.kron(x, y), A, S[:2])
case("kron, ranks", lambda n, x, y: n.kron(x, y), V, A)
case("cross", lambda n, x, y: n.cross(x, y), A[:, :3], P[:, :3])
case("cross, axis", lambda n, x, y: n.cross(x, y, axis=0), A, P)
case("trace", lambda n, x: n.trace(x, 1), S)
case("trace, axes", lambda n, x: n.trace(x, 0, 1, 2), T)
case("diagonal", lambda n, x: n.diagonal(x, -1), A)
case("diagonal, axes", lambda n, x: n.diagonal(x, 1, 0, 2), T)
case("diag", lambda n, x: n.diag(x, 2), W)
case("diag, below", lambda n, x: n.diag(x, -1), W)
case("diag, matrix", lambda n, x: n.diag(x, 1), A)
case("diagflat", lambda n, x: n.diagflat(x), A[:2, :2])
case("tril", lambda n, x: n.tril(x, 1), T)
case("triu", lambda n, x: n.triu(x, -1), A)
for text, operands in {
    "ij,jk->ik": (A, S), "ij,jk": (A, S), "ij->ji": (A,), "ii->i": (S,), "ii": (S,), "ij->": (A,),
    "ij,ij->i": (A, P), "ij,kj->": (A, P), "i,j,k->kij": (V, W, V), "...ij,...jk->...ik": (T, S),
    "i...,i...": (A, P), "ij,jk,kl->il": (A, S, S), "bij,jk,bik->bj": (T, S, T), "ii,ij->i": (S, S),
    "ijk,ik->j": (T, T[:, 0]),
}.items():  # fmt: skip
    case(f"einsum {text}", lambda n, *xs, t=text: n.einsum(t, *xs), *operands)
case("einsum, lists", lambda n, x, y: n.einsum(x, [0, 1], y, [1, 2], [0, 2]), A, S)
case("einsum, path", lambda n, *xs: n.einsum("ij,jk,kl", *xs, optimize="optimal"), A, S, S)

# --- choosing, searching, sorting ---

case("where", lambda n, m, x, y: n.where(m, x, y), B, A, W, static=(0,))
case("where, weak", lambda n, m, x: n.where(m, x, 0.0), B, F32, static=(0,), grad=False)
case("select", lambda n, x: n.select([x > 1, x > 0], [x, x**2], 3.0), A)
case(
    "piecewise",
    lambda n, x: n.piecewise(x, [x < 0, x >= 1], [lambda t: t * 2, 5.0, lambda t: -t]),
    A,
)
case("argmax", lambda n, x: n.argmax(x), A, grad=False)
case("argmax, axis", lambda n, x: n.argmax(x, axis=1, keepdims=True), N, grad=False)
case("argmin", lambda n, x: n.argmin(x, axis=0), A, grad=False)
case("searchsorted", lambda n, x, y: n.searchsorted(x, y), X, A, grad=False)
case(
    "searchsorted, right",
    lambda n, x, y: n.searchsorted(x, y, "right"),
    X,
    np.append(X, [0.0, 9.0]),
    grad=False,
)
case(
    "searchsorted, sorter",
    lambda n, x: n.searchsorted(x, 1.0, sorter=[1, 0, 2]),
    np.array([2.0, 1.0, 3.0]),
    grad=False,
)
case(
    "searchsorted, nan",
    lambda n, x, y: n.searchsorted(x, y),
    np.array([1.0, np.nan, np.nan]),
    np.array([np.nan, 2.0]),
    grad=False,
)
case("digitize", lambda n, x: n.digitize(x, X), A + 2, grad=False)
case("sort", lambda n, x: n.sort(x), A)
case("sort, axis", lambda n, x: n.sort(x, axis=0), A)
case("sort, flat", lambda n, x: n.sort(x, axis=None), A)
case("sort, nan", lambda n, x: n.sort(x), N, grad=False)
case("sort, complex", lambda n, x: n.sort(x), C)
case("argsort", lambda n, x: n.argsort(x, stable=True), INTS)
case("lexsort", lambda n, x, y: n.lexsort((x, y)), INTS[0], INTS[1])
case("sort_complex", lambda n, x: n.sort_complex(x), V)
case("take", lambda n, x: n.take(x, [[0, 2], [-1, 0]], axis=1), A)
case("take, flat", lambda n, x: n.take(x, 7), A)
case("take, wrap", lambda n, x: n.take(x, [5, -9], mode="wrap"), V)
case("take, clip", lambda n, x: n.take(x, [5, -9], mode="clip"), V)
case("take, traced index", lambda n, x, i: n.take(x, i, axis=0), A, K, grad=False)
case("take_along_axis", lambda n, x: n.take_along_axis(x, np.argsort(A, axis=0), 0), A)
case("compress", lambda n, x: n.compress([True, False, True], x, axis=0), A)
case("extract", lambda n, x: n.extract(B, x), A)
case("choose", lambda n, i, x, y: n.choose(i, [x, y]), B.astype(int), A, P, static=(0,))
case("unravel_index", lambda n, i: n.unravel_index(i, (3, 4)), np.array([0, 5, 11]))
case(
    "ravel_multi_index", lambda n, i, j: n.ravel_multi_index((i, j), (3, 4), mode="wrap"), K, K + 2
)
case("isin", lambda n, x: n.isin(x, [1, 2, 3]), INTS)
case("bincount", lambda n, w: n.bincount([1, 0, 1, 3, 3], weights=w), V)
case("histogram", lambda n, x: n.histogram(x, bins=5, range=(-2.0, 2.0)), A, grad=False)
case(
    "histogram, weights",
    lambda n, x, w: n.histogram(x, X, weights=w, density=True),
    A + 3,
    P,
    grad=False,
)
case("histogram_bin_edges", lambda n, x: n.histogram_bin_edges(x, 4), A)

# --- samples and polynomials ---

case("interp", lambda n, x, y: n.interp(x, X, y), A + 2, V)
case("interp, ends", lambda n, x, y: n.interp(x, X, y, left=-1.0, right=9.0), A + 2, V)
case("interp, period", lambda n, x, y: n.interp(x, X, y, period=5.5), A + 2, V)
case("trapezoid", lambda n, y: n.trapezoid(y, dx=0.5), A)
case("trapezoid, x", lambda n, y, x: n.trapezoid(y, x, axis=0), A, X[:3])
case("gradient", lambda n, y: n.gradient(y), A)
case("gradient, spacing", lambda n, y, x: n.gradient(y, x), V, X)
case("gradient, edge_order", lambda n, y, x: n.gradient(y, x, edge_order=2), V, X)
case("gradient, uniform", lambda n, y: n.gradient(y, 0.5, axis=1, edge_order=2), A)
for mode in ["full", "same", "valid"]:
    case(f"convolve, {mode}", lambda n, x, y, m=mode: n.convolve(x, y, m), V, W)
    case(f"convolve, {mode}, longer", lambda n, x, y, m=mode: n.convolve(x, y, m), W[:2], V)
    case(f"correlate, {mode}", lambda n, x, y, m=mode: n.correlate(x, y, m), V, W[:2])
    case(f"correlate, {mode}, longer", lambda n, x, y, m=mode: n.correlate(x, y, m), W[:2], V)
    case(f"correlate, {mode}, longer", lambda n, x, y, m=mode: n.correlate(x, y, m), W[:3], W)
case("correlate, complex", lambda n, x, y: n.correlate(x, y), C[0], C[1, :2])
case("polyval", lambda n, p, x: n.polyval(p, x), V, A)
case("polyadd", lambda n, p, q: n.polyadd(p, q), V, W)
case("polysub", lambda n, p, q: n.polysub(p, q), V, W)
case("polymul", lambda n, p, q: n.polymul(p, q), V, W)
case("polyder", lambda n, p: n.polyder(p, 2), V)
case("polyint", lambda n, p: n.polyint(p, 2, [1.0, 2.0]), V)
case("vander", lambda n, x: n.vander(x, 3), V)
case("vander, increasing", lambda n, x: n.vander(x, increasing=True), INTS[0])
case("poly", lambda n, x: n.poly(x), V)

# --- creation from traced values ---

case("zeros_like", lambda n, x: n.zeros_like(x) + x, A)
case("ones_like", lambda n, x: n.ones_like(x, dtype=np.float32), A, grad=False)
case("full_like", lambda n, x: n.full_like(x, x[0, 0], shape=(2, 2)), A)
case("linspace", lambda n, x, y: np.linspace(x, y, 4, axis=-1), A, W)
case("linspace, step", lambda n, x: np.linspace(x, 2.0, 5, endpoint=False, retstep=True), W)
case("linspace, f32", lambda n, x: np.linspace(x, 2.0, 5), F32[0], grad=False)
case("logspace", lambda n, x: np.logspace(x, 2.0, 5), W)
case("geomspace", lambda n, x: np.geomspace(x, 2.0, 5), P[0])
case("geomspace, f32", lambda n, x: np.geomspace(x, 2.0, 5), np.abs(F32[0]), grad=False)
case("geomspace, axis", lambda n, x, y: np.geomspace(-x, -y, 4, axis=1), P[0], P[1])
case("copy", lambda n, x: n.copy(x), A)
case("apply_along_axis", lambda n, x: n.apply_along_axis(lambda v: v[:2] * v[2], 1, x), T)
case("apply_over_axes", lambda n, x: n.apply_over_axes(n.sum, x, [0, 2]), T)
case("meshgrid", lambda n, x, y: n.meshgrid(x, y), V, W)
case("meshgrid, ij", lambda n, x, y: n.meshgrid(x, y, indexing="ij", sparse=True), V, W)
case("tril_indices_from", lambda n, x: n.tril_indices_from(x), S, grad=False)
case("ufunc.reduce", lambda n, x: n.logaddexp.reduce(x, axis=1), A)
case("ufunc.reduce, add", lambda n, x: n.add.reduce(x, axis=(0, 1), initial=2.0), A)
case("ufunc.reduce, xor", lambda n, x: n.bitwise_xor.reduce(x, axis=0, keepdims=True), INTS)
case("ufunc.reduce, fmax", lambda n, x: n.fmax.reduce(x, axis=1), N, grad=False)
case("ufunc.reduce, bool", lambda n, x: n.logical_and.reduce(x), INTS)
case("ufunc.accumulate", lambda n, x: n.add.accumulate(x, axis=1), A)
case("ufunc.accumulate, max", lambda n, x: n.maximum.accumulate(x), A)
case("ufunc.accumulate, gcd", lambda n, x: n.gcd.accumulate(x, axis=1), INTS)
case("ufunc.reduceat", lambda n, x: n.add.reduceat(x, [0, 3, 1]), V)
case("ufunc.outer", lambda n, x, y: n.subtract.outer(x, y), A, V)
