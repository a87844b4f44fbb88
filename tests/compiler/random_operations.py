"""The operations of random programs: each takes its decisions and the values that it needs, of any dtype and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax, nn
from tests.compiler.random_arrays import (
    DTYPES,
    Choices,
    an_axis,
    as_kind,
    as_rank,
    as_shape,
    convert,
    kind,
    limited,
    paired,
    some_axes,
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


def running(choose: Choices, x: Any) -> Any:
    function, axis = choose(np.cumsum, np.cumprod, lax.cummax, lax.cummin), an_axis(choose, x)
    x = as_kind(x, "fi")
    if function is np.cumprod and kind(x) == "f":
        # Whether a product overflows before it meets a zero depends on the order, which is not NumPy's on a GPU.
        x = np.clip(x, -1, 1)
    return function(x, axis=axis)


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
    "running": running,
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
