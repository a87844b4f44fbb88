"""Attention on the emulated device: by a stand-in for cuDNN, and by products and softmax where that has nothing."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
from funcgrad import nn  # noqa: E402
from funcgrad.compiler.cuda import stages  # noqa: E402
from funcgrad.compiler.cuda.launches import Launch, Product  # noqa: E402
from funcgrad.compiler.cuda.steps.attention_plan import AttentionPlan  # noqa: E402
from funcgrad.compiler.cuda.steps.cublaslt import Library  # noqa: E402
from funcgrad.compiler.cuda.steps.cudnn import Graphs  # noqa: E402
from funcgrad.ir.builder import trace_flat  # noqa: E402
from funcgrad.ir.tracer import type_of  # noqa: E402
from tests.compiler.cuda.step_rows import BFLOAT16, HALVES, check, numbers, row  # noqa: E402
from tests.gpu.emulator import fake_cudnn, fake_lt  # noqa: E402
from tests.gpu.emulator.device import EmulatedDevice, emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

BIAS = numbers((1, 4, 12, 16), seed=9)
BY_LIBRARY = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (3, 1)},
    "causal window": {"is_causal": True, "local_window_size": 2},
    "scale": {"scale": 0.7},
    "bias": {"bias": BIAS},
    "bias of keys": {"bias": BIAS[:, :, :1]},
    "mask": {"mask": numbers((2, 1, 12, 16), bool), "is_causal": True},
    "mask of a head": {"mask": numbers((4, 1, 16), bool), "local_window_size": 2},
    "mask and bias": {"mask": numbers((16,), bool), "bias": BIAS},
    "lengths": {"query_seq_lengths": np.array([12, 5]), "key_value_seq_lengths": np.array([0, 9])},
    "lengths of queries": {"query_seq_lengths": np.array([3, 0])},
}


@pytest.fixture
def with_cudnn(monkeypatch):
    library = Library(fake_lt, Graphs(fake_cudnn))
    monkeypatch.setattr(EmulatedDevice, "products", library)
    fake_cudnn.ran.clear()
    return library


def arrays(dtype, rows=12, size=8):
    return (
        numbers((2, rows, 4, size), dtype),
        numbers((2, 16, 2, size), dtype, 1),
        numbers((2, 16, 2, 24), dtype, 2),
    )


def both(options):
    """Attention and its gradients for itself as the cotangent; the arrays among the options are arguments."""
    names = [name for name, x in options.items() if isinstance(x, np.ndarray)]

    def run(q, k, v, *extras):
        given = {**options, **dict(zip(names, extras, strict=True))}
        out, pull = fg.vjp(lambda *xs: nn.dot_product_attention(*xs, **given), q, k, v)
        return (out, *pull(out))

    return run


def extras_of(options, dtype):
    """The arrays among the options; biases in this dtype."""
    found = [x for x in options.values() if isinstance(x, np.ndarray)]
    return [x.astype(dtype) if x.dtype == np.float32 else x for x in found]


def assert_close(found, wanted, tolerance):
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == want.dtype
        got, want = (np.asarray(x, np.float64) for x in (got, want))
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * abs(want).max())


# --- by the library ---


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", BY_LIBRARY)
def test_results_and_gradients_by_the_library(name, dtype, with_cudnn):
    f = both(BY_LIBRARY[name])
    given = [*arrays(dtype), *extras_of(BY_LIBRARY[name], dtype)]
    wanted = f(*[x.astype(np.float32) if x.dtype == dtype else x for x in given])
    with emulated():
        jitted = fg.jit(f)
        for _ in range(3):  # the last one is a graph that is replayed
            found = [host(out) for out in jitted(*map(put, given))]
    assert_close(found, [x.astype(dtype) for x in wanted], 3e-2 if dtype == BFLOAT16 else 4e-3)
    assert [kind for kind, _ in fake_cudnn.ran[:2]] == ["sdpa", "sdpa_backward"]


def test_logarithms_only_for_gradients(with_cudnn):
    given = arrays(BFLOAT16)
    with emulated():
        fg.jit(nn.dot_product_attention)(*map(put, given))
    assert fake_cudnn.ran == [("sdpa", ("k", "o", "q", "v"))]


def test_one_gradient_and_derivatives_of_batches(with_cudnn):
    """What is not wanted has memory too; examples of vmap are examples of one operation; layers in a loop."""
    q, k, v = arrays(np.float16)
    loss = lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=True).sum()
    one = fg.grad(loss, 1)
    each = fg.vmap(lambda q, k, v: fg.grad(loss, (0, 2))(q[None], k[None], v[None]))

    def deep(q, k, v):
        layer = fg.checkpoint(lambda x: x + nn.dot_product_attention(x, k[..., :8], k[..., :8]))
        return fg.lax.scan(lambda x, _: (layer(x), None), q, None, length=2)[0].sum()

    for f in (one, each, fg.grad(deep, (0, 1))):
        wanted = f(*[x.astype(np.float32) for x in (q, k, v)])
        fake_cudnn.ran.clear()
        with emulated():
            found = fg.tree.map(host, fg.jit(f)(put(q), put(k), put(v)))
        pairs = zip(fg.tree.leaves(found), fg.tree.leaves(wanted), strict=True)
        for got, want in pairs:
            assert_close([got], [want.astype(np.float16)], 6e-3)
        assert {kind for kind, _ in fake_cudnn.ran} == {"sdpa", "sdpa_backward"}


def joined(x, w):
    """Attention of queries, keys and values from one product."""
    q, k, v = np.split((x @ w).reshape(2, 16, 8, 8), (4, 6), axis=2)
    return nn.dot_product_attention(q, k, v, is_causal=True)


def test_parts_of_an_array_are_read_where_they_lie(with_cudnn):
    x, w = numbers((2, 16, 32), np.float16), numbers((32, 64), np.float16, 1, 0.3)
    found = items(joined, x, w)
    assert [type(item) for item in found] == [Product, Product]
    assert found[1].slots["value"].offset - found[1].slots["query"].offset == 6 * 8 * 2
    assert found[1].plan.key.strides == (16 * 64, 8, 64, 1)
    f = lambda x, w: fg.vjp(joined, x, w)[1](x.reshape(2, 16, 4, 8))
    wanted = f(x.astype(np.float32), w.astype(np.float32))
    with emulated():
        found = [host(out) for out in fg.jit(f)(put(x), put(w))]
    assert_close(found, [y.astype(np.float16) for y in wanted], 1e-2)


def test_rows_that_the_library_may_not_read(with_cudnn):
    """Sizes and places that are no multiples of 16 bytes, and other orders of axes."""
    x = numbers((2, 16, 3, 4, 9), np.float16)

    def run(x, k):
        turned = [x[:, :, i, :, 1:] for i in range(2)]
        return nn.dot_product_attention(turned[0], turned[1], k.transpose(0, 3, 2, 1))

    k = numbers((2, 8, 4, 16), np.float16, 3)
    wanted = run(x.astype(np.float32), k.astype(np.float32))
    with emulated():
        found = host(fg.jit(run)(put(x), put(k)))
    assert_close([found], [wanted.astype(np.float16)], 4e-3)
    assert fake_cudnn.ran


def items(f, *args, library=None):
    program, _ = trace_flat(lambda *xs: [f(*xs)], [type_of(x) for x in args], "f")
    library = library or Library(fake_lt, Graphs(fake_cudnn))
    return stages.run_stages(program, stages.Context(products=library))["write"].items


def plans(f, *args):
    return [
        item.plan
        for item in items(f, *args)
        if isinstance(item, Product) and isinstance(item.plan, AttentionPlan)
    ]


def test_what_the_library_gets():
    """Half precision in sizes that it has; masks and lengths as biases, but not biases of another dtype."""
    run = lambda **options: lambda *xs: nn.dot_product_attention(*xs, **options)
    half = arrays(np.float16)
    for options in BY_LIBRARY.values():
        names = [name for name, x in options.items() if isinstance(x, np.ndarray)]
        extra = extras_of(options, np.float16)
        f = lambda q, k, v, *xs: run(**{**options, **dict(zip(names, xs, strict=True))})(q, k, v)
        assert len(plans(f, *half, *extra)) == 1
    assert not plans(run(), *arrays(np.float32))
    assert not plans(run(), *arrays(np.float64))
    assert not plans(run(), *arrays(np.float16, size=6))
    assert not plans(run(bias=BIAS), *half)
    # Some queries of these see no key, and those of the others do.
    late = arrays(np.float16, rows=20)
    assert not plans(run(local_window_size=2), *late)
    assert len(plans(run(is_causal=True), *late)) == 1
    bias = BIAS.astype(np.float16)
    slope = fg.grad(lambda bias, *xs: run(bias=bias)(*xs).sum())
    assert [plan.kind for plan in plans(slope, bias, *half)] == ["attention"]


def test_plan_of_a_band():
    (plan,) = plans(
        lambda *xs: nn.dot_product_attention(*xs, is_causal=True, local_window_size=(3, 5)),
        *arrays(np.float16),
    )
    assert (plan.before, plan.after, plan.has_totals) == (3, 0, False)
    assert plan.query.lengths == (2, 4, 12, 8) and plan.query.strides == (384, 8, 32, 1)
    assert plan.value.lengths == (2, 2, 16, 24) and plan.totals.lengths == (2, 4, 12, 1)


# --- by products and softmax ---


@pytest.mark.parametrize("order", [0, 1, 2])
def test_results_and_gradients_by_products(order):
    rows = []
    for dtype in (np.float32, np.float64):
        for name, options in BY_LIBRARY.items():
            given = (*arrays(dtype), *extras_of(options, dtype))
            rows.append(row(f"{name} {dtype.__name__}", both(options), *given))
    check(rows, order)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_by_products(dtype, with_cudnn):
    """A bias of another dtype, and sizes that the library has not."""
    bias = BIAS.copy()
    for f, given in (
        (both({"bias": bias, "is_causal": True}), (*arrays(dtype), bias)),
        (
            both({"query_seq_lengths": np.array([12, 5])}),
            (*arrays(dtype, size=6), np.array([3, 0])),
        ),
    ):
        wanted = f(*[x.astype(np.float32) if x.dtype == dtype else x for x in given])
        with emulated():
            found = [host(out) for out in fg.jit(f)(*map(put, given))]
        assert_close(found, [x.astype(dtype) for x in wanted], 6e-2 if dtype == BFLOAT16 else 8e-3)
    assert not fake_cudnn.ran


def test_softmax_is_one_kernel_between_two_products():
    given = [numbers((1, 128, 8, 64), seed=seed) for seed in range(3)]
    found = items(lambda *xs: nn.dot_product_attention(*xs, is_causal=True), *given)
    kinds = [type(item) for item in found]
    first, last = kinds.index(Product), len(kinds) - 1 - kinds[::-1].index(Product)
    assert kinds.count(Product) == 2 and kinds[first + 1 : last] == [Launch]


def test_second_derivatives():
    f = lambda q, k, v: nn.dot_product_attention(q, k, v, is_causal=True).sum()
    square = lambda *xs: (fg.grad(f)(*xs) ** 2).sum()
    check([row("gradient of a gradient", fg.grad(square, (0, 1, 2)), *arrays(np.float64))])
