"""Random programs aimed at the compiler: many dtypes and shapes, all kinds of kernels and steps, loops, derivatives.

A program is data that hypothesis draws and shrinks: inputs, steps that compute new values from earlier ones, and a
transformation of the whole. What does not fit is made to fit, and a step that NumPy refuses is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax, nn

SMALL, LARGE = 4096, 300_000  # elements of the largest value
LENGTHS = (1, 2, 3, 7, 17, 64, 100, 0, 1000, 1003)
SHAPES = (
    (7, 17),
    (3, 1003),
    (2, 3, 17),
    (64, 100),
    (1003,),
    (5, 1, 33),
    (2, 16, 7, 3),
    (1000, 257),
)
DTYPES = {
    "float32": 12, "float64": 8, "float16": 3, "bfloat16": 3, "int32": 3, "int64": 3, "int8": 2, "int16": 1,
    "uint8": 2, "uint16": 1, "uint32": 2, "uint64": 1, "bool": 3, "complex64": 2, "complex128": 2,
}  # fmt: skip
FILLINGS = ("whole", "normal", "special", "wide", "positive")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, -3e-42, 1e38, 65504.0, 0.5, 2.5)
LAYOUTS = ("plain", "reversed", "transposed", "spread", "misaligned", "read-only", "big-endian")


class Choices:
    """Small decisions that are read off one number, so that they shrink together to the first options."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *options: Any) -> Any:
        self.number, place = divmod(self.number, len(options))
        return options[place]

    def below(self, end: int) -> int:
        self.number, found = divmod(self.number, max(end, 1))
        return found


@dataclass(frozen=True)
class Input:
    """An argument; `layout` is the way it lies in memory."""

    dtype: str
    shape: tuple[int, ...]
    filling: str = "whole"
    layout: str = "plain"

    def array(self, seed: int = 0) -> np.ndarray:
        return laid_out(filled(self, np.random.default_rng(seed)), self.layout)


@dataclass(frozen=True)
class Step:
    """One line of a program: an operation on earlier values, counted from the last one."""

    name: str
    operands: tuple[int, int, int] = (0, 0, 0)
    number: int = 0
    body: tuple[Step, ...] = ()


@dataclass(frozen=True)
class RandomProgram:
    """What is computed of the inputs: the last `outputs` values, or something derived from them."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: int = 1
    transform: str = "none"
    limit: int = SMALL

    def arrays(self) -> list[np.ndarray]:
        return [given.array(seed) for seed, given in enumerate(self.inputs)]

    def function(self) -> Callable[..., Any]:
        """The program as a user writes it."""

        def run(*args):
            return tuple(run_steps(self.steps, list(args), self.limit)[-self.outputs :])

        return TRANSFORMS[self.transform](run, [given.dtype for given in self.inputs])


# --- inputs ---


def filled(given: Input, rng: np.random.Generator) -> np.ndarray:
    dtype = np.dtype(given.dtype)
    if dtype == np.bool_:
        return rng.random(given.shape) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if given.filling in ("special", "wide"):
            found = rng.integers(limits.min, limits.max, given.shape, dtype, endpoint=True)
            edges = rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), given.shape)
            return np.where(rng.random(given.shape) < 0.3, edges, found).astype(dtype)
        return rng.integers(0 if dtype.kind == "u" else -4, 9, given.shape).astype(dtype)
    if dtype.kind == "c":
        part = Input(f"float{dtype.itemsize * 4}", given.shape, given.filling)
        found = np.empty(given.shape, dtype)
        found.real, found.imag = filled(part, rng), filled(part, rng)
        return found
    with np.errstate(all="ignore"):
        return floats(given, rng).astype(dtype)


def floats(given: Input, rng: np.random.Generator) -> np.ndarray:
    shape, normal = given.shape, rng.standard_normal(given.shape)
    if given.filling == "whole":
        return rng.integers(-4, 5, shape).astype(np.float64)
    if given.filling == "special":
        return np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL, shape), normal)
    if given.filling == "wide":
        return normal * 10.0 ** rng.integers(-40, 38, shape)
    return np.abs(normal) + 0.1 if given.filling == "positive" else normal


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """An equal array in another place of memory."""
    if layout == "reversed":
        turned = (slice(None, None, -1),) * x.ndim
        return np.array(x[turned])[turned]
    if layout == "transposed":
        return np.array(x.T, order="C").T
    if layout == "spread":
        room = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        room[(slice(None, None, 2),) * x.ndim] = x
        return room[(slice(None, None, 2),) * x.ndim]
    if layout == "misaligned":
        room = np.zeros(x.nbytes + 1, np.uint8)
        found = room[1:].view(x.dtype).reshape(x.shape)
        found[...] = x
        return found
    if layout == "big-endian" and x.dtype.type is not ml_dtypes.bfloat16:
        return x.astype(x.dtype.newbyteorder(">"))
    found = np.array(x)
    found.flags.writeable = layout != "read-only"
    return found


# --- fitting values to operations ---


def kind(x: Any) -> str:
    return "f" if x.dtype == ml_dtypes.bfloat16 else x.dtype.kind


def limited(x: Any, limit: int) -> Any:
    while x.size > limit:
        axis = int(np.argmax(x.shape))
        x = x[(slice(None),) * axis + (slice(x.shape[axis] // 2),)]
    return x


def as_kind(x: Any, kinds: str) -> Any:
    """The value in a dtype of one of these kinds."""
    if kind(x) in kinds:
        return x
    dtype = {"f": np.float32, "i": np.int32, "b": np.bool_, "c": np.complex64}[kinds[0]]
    return x > 0 if kinds[0] == "b" else convert(x, dtype)


def convert(x: Any, dtype: Any) -> Any:
    if kind(x) == "c" and np.dtype(dtype).kind != "c":
        x = np.real(x)
    return x.astype(dtype)


def as_shape(x: Any, shape: Sequence[int]) -> Any:
    """As many of the elements as the shape has, with zeros behind them."""
    if tuple(x.shape) == tuple(shape):
        return x
    size, flat = int(np.prod(shape)), np.ravel(x)
    if flat.shape[0] < size:
        zeros = fg.numpy.zeros(size - flat.shape[0], x.dtype)
        return np.reshape(np.concatenate([flat, zeros]), shape)
    return np.reshape(flat[:size], shape)


def as_rank(x: Any, least: int, most: int) -> Any:
    while x.ndim < least:
        x = x[None]
    while x.ndim > most:
        x = np.reshape(x, (-1, *x.shape[2:])) if x.size else as_shape(x, x.shape[1:])
    return x


def paired(choose: Choices, x: Any, y: Any) -> tuple[Any, Any]:
    """Two values that broadcast."""
    try:
        np.broadcast_shapes(x.shape, y.shape)
        return x, y
    except ValueError:
        column = (*x.shape[:-1], 1)
        return x, as_shape(y, choose(x.shape, x.shape[-1:], column, ()))


def an_axis(choose: Choices, x: Any) -> int:
    return choose.below(x.ndim) - choose(0, x.ndim)


def some_axes(choose: Choices, x: Any) -> Any:
    return choose(
        None, -1, 0, tuple(range(0, x.ndim, 2)), tuple(range(1, x.ndim)), an_axis(choose, x)
    )


# --- elementwise operations ---

# Exact: what compiled code computes in the same bits.
EXACT = {
    "negative": lambda choose, x: np.negative(as_kind(x, "fiuc")),
    "abs": lambda choose, x: np.abs(x),
    "sign": lambda choose, x: np.sign(as_kind(x, "fiu")),
    "square": lambda choose, x: np.square(as_kind(x, "fiuc")),
    "sqrt": lambda choose, x: np.sqrt(np.abs(as_kind(x, "f"))),
    "round": lambda choose, x: choose(np.floor, np.ceil, np.trunc, np.rint)(as_kind(x, "f")),
    "test": lambda choose, x: choose(np.isnan, np.isinf, np.isfinite, np.signbit)(as_kind(x, "f")),
    "not": lambda choose, x: np.invert(as_kind(x, "ibu")),
    "clip": lambda choose, x: np.clip(as_kind(x, "fiu"), *choose((0, 1), (1, 3), (2, 2))),
    "relu": lambda choose, x: nn.relu(as_kind(x, "fi")),
    "parts": lambda choose, x: choose(np.real, np.imag, np.conj)(x),
    "with number": lambda choose, x: with_number(choose, x),
    "cast": lambda choose, x: convert(x, choose(*DTYPES)),
    "double": lambda choose, x: x + x,
}
MATH = {
    "exp": lambda choose, x: np.exp(choose(1, -1) * np.abs(as_kind(x, "f"))),
    "function": lambda choose, x: choose(
        np.tanh, np.sin, np.cos, np.exp, np.expm1, np.arctan, nn.sigmoid, nn.gelu, nn.silu, nn.softplus,
        np.exp2, np.cbrt, np.arcsinh, np.tan, np.sinh, np.cosh, fg.scipy.special.erf, fg.scipy.special.erfc,
    )(as_kind(x, "f")),
    "logarithm": lambda choose, x: choose(np.log, np.log1p, np.log2, np.log10)(np.abs(as_kind(x, "f")) + choose(1, 0)),
    "inside one": lambda choose, x: choose(np.arcsin, np.arccos, np.arctanh)(as_kind(x, "f") / 8),
    "complex": lambda choose, x: choose(np.exp, np.sqrt, np.sin, np.tanh, np.log, np.abs, np.square)(as_kind(x, "c")),
    "power": lambda choose, x: x ** choose(2, 3, 0.5, -1.0, 4, 1.5, 0),
}  # fmt: skip


def with_number(choose: Choices, x: Any) -> Any:
    number = choose(1, 2, 0, 3) if kind(x) in "iub" else choose(1, 0.5, -0.0, 2, 1e-3, 3.0, 0, -1)
    number = choose(number, number, np.float32(number), np.float64(number))
    return choose(
        lambda: x + number,
        lambda: x * number,
        lambda: number - as_kind(x, "fiuc"),
        lambda: x - number if kind(x) != "b" else x,
        lambda: x / choose(2, 3),
        lambda: number / as_kind(x, "f"),
        lambda: np.maximum(as_kind(x, "fiu"), number),
        lambda: as_kind(x, "fiu") > number,
        lambda: np.where(as_kind(x, "fiu") > 0, x, number),
    )()


BINARY = {
    "add": lambda choose, x, y: np.add(x, y),
    "subtract": lambda choose, x, y: np.subtract(as_kind(x, "fiuc"), y),
    "multiply": lambda choose, x, y: np.multiply(x, y),
    "divide": lambda choose, x, y: as_kind(x, "f") / as_kind(y, "f"),
    "extreme": lambda choose, x, y: choose(np.maximum, np.minimum, np.fmax, np.fmin)(
        as_kind(x, "fiub"), as_kind(y, "fiub")
    ),
    "compare": lambda choose, x, y: choose(
        np.less, np.equal, np.not_equal, np.less_equal, np.greater, np.greater_equal
    )(as_kind(x, "fiub"), as_kind(y, "fiub")),
    "logic": lambda choose, x, y: choose(np.logical_and, np.logical_or, np.logical_xor)(x, y),
    "bits": lambda choose, x, y: choose(np.bitwise_and, np.bitwise_or, np.bitwise_xor)(
        as_kind(x, "iub"), as_kind(y, "iub")
    ),
    "shift": lambda choose, x, y: choose(np.left_shift, np.right_shift)(as_kind(x, "iu"), as_kind(y, "iu")),
    "rest": lambda choose, x, y: choose(np.floor_divide, np.remainder, np.fmod)(
        as_kind(x, "fiu"), as_kind(y, "fiu")
    ),
    "copysign": lambda choose, x, y: np.copysign(as_kind(x, "f"), as_kind(y, "f")),
    "where": lambda choose, x, y: np.where(as_kind(y, "fiu") > 0, x, y),
    "math": lambda choose, x, y: choose(np.arctan2, np.hypot, np.logaddexp)(as_kind(x, "f"), as_kind(y, "f")),
    "power of": lambda choose, x, y: np.power(np.abs(as_kind(x, "f")), as_kind(y, "f")),
    "complex product": lambda choose, x, y: choose(np.multiply, np.divide)(as_kind(x, "c"), as_kind(y, "c")),
}  # fmt: skip


def pairwise(name: str) -> Callable:
    return lambda choose, x, y: BINARY[name](choose, *paired(choose, x, y))


# --- movement ---


def sliced(choose: Choices, x: Any) -> Any:
    key = []
    for n in x.shape:
        middle = n // 2
        key.append(
            choose(slice(None), slice(None, None, -1), slice(1, None), slice(None, None, 2),
                   slice(middle, None, -1), slice(None, -1), slice(-1, None, -3), slice(middle, middle + 1),
                   middle if n else slice(None), None)
        )  # fmt: skip
    return x[tuple(key)] if len(key) - key.count(None) <= x.ndim else x


def reshaped(choose: Choices, x: Any) -> Any:
    """Axes merged, or one split."""
    shape = list(x.shape)
    if choose(True, False) and len(shape) > 1:
        i = choose.below(len(shape) - 1)
        return np.reshape(x, (*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :]))
    for i, n in enumerate(shape):
        for factor in (2, 17, 10, 3, 7):
            if n % factor == 0 and n > factor:
                return np.reshape(
                    x,
                    (
                        *shape[:i],
                        *choose((n // factor, factor), (factor, n // factor)),
                        *shape[i + 1 :],
                    ),
                )
    return np.ravel(x)  # fmt: skip


def transposed(choose: Choices, x: Any) -> Any:
    axes = list(range(x.ndim))
    order = [axes.pop(choose.below(len(axes))) for _ in range(x.ndim)]
    return np.transpose(x, choose(None, tuple(order)))


def padded(choose: Choices, x: Any) -> Any:
    widths = [choose((1, 0), (0, 0), (2, 3), (0, 1), (16, 1)) for _ in x.shape]
    mode = choose("constant", "constant", "edge", "reflect", "wrap", "symmetric")
    return np.pad(x, widths, mode=mode) if x.ndim else x


def broadcast(choose: Choices, x: Any) -> Any:
    return choose(
        lambda: np.broadcast_to(x, (choose(2, 3, 17, 1), *x.shape)),
        lambda: np.broadcast_to(x[..., None], (*x.shape, choose(3, 16, 7))),
        lambda: np.repeat(x, choose(2, 3), axis=-1),
        lambda: np.tile(x, choose(2, (2, 1), (1, 3))),
        lambda: np.expand_dims(x, choose(0, -1, x.ndim // 2)),
    )()


MOVES = {
    "slice": sliced,
    "reshape": reshaped,
    "transpose": transposed,
    "pad": padded,
    "broadcast": broadcast,
    "ravel": lambda choose, x: np.ravel(x),
    "flip": lambda choose, x: np.flip(x, choose(None, an_axis(choose, x))),
    "roll": lambda choose, x: np.roll(x, choose(1, -2, 5), choose(None, an_axis(choose, x))),
    "squeeze": lambda choose, x: np.squeeze(x),
    "triangle": lambda choose, x: choose(np.tril, np.triu)(as_rank(x, 2, 4), choose(0, 1, -2)),
    "diagonal": lambda choose, x: np.diagonal(as_rank(x, 2, 4), choose(0, 1)),
    "sort": lambda choose, x: np.sort(as_kind(x, "fiu"), axis=an_axis(choose, x)),
    "first half": lambda choose, x: np.split(x, [x.shape[-1] // 2], axis=-1)[choose(0, 1)],
}
JOINS = {
    "concatenate": lambda choose, x, y: concatenated(choose, x, y),
    "stack": lambda choose, x, y: np.stack([x, as_shape(y, x.shape)], axis=choose(0, -1, x.ndim // 2)),
    "positions": lambda choose, x, y: x + fg.numpy.arange(x.shape[-1]).astype(choose(x.dtype, np.int32, np.float32)),
    "in halves": lambda choose, x, y: np.concatenate([x[..., ::2], x[..., 1::2] * 2], axis=-1),
}  # fmt: skip


def concatenated(choose: Choices, x: Any, y: Any) -> Any:
    if not x.ndim:
        x = x[None]
    axis = choose.below(x.ndim)
    length = choose(1, x.shape[axis], 17, 3)
    y = as_shape(y, (*x.shape[:axis], length, *x.shape[axis + 1 :]))
    return np.concatenate(choose([x, y], [y, x], [x, y, x], [x, y[..., :0], y]), axis)


# --- indices ---


def indices(choose: Choices, y: Any, length: int) -> Any:
    """Rows in bounds, computed or fixed."""
    if not length:
        raise ValueError("an empty axis has no rows")
    if choose(True, False):
        return np.array([0, -1, length // 2, 0])
    return np.abs(convert(np.ravel(y)[: choose(3, 20, 1)], np.int32)) % length


def updated(choose: Choices, x: Any, y: Any, z: Any) -> Any:
    if not x.ndim:
        x = x[None]
    key = indices(choose, y, x.shape[0])
    value = convert(as_shape(z, (key.shape[0], *x.shape[1:])), x.dtype)
    at = x.at[key]
    return choose(at.add, at.set, at.max, at.min, at.multiply, lambda v: at.add(1))(value)


def assigned(choose: Choices, x: Any, y: Any) -> Any:
    """A write into a slice of a copy."""
    z = x + choose(0, 1)
    key = choose(slice(1, None), slice(None, None, 2), slice(None, None, -1), Ellipsis, 0)
    value = convert(as_shape(y, x[key].shape), z.dtype)
    if choose(True, False):
        z[key] = value
    else:
        z[key] += value
    return z


def taken(choose: Choices, x: Any, y: Any) -> Any:
    axis = an_axis(choose, x)
    return np.take(x, indices(choose, y, x.shape[axis]), axis=axis)


def dynamic(choose: Choices, x: Any, y: Any) -> Any:
    axis = choose.below(x.ndim)
    size = x.shape[axis] // 2
    start = np.abs(convert(np.ravel(y)[0], np.int32) % 99) % (x.shape[axis] - size + 1)
    part = lax.dynamic_slice_in_dim(x, start, size, axis)
    return choose(
        lambda: part, lambda: lax.dynamic_update_slice_in_dim(x, part * 2, start // 2, axis)
    )()


def one_hot(choose: Choices, x: Any) -> Any:
    classes = choose(10, 3, 17)
    return nn.one_hot(np.abs(convert(x, np.int32) % 99) % classes, classes)


INDEXING = {
    "take": taken,
    "one hot": lambda choose, x, y: one_hot(choose, x) * np.sum(y > 0),
    "chosen": lambda choose, x, y: np.take_along_axis(
        x, np.argmax(as_kind(x, "fiub"), axis=-1, keepdims=True), axis=-1
    ),
    "assign": assigned,
    "dynamic": dynamic,
    "masked": lambda choose, x, y: x * (fg.numpy.arange(x.shape[-1]) % 3 == choose(0, 1)),
}  # fmt: skip


# --- reductions and rows ---


def reduced(choose: Choices, x: Any) -> Any:
    function = choose(np.sum, np.max, np.min, np.mean, np.prod, np.any, np.all, np.var)
    x = x if function in (np.any, np.all, np.sum, np.prod) else as_kind(x, "fiu")
    return function(x, axis=some_axes(choose, x), keepdims=choose(False, True))


def positioned(choose: Choices, x: Any) -> Any:
    axis = choose(None, an_axis(choose, x))
    return choose(np.argmax, np.argmin)(as_kind(x, "fiub"), axis=axis, keepdims=choose(False, True))


def layer_norm(choose: Choices, x: Any) -> Any:
    x = as_kind(x, "f")
    centred = x - np.mean(x, axis=-1, keepdims=True)
    scale = np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 1e-3)
    return choose(centred / scale, centred * (1 / scale) * 2.0 + 0.5)


REDUCTIONS = {
    "reduce": reduced,
    "argmax": positioned,
    "running": lambda choose, x: choose(np.cumsum, np.cumprod, lax.cummax, lax.cummin)(
        as_kind(x, "fi"), axis=an_axis(choose, x)
    ),
    "norm": lambda choose, x: np.linalg.norm(as_kind(x, "f"), axis=choose(-1, None)),
    "columns": lambda choose, x: np.sum(x, axis=0),
    "centred": lambda choose, x: x - np.mean(as_kind(x, "f"), axis=some_axes(choose, x), keepdims=True),
    "softmax": lambda choose, x: choose(nn.softmax, nn.log_softmax)(as_kind(x, "f"), axis=choose(-1, 0)),
    "logsumexp": lambda choose, x: nn.logsumexp(
        as_kind(x, "f"), axis=some_axes(choose, x), keepdims=choose(False, True)
    ),
    "layer norm": layer_norm,
}  # fmt: skip


# --- products and windows ---


def product(choose: Choices, x: Any, y: Any) -> Any:
    x = limited(as_rank(as_kind(x, "fic"), choose(2, 1), choose(2, 3)), 20_000)
    columns = choose(3, 1, 17, 64)
    y = as_kind(y, "fic")
    return choose(
        lambda: x @ as_shape(y, (x.shape[-1], columns)),
        lambda: x @ as_shape(y, (columns, x.shape[-1])).T,
        lambda: as_shape(y, (columns, x.shape[0])) @ x,
        lambda: np.einsum("...i,...j->...ij", x, as_shape(y, (columns,))),
        lambda: np.einsum("...i,...i->...", x, as_shape(y, x.shape)),
        lambda: np.tensordot(x, as_shape(y, x.shape), x.ndim) * x,
        lambda: as_rank(x, 3, 3) @ as_shape(y, (as_rank(x, 3, 3).shape[0], x.shape[-1], columns)),
        lambda: np.swapaxes(as_rank(x, 2, 3), -1, -2) @ as_rank(x, 2, 3),
        lambda: x @ as_shape(y, (x.shape[-1],)),
    )()


def convolved(choose: Choices, x: Any, y: Any) -> Any:
    """A convolution, or the largest or mean element of each window."""
    channels, side = choose(2, 1, 4, 16), choose(7, 12, 5)
    images = as_shape(as_kind(x, "f"), (2, channels, side, side))
    if choose(True, False):
        size = choose((2, 2), (3, 3), (3, 2))
        combine, start = choose((lax.max, -np.inf), (lax.add, 0.0))
        return lax.reduce_window(
            images, start, combine, (1, 1, *size), (1, 1, *choose(size, (1, 1), (2, 1))), choose("VALID", "SAME")
        )  # fmt: skip
    groups = choose(1, channels)
    weights = as_shape(
        as_kind(y, "f"),
        (choose(groups, 4 * groups), channels // groups, *choose((3, 3), (1, 1), (5, 2))),
    )
    return lax.conv_general_dilated(
        images,
        weights,
        choose((1, 1), (2, 1)),
        choose("SAME", "VALID", ((1, 2), (0, 1))),
        lhs_dilation=choose((1, 1), (2, 2)),
        rhs_dilation=choose((1, 1), (1, 2)),
        feature_group_count=groups,
    )


def noisy(choose: Choices, x: Any) -> Any:
    key = fg.random.fold_in(
        fg.random.key(choose(0, 1)), convert(np.ravel(x)[0], np.int32) if x.size else 0
    )
    dtype = x.dtype if kind(x) == "f" else np.float32
    draw = choose(
        fg.random.uniform, fg.random.normal, lambda k, s, d: fg.random.bernoulli(k, 0.3, s)
    )
    return choose(np.multiply, np.add)(x, draw(key, x.shape, dtype))  # fmt: skip


UNARY = EXACT | MATH | MOVES | REDUCTIONS | {"noise": noisy}
TWO = (
    {name: pairwise(name) for name in BINARY}
    | JOINS
    | INDEXING
    | {"product": product, "windows": convolved}
)
THREE = {"scatter": updated}


# --- control flow ---


def inner(body: Sequence[Step], values: Sequence[Any], limit: int) -> Any:
    """The last value of a body, in the type of the first operand, not much larger than it."""
    found, like = run_steps(body, list(values), limit)[-1], values[0]
    found = convert(as_shape(found, like.shape), like.dtype)
    return found if kind(like) != "f" else np.clip(found, -100, 100)


def scanned(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    xs = (y if y.ndim else y[None])[: choose(5, 3, 1, 17)]
    if choose(True, False):
        x = np.ravel(x)[:1].sum(dtype=x.dtype) if choose(False, True) else limited(x, 256)

    def body(carry, element):
        found = inner(step.body, [carry, element, z], limit)
        return found, choose_of(step.number, found, carry, np.sum(found), (found, carry))

    carry, ys = lax.scan(body, x, xs, reverse=choose(False, True))
    return choose(carry, fg.tree.leaves(ys)[0])


def choose_of(number: int, *options: Any) -> Any:
    return options[number % len(options)]


def looped(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    if choose(True, False):
        return lax.fori_loop(
            0, choose(3, 7, 0), lambda i, c: inner(step.body, [c, i + 0 * i, y], limit), x
        )
    bound = choose(2.0, 10.0)
    going = lambda state: (state[0] < 5) & ~(np.sum(as_kind(state[1], "fiu")) > bound)
    advance = lambda state: (state[0] + 1, inner(step.body, [state[1], y, z], limit))
    return lax.while_loop(going, advance, (0, x))[1]


def branched(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    condition = np.sum(as_kind(y, "fiu")) > 1
    taken = lambda x, z: inner(step.body, [x, z], limit)
    if choose(True, False):
        return lax.cond(condition, taken, lambda x, z: x, x, z)
    return lax.switch(condition * choose(1, 2), [lambda x, z: x, taken, lambda x, z: x + x], x, z)


def transformed(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    """A body that is differentiated or mapped inside."""
    run = lambda x: inner(step.body, [x, y, z], limit)
    mapped = lambda: fg.vmap(lambda x, z: inner(step.body, [x, y, z], limit), in_axes=(0, None))(
        x, z
    )
    total = lambda x: np.sum(run(x))
    return choose(
        lambda: fg.jit(run)(x),
        mapped,
        lambda: fg.grad(total)(as_kind(x, "f")),
        lambda: fg.jvp(run, (as_kind(x, "f"),), (as_kind(x, "f"),))[1],
        lambda: fg.checkpoint(run)(x),
        lambda: lax.map(run, x[:5]),
    )()


CONTROL = {"scan": scanned, "loop": looped, "branch": branched, "transform": transformed}


# --- running ---

REFUSALS = (
    TypeError, ValueError, IndexError, NotImplementedError, OverflowError, AttributeError, fg.UnexpectedTracerError,
)  # fmt: skip


def run_steps(steps: Sequence[Step], values: list[Any], limit: int) -> list[Any]:
    """The values, and those of the steps that NumPy accepts."""
    for step in steps:
        operands = [values[-1 - i % len(values)] for i in step.operands]
        try:
            values.append(limited(apply(step, operands, limit), limit))
        except (
            TypeError,
            ValueError,
            IndexError,
            NotImplementedError,
            OverflowError,
            AttributeError,
            fg.UnexpectedTracerError,
        ):
            continue
    return values


def apply(step: Step, operands: list[Any], limit: int) -> Any:
    choose = Choices(step.number)
    if step.name in CONTROL:
        return CONTROL[step.name](step, choose, *operands, min(limit, SMALL))
    if step.name in UNARY:
        return UNARY[step.name](choose, operands[0])
    if step.name in TWO:
        return TWO[step.name](choose, *operands[:2])
    return THREE[step.name](choose, *operands)


# --- transformations of whole programs ---


def floating(dtypes: Sequence[str]) -> tuple[int, ...]:
    return tuple(i for i, dtype in enumerate(dtypes) if "float" in dtype)


def weighted(run: Callable) -> Callable:
    """One number that depends on all elements of the results, on each in its own way."""

    def total(*args):
        found = 0.0
        for out in run(*args):
            if kind(out) in "fc":
                weights = np.cos(fg.numpy.arange(out.size)).reshape(out.shape)
                found = found + np.sum(np.real(out) * weights.astype(np.real(out).dtype))
        return found

    return total


def differentiated(run: Callable, dtypes: Sequence[str]) -> Callable:
    return fg.value_and_grad(weighted(run), argnums=floating(dtypes)) if floating(dtypes) else run


def pushed(run: Callable, dtypes: Sequence[str]) -> Callable:
    moving = floating(dtypes)

    def along(*args):
        def varied(*moved):
            changed = list(args)
            for i, x in zip(moving, moved, strict=True):
                changed[i] = x
            return run(*changed)

        moved = tuple(args[i] for i in moving)
        return fg.jvp(varied, moved, tuple(x * 0.5 for x in moved))

    return along if moving else run


def mapped(run: Callable, dtypes: Sequence[str]) -> Callable:
    def batched(*args):
        first = fg.numpy.stack([args[0], args[0][..., ::-1] if args[0].ndim else args[0]], axis=-1)
        axes = (-1, *(None for _ in args[1:]))
        return fg.vmap(run, in_axes=axes)(first, *args[1:])

    return batched


TRANSFORMS: dict[str, Callable[[Callable, Sequence[str]], Callable]] = {
    "none": lambda run, dtypes: run,
    "grad": differentiated,
    "vmap": mapped,
    "jvp": pushed,
    "vmap of grad": lambda run, dtypes: mapped(differentiated(run, dtypes), dtypes),
    "grad of vmap": lambda run, dtypes: differentiated(lambda *a: mapped(run, dtypes)(*a), dtypes),
    "jvp of grad": lambda run, dtypes: pushed(
        lambda *a: fg.tree.leaves(differentiated(run, dtypes)(*a)), dtypes
    ),
}


# --- strategies ---


def fitting(lengths: Sequence[int], limit: int) -> tuple[int, ...]:
    """These lengths, as long as the product stays below the limit."""
    shape, size = [], 1
    for n in lengths:
        n = n if size * n <= limit else 1
        shape.append(n)
        size *= n
    return tuple(shape)


def input_strategy(limit: int):
    weighted_dtypes = [name for name, weight in DTYPES.items() for _ in range(weight)]
    shapes = st.lists(st.sampled_from(LENGTHS), max_size=4) | st.sampled_from(SHAPES)
    shapes = shapes.map(lambda lengths: fitting(lengths, limit))
    layouts = st.sampled_from(("plain",) * 4 + LAYOUTS)
    return st.builds(
        Input, st.sampled_from(weighted_dtypes), shapes, st.sampled_from(FILLINGS), layouts
    )


numbers = st.integers(0, 5) | st.integers(0, 2**40)
operands = st.tuples(*[st.integers(0, 3) | st.integers(0, 40)] * 3)
FIRST_ORDER = (*EXACT, *EXACT, *MATH, *BINARY, *BINARY, *MOVES, *JOINS, *INDEXING, *REDUCTIONS, *REDUCTIONS,
               "noise", "product", "product", "windows", "scatter", "scatter")  # fmt: skip
plain_steps = st.builds(Step, st.sampled_from(FIRST_ORDER), operands, numbers)


def control_steps(bodies):
    return st.builds(Step, st.sampled_from(sorted(CONTROL)), operands, numbers, bodies)


simple_bodies = st.lists(plain_steps, min_size=1, max_size=6).map(tuple)
bodies = st.lists(plain_steps | control_steps(simple_bodies), min_size=1, max_size=6).map(tuple)
steps = st.one_of(plain_steps, plain_steps, plain_steps, control_steps(bodies))


def program_strategy(limit: int = SMALL, most: int = 12):
    return st.builds(
        RandomProgram,
        st.lists(input_strategy(limit), min_size=1, max_size=3).map(tuple),
        st.lists(steps, min_size=1, max_size=most).map(tuple),
        st.integers(1, 4),
        st.sampled_from(("none", "none", *TRANSFORMS)),
        st.just(limit),
    )


programs = program_strategy()
large_programs = program_strategy(LARGE, 8)
long_programs = program_strategy(SMALL, 40)
