"""What products do beside themselves on the emulated device: GELU, gradients of relu, and of biases."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
import funcgrad.numpy as fnp  # noqa: E402
from funcgrad import lax, nn  # noqa: E402
from funcgrad.compiler.cuda.launches import Launch  # noqa: E402
from tests.compiler.cuda.step_rows import (  # noqa: E402
    BFLOAT16,
    check,
    epilogues,
    items_of,
    numbers,
    row,
)
from tests.gpu.emulator import fake_lt  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

HALF = np.float16
X, W, B = numbers((64, 48)), numbers((48, 72), seed=1, scale=0.2), numbers(72, seed=2)
ROOT = float(np.sqrt(2 / np.pi))


def cast(dtype, *arrays):
    return [x.astype(dtype) for x in arrays]


# --- GELU ---


def by_hand(z):
    return z * (0.5 * (np.tanh(ROOT * z * (1 + 0.044715 * z**2)) + 1))


def expanded(z):
    return (1 + np.tanh(0.044715 * ROOT * (z * z * z) + ROOT * z)) * z * 0.5


@pytest.mark.parametrize(
    ("f", "epilogue"),
    [
        (lambda x, w, b: nn.gelu(x @ w + b), "gelu_bias"),
        (lambda x, w, b: nn.gelu(x @ w), "gelu"),
        (lambda x, w, b: nn.gelu(HALF(0.5) * (x @ w)), "gelu"),
        (lambda x, w, b: by_hand(x @ w + b), "gelu_bias"),
        (lambda x, w, b: expanded(b + x @ w), "gelu_bias"),
        (lambda x, w, b: nn.gelu(x @ w + b, approximate=False), "default"),
        (lambda x, w, b: nn.gelu(x @ w + b) * 2, "default"),
        (lambda x, w, b: by_hand(x @ w + b) + 1, "default"),
        (lambda x, w, b: nn.silu(x @ w + b), "default"),
        (lambda x, w, b: 0.5 * (x @ w) * (1 + np.tanh(x @ w)), "default"),
    ],
)
def test_gelu_however_it_is_written(f, epilogue):
    args = cast(HALF, X, W, B)
    assert epilogues(f, *args) == [epilogue]
    check([row("values", f, *args, tolerance=20)])


def test_gelu_in_bfloat16():
    f = lambda x, w, b: nn.gelu((x @ w).astype(x.dtype) + b)  # NumPy's own product is float32
    args = cast(BFLOAT16, X, W, B)
    assert epilogues(f, *args) == ["gelu_bias"]
    check([row("values", f, *args, tolerance=20)])


def test_the_tanh_of_the_library_has_too_few_digits_for_float32():
    f = lambda x, w, b: nn.gelu(x @ w + b)
    assert epilogues(f, X, W, B) == ["default"]
    with fg.default_matmul_precision("tensorfloat32"):
        assert epilogues(f, X, W, B) == ["gelu_bias"]


def test_what_the_gradient_needs_is_kept():
    f = lambda x, w, b: fg.vjp(lambda b: nn.gelu(x @ w + b), b)[1](x @ w)
    assert set(epilogues(f, *cast(HALF, X, W, B))) == {"default"}


# --- gradients ---


def network(w1, b1, w2, b2, x):
    return np.mean((nn.relu(x @ w1 + b1) @ w2 + b2) ** 2)


def gradient(*args):
    return fg.grad(network, argnums=(0, 1, 2, 3))(*args)


def arguments(*lead, dtype=np.float32):
    shapes = [(48, 72), (72,), (72, 60), (60,), (*lead, 48)]
    return [numbers(s, dtype, n, 0.2 if n < 4 else 1) for n, s in enumerate(shapes)]


@pytest.mark.parametrize("lead", [(64,), (4, 16)])
def test_gradient_of_a_relu_and_of_its_bias(lead):
    args = arguments(*lead)
    assert epilogues(gradient, *args).count("drelu_bgrad") == 1
    kernels = [i.source.name for i in items_of(gradient, *args) if isinstance(i, Launch)]
    assert sum(name.startswith("positive_bits") for name in kernels) == 1
    assert len(kernels) == 2
    check([row("gradient", gradient, *args, tolerance=2e4)], len(lead))


def rows():
    """The gradient in other dtypes; the library has nothing of this for the last."""
    return [
        row("float16", gradient, *arguments(64, dtype=HALF), tolerance=50),
        row("bfloat16", gradient, *arguments(64, dtype=BFLOAT16), tolerance=50),
        row("float64", gradient, *arguments(64, dtype=np.float64), tolerance=2e4),
    ]


def test_gradients_in_other_dtypes():
    found = [epilogues(gradient, *each.arguments).count("drelu_bgrad") for each in rows()]
    assert found == [1, 1, 0]
    check(rows())


def test_a_relu_without_bias():
    f = lambda w1, w2, x: fg.grad(lambda w: np.sum((nn.relu(x @ w) @ w2) ** 2))(w1)
    args = [W, numbers((72, 60), seed=4), X]
    assert "drelu" in epilogues(f, *args)
    check([row("gradient", f, *args, tolerance=2e4)])


SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.0], np.float32)


@pytest.mark.parametrize("columns", [72, 128, 133])
@pytest.mark.parametrize(
    "gate",
    [lambda y, p: fnp.where(y <= 0, 0, p), lambda y, p: fnp.where(y > 0, p, 0)],
    ids=["not positive", "positive"],
)
def test_the_bits_are_the_test_that_was_written(columns, gate):
    def f(y, x, w):
        passed = gate(y, x @ w)
        return passed, passed.sum(0)

    y = np.resize(SPECIAL, (64, columns))
    args = [y, X, numbers((48, columns), seed=1)]
    assert epilogues(f, *args) == ["drelu_bgrad"]
    check([row("values", f, *args)], 2)


def test_a_dead_relu_stays_dead():
    args = arguments(64)
    args[0], args[1] = np.zeros_like(args[0]), np.zeros_like(args[1])
    check([row("gradient", gradient, *args)])


def test_a_gate_that_compares_what_it_lets_through_is_a_relu():
    f = lambda x, w: fnp.where(x @ w <= 0, 0, x @ w)
    assert epilogues(f, X, W) == ["relu"]
    g = lambda x, w: (f(x, w), f(x, w).sum(0))
    assert epilogues(g, X, W) == ["default"]
    check([row("relu", f, X, W), row("with sums", g, X, W)])


@pytest.mark.parametrize("keeps_nan", [True, False])
def test_what_a_relu_makes_of_nan_is_tried(keeps_nan, monkeypatch):
    """The library is asked once what it does, and only that is left to it."""
    if not keeps_nan:
        finished = fake_lt.finished

        def dropping_nan(about, *args):
            found = finished(about, *args)
            is_relu = "RELU" in fake_lt.Epilogue(about["EPILOGUE"]).name
            return np.nan_to_num(found) if is_relu else found

        monkeypatch.setattr(fake_lt, "finished", dropping_nan)
    x = X.copy()
    x[3, 5] = np.nan
    keeping, dropping = lambda y: fnp.maximum(y, 0), lambda y: fnp.where(y > 0, y, 0)
    for relu, is_kept in ((nn.relu, True), (keeping, True), (dropping, False)):
        f = lambda x, w, b, relu=relu: relu(x @ w + b)
        with emulated() as device:
            fake_lt.calls.clear()
            found = host(fg.jit(f)(put(x), put(W), put(B)))
            (call,) = fake_lt.calls
            is_fused = fake_lt.Epilogue(call["EPILOGUE"]) == fake_lt.Epilogue.RELU_BIAS
            assert is_fused == (is_kept == keeps_nan), relu
            assert device.products.tried.keys() and np.isnan(found[3]).all() == is_kept
        np.testing.assert_allclose(found, f(x, W, B), rtol=1e-5, atol=1e-5)


def test_gates_that_are_no_epilogue():
    inner = lambda y, x, w: fnp.where(y <= 0, 0, x @ w)
    y = numbers((64, 72), seed=3)
    cases = [
        lambda y, x, w: fnp.where(y <= 1, 0, x @ w),
        lambda y, x, w: fnp.where(y <= 0, 1, x @ w),
        lambda y, x, w: inner(y, x, w).sum(1),
        lambda y, x, w: (inner(y, x, w), np.sin(inner(y, x, w))),
        lambda y, x, w: (inner(y, x, w), x @ w),
        lambda y, x, w: fnp.where(y.T <= 0, 0, (x @ w).T),
    ]
    for f in cases:
        assert epilogues(f, y, X, W) == ["default"]
    check([row(str(n), f, y, X, W) for n, f in enumerate(cases)])


def layer_gradient(f):
    def pulled(x, w, b, seed):
        _, pull = fg.vjp(f, x, w, b)
        return pull(seed)

    return pulled


@pytest.mark.parametrize(
    ("f", "w", "epilogue"),
    [
        (lambda x, w, b: x @ w + b, W, "bgrada"),
        (lambda x, w, b: x @ w.T + b, W.T.copy(), "bgradb"),
    ],
)
@pytest.mark.parametrize("lead", [(64,), (4, 16)])
def test_gradient_of_a_bias(f, w, epilogue, lead):
    x, seed = numbers((*lead, 48)), numbers((*lead, 72), seed=3)
    pulled = layer_gradient(f)
    assert sorted(epilogues(pulled, x, w, B, seed)) == sorted([epilogue, "default"])
    assert len(items_of(pulled, x, w, B, seed)) == 2
    check([row("gradient", pulled, x, w, B, seed)], len(lead))


def test_sums_that_a_product_cannot_make():
    cases = [
        lambda x, y: (x.T @ y, y.sum(1)),
        lambda x, y: (x.T @ y, np.sin(y.sum(0))[0], y.max(0)),
        lambda x, y: (x.T @ (y * y.sum(0)), y.sum(0)),
        lambda x, y: (x[:32].T @ y[:32], y.sum(0)),
    ]
    x, y = numbers((64, 48)), numbers((64, 72), seed=1)
    for f in cases:
        assert set(epilogues(f, x, y)) == {"default"}
    check([row(str(n), f, x, y) for n, f in enumerate(cases)])


def test_in_a_loop():
    """Parameters that a loop carries."""

    def f(w1, b1, w2, b2, x):
        def step(params, _):
            found = gradient(*params, x)
            return [p - np.float32(0.1) * d for p, d in zip(params, found, strict=True)], None

        params, _ = lax.scan(step, [w1, b1, w2, b2], None, length=3)
        return params

    check([row("descent", f, *arguments(128), tolerance=2e4)])
