"""Kernels fused with products: they compute the same on each part of a product as on the whole."""

import itertools

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import numpy as fnp
from funcgrad.compiler.llvm.steps.dots import panels_of
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.native import compile_native, pointers
from funcgrad.compiler.stages import run_stages
from funcgrad.config import config
from funcgrad.ir.program import evaluate
from funcgrad.ir.quiet import quiet
from tests.compiler.programs import bits, recorded

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
RNG = np.random.default_rng(0)
RATE = np.float32(0.1)


def normal(*shape, dtype="float32"):
    return RNG.normal(size=shape).astype(dtype)


def fused_units(program, donated=()):
    """The products of a program that have a kernel on each part."""
    return [unit for unit in run_stages(program, donated)["plan"].units if isinstance(unit, Fused)]


def check(f, *args, count: int | None = 1, rtol=1e-4, donated=()):
    """Compare with the interpreter, with outputs in the memory of donated inputs and elsewhere, for all numbers of
    threads; so many products are fused. Returns these units."""
    program = recorded(f, *args)
    units = fused_units(program, donated)
    assert count is None or len(units) == count
    compiled = compile_native(program, donated)
    assert compiled is not None
    with quiet():
        expected = evaluate(program, *args)
    found = [
        results(compiled, args, pairs, threads)
        for pairs, threads in itertools.product(((), compiled.in_place), (1, 2, 3))
    ]
    for got, want in zip(found[0], expected, strict=True):
        assert got.dtype == want.dtype
        wide = (np.asarray(a, "float64") for a in (got, want))
        np.testing.assert_allclose(*wide, rtol=rtol, atol=rtol * max(1, abs(want).max(initial=0)))
    assert all([bits(x) for x in one] == [bits(x) for x in found[0]] for one in found)
    return units


def results(compiled, args, pairs, threads):
    """The results of a call; inputs that no output replaces are as before."""
    inputs = [np.array(x) for x in args]
    outputs = [np.full(t.shape, 99, t.dtype) for t in compiled.output_types]
    for output, number in pairs:
        outputs[output] = inputs[number]
    with config.override(num_threads=threads):
        assert compiled.run(pointers(inputs), pointers(outputs)) == 0
    for number, (given_up, x) in enumerate(zip(inputs, args, strict=True)):
        if number not in {taken for _, taken in pairs}:
            assert bits(given_up) == bits(x)
    return outputs


def in_place(f, *args, donated):
    compiled = compile_native(recorded(f, *args), donated)
    assert compiled is not None
    return compiled.in_place


def dense(x, w, b):
    return np.maximum(x @ w + b, 0)


SIZES = [(1, 1000, 1003), (7, 1003, 300), (17, 1000, 100), (1000, 17, 1003), (1003, 1000, 3)]
SIZES += [(1003, 100, 7), (131, 129, 127), (64, 1000, 100), (3, 7, 17), (0, 5, 7), (5, 0, 7)]


@pytest.mark.parametrize("m, k, n", SIZES)
@pytest.mark.parametrize("turned", ["", "x", "w", "xw"])
def test_sizes_and_transposes(m, k, n, turned):
    x = normal(k, m) if "x" in turned else normal(m, k)
    w = normal(n, k) if "w" in turned else normal(k, n)

    def f(x, w, b, r):
        x = x.T if "x" in turned else x
        w = w.T if "w" in turned else w
        return dense(x, w, b) + r

    check(f, x, w, normal(n), normal(m, n), count=None)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "float16", "complex64", "bool"])
def test_dtypes(dtype):
    x, w = (normal(200, 100) * 3).astype(dtype), (normal(100, 150) * 3).astype(dtype)
    rtol = {"float16": 2e-2, "complex64": 1e-4}.get(dtype, 1e-10)
    f = lambda x, w: (x @ w) * w[0]
    if dtype == "complex64":
        f = lambda x, w: np.real((x @ w) * w[0])
    check(f, x, w, count=None, rtol=rtol)


class TestWhatIsFused:
    def test_bias_activation_and_residual(self):
        x, w = normal(200, 300), normal(300, 130)
        (unit,) = check(lambda x, w, b, r: dense(x, w, b) + r, x, w, normal(130), normal(200, 130))
        assert unit.is_local and not unit.division.by_columns

    def test_update_in_place(self):
        x, dy, w, m = normal(64, 1000), normal(64, 100), normal(1000, 100), normal(1000, 100)

        def momentum(w, m, x, dy):
            m = np.float32(0.9) * m + x.T @ dy
            return w - RATE * m, m

        (unit,) = check(momentum, w, m, x, dy, donated=(0, 1))
        assert unit.is_local
        assert in_place(momentum, w, m, x, dy, donated=(0, 1)) == ((0, 0), (1, 1))

    def test_no_update_of_what_the_product_reads(self):
        w, x = normal(300, 300), normal(300, 300)
        f = lambda w, x: w - RATE * (x @ w)
        check(f, w, x, donated=(0,))
        assert in_place(f, w, x, donated=(0,)) == ()

    def test_sum_of_columns(self):
        """With parts made of columns each sums its own, with others the parts are summed up in order."""
        x, w = normal(128, 512), normal(512, 512)
        mask = normal(128, 512)

        def f(x, w, mask):
            g = np.where(mask > 0, x @ w.T, np.float32(0))
            return g, fnp.sum(g, axis=0)

        check(f, x, w, mask)
        check(lambda x, w: fnp.sum(np.tanh(x @ w), axis=0), normal(1000, 100), normal(100, 60))

    def test_softmax_of_a_batch(self):
        q, k = normal(3, 8, 128, 32), normal(3, 8, 128, 32)

        def f(q, k):
            s = q @ fnp.swapaxes(k, -1, -2)
            e = np.exp(s - fnp.max(s, axis=-1, keepdims=True))
            return e / fnp.sum(e, axis=-1, keepdims=True)

        (unit,) = check(f, q, k)
        assert unit.size % 128 == 0

    def test_layer_norm(self):
        def f(x, w, g):
            y = x @ w + x
            mean = fnp.mean(y, axis=-1, keepdims=True)
            return g * (y - mean) / np.sqrt(fnp.mean((y - mean) ** 2, axis=-1, keepdims=True) + 1)

        check(f, normal(300, 200), normal(200, 200), normal(200))

    def test_operands_in_panels(self):
        """Parts that are rows read what all threads have copied before."""
        f = lambda x, w: np.tanh(x.T @ w)
        x, w = normal(150, 713), normal(150, 512)
        check(f, x, w)
        plan = run_stages(recorded(f, x, w))["plan"]
        (unit,) = (unit for unit in plan.units if isinstance(unit, Fused))
        assert panels_of(unit, plan.in_memory) == (True, True)

    def test_gates(self):
        """Columns of the same rows."""

        def f(h, w, c):
            i, g, o = fnp.split(h @ w, 3, axis=1)
            c = c + np.tanh(i) * g
            return c, np.tanh(c) * o

        check(f, normal(48, 160), normal(160, 3 * 128), normal(48, 128))

    def test_transposed_result(self):
        """Heads of attention change places with positions."""
        f = lambda a, v: fnp.moveaxis(a @ v, 1, 2) + np.float32(1)
        check(f, normal(4, 8, 100, 128), normal(4, 8, 128, 32), count=None)

    def test_several_readers(self):
        x, w = normal(200, 200), normal(200, 200)

        def f(x, w):
            y = x @ w
            return np.tanh(y), y @ w, fnp.sum(y)

        check(f, x, w, count=None)
        (unit,) = check(lambda x, w: ((y := x @ w), np.maximum(y, 0)), x, w)
        assert not unit.is_local

    def test_products_one_after_the_other(self):
        x, w = normal(150, 200), normal(200, 200)
        b = normal(200)
        check(lambda x, w, b: dense(dense(dense(x, w, b), w, b), w, b), x, w, b, count=3)

    def test_gradients(self):
        x, w, v = normal(200, 150), normal(150, 140), normal(140, 130)
        loss = lambda w, v, x: np.sum(np.tanh(np.tanh(x @ w) @ v) ** 2)
        check(lambda w, v, x: fg.grad(loss, argnums=(0, 1))(w, v, x), w, v, x, count=None)

    def test_in_a_loop(self):
        xs, w, h = normal(5, 64, 128), normal(128, 128) * RATE, normal(64, 128)

        def f(h, w, xs):
            step = lambda h, x: ((y := np.tanh(h @ w + x)), y)
            return fg.lax.scan(step, h, xs)

        check(f, h, w, xs, count=None)


class TestKernelsBefore:
    """Kernels that make the rows of the first operand part by part."""

    def test_small_kernels(self):
        f = lambda a, b, w: ((h := np.tanh(a) * b), h @ w)
        (unit,) = check(f, normal(64, 200), normal(200), normal(200, 290))
        assert unit.before is not None and unit.after is None

    def test_both(self):
        f = lambda a, w, r: (np.tanh(a) @ w + r, np.tanh(a))
        (unit,) = check(f, normal(64, 200), normal(200, 290), normal(64, 290))
        assert unit.before is not None and unit.after is not None

    def test_rows_of_a_batch(self):
        f = lambda a, w: (np.tanh(a) @ w, np.tanh(a))
        (unit,) = check(f, normal(3, 24, 200), normal(200, 290))
        assert unit.before is not None

    def test_pieces(self):
        """The parts of a concatenation lie in rows of it."""

        def f(a, b, w):
            h = np.concatenate([np.tanh(a) * b, a - b, a * b], axis=1)
            return h, h @ w

        check(f, normal(32, 128), normal(32, 128), normal(384, 128), count=None)

    def test_half_precision_sums(self):
        """They are there only when all parts have been summed up."""
        f = lambda a, w: ((s := np.sum(np.tanh(a), axis=1)), s @ w)
        check(
            f,
            normal(40, 7, 200, dtype="float16"),
            normal(200, 190, dtype="float16"),
            count=None,
            rtol=2e-2,
        )

    def test_not_the_other_operand(self):
        f = lambda a: ((h := np.tanh(a)), h @ h.T, h.T @ h)
        check(f, normal(100, 100), count=None)

    def test_not_what_the_next_kernel_reads_elsewhere(self):
        f = lambda a, w: ((h := np.tanh(a)), h @ w + h[::-1])
        (unit,) = check(f, normal(150, 150), normal(150, 150))
        assert unit.before is None

    def test_gradient_of_a_loop(self):
        xs, w, h = normal(5, 32, 128), normal(128, 128), normal(32, 128)

        def f(w, h, xs):
            step = lambda h, x: ((y := np.tanh(h @ w + x)), y)
            return np.sum(fg.lax.scan(step, h, xs)[1] ** 2)

        check(lambda w, h, xs: fg.grad(f)(w, h, xs), w, h, xs, count=None)


class TestWhatIsNot:
    def test_other_rows(self):
        x, w = normal(200, 200), normal(200, 200)
        check(lambda x, w: (x @ w)[::-1, ::-1] + x, x, w, count=0)
        check(lambda x, w: (x @ w)[::-1] + x, x, w, count=None)
        check(lambda x, w: (x @ w).T + x @ w, x, w, count=None)
        check(lambda x, w: np.concatenate([x[:1], (x @ w)[1:]]) * w, x, w, count=None)
        check(lambda x, w: fnp.roll(x @ w, 1, axis=0) * w, x, w, count=None)
        check(lambda x, w, i: (x @ w)[i] * w[:3], x, w, np.array([5, 3, 3]), count=None)

    def test_small_products(self):
        check(lambda x, w: np.tanh(x @ w), normal(10, 10), normal(10, 10), count=0)


def conv(x, w, **options):
    options.setdefault("window_strides", (1, 1))
    options.setdefault("padding", "SAME")
    return fg.lax.conv_general_dilated(x, w, **options)


class TestConvolutions:
    """They are divided by examples."""

    @pytest.mark.parametrize("examples", [2, 7, 12])
    @pytest.mark.parametrize("channels, outputs", [(1, 32), (3, 5), (16, 24)])
    @pytest.mark.parametrize("size", [1, 5])
    def test_bias_and_activation(self, examples, channels, outputs, size):
        x, w = normal(examples, channels, 30, 31), normal(outputs, channels, size, size)
        f = lambda x, w, b: np.maximum(conv(x, w) + b[:, None, None], 0)
        check(f, x, w, normal(outputs), count=None)

    @pytest.mark.parametrize("options", [
        {"window_strides": (2, 3)},
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (2, 1), "padding": ((2, 2), (2, 1))},
        {"padding": "VALID"},
        {"feature_group_count": 4},
    ])  # fmt: skip
    def test_options(self, options):
        x = normal(8, 4, 80, 80)
        w = normal(8, 4 // options.get("feature_group_count", 1), 5, 5)
        (unit,) = check(lambda x, w: np.tanh(conv(x, w, **options)), x, w)
        assert unit.is_local and unit.division.count == 8

    def test_gradients(self):
        x, w, v = normal(8, 3, 20, 20), normal(8, 3, 5, 5), normal(6, 8, 5, 5)
        f = lambda w, v, x: np.sum(np.tanh(conv(np.tanh(conv(x, w)), v)) ** 2)
        check(lambda w, v, x: fg.grad(f, argnums=(0, 1, 2))(w, v, x), w, v, x, count=None)

    def test_winograd_is_done_as_a_whole(self):
        x, w = normal(8, 32, 20, 20), normal(32, 32, 3, 3)
        check(lambda x, w: np.tanh(conv(x, w)), x, w, count=0)


def test_inspect_names_both():
    x, w = normal(200, 300), normal(300, 130)
    text = fg.debug.inspect(lambda x, w: np.tanh(x @ w), x, w).text("kernels")
    assert text.startswith("product n") and "each with kernel (200, 130)" in text


def test_warnings_of_the_kernel():
    x, w = normal(200, 300), normal(300, 130)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        fg.jit(lambda x, w: np.log(x @ w))(x, w)
