"""Fewer launches on the emulated device: epilogues of products, maps side by side, small units in one block."""

import collections

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
from funcgrad import nn  # noqa: E402
from funcgrad.compiler.cuda.launches import Launch, Product  # noqa: E402
from funcgrad.compiler.cuda.steps import side_by_side  # noqa: E402
from tests.compiler.cuda.step_rows import check, epilogues, items_of, numbers, row  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


X, W, B = numbers((64, 48)), numbers((48, 72), seed=1, scale=0.2), numbers(72, seed=2)
WIDE = numbers((64, 72), seed=3)


@pytest.mark.parametrize(
    ("f", "epilogue", "launches"),
    [
        (lambda x, w, b, c: x @ w + b, "bias", 1),
        (lambda x, w, b, c: b + x @ w, "bias", 1),
        (lambda x, w, b, c: nn.relu(x @ w), "relu", 1),
        (lambda x, w, b, c: np.maximum(x @ w + b, 0), "relu_bias", 1),
        (lambda x, w, b, c: nn.relu(x @ w + b.reshape(1, -1)), "relu_bias", 1),
        (lambda x, w, b, c: c - np.float32(0.1) * (x @ w), "default", 1),
        (lambda x, w, b, c: c + (x @ w + b), "bias", 1),
        (lambda x, w, b, c: nn.relu(2 * c - x @ w), "relu", 1),
        (lambda x, w, b, c: x @ w - b, "default", 2),
        (lambda x, w, b, c: np.tanh(x @ w + b), "default", 2),
        (lambda x, w, b, c: x @ w + np.sin(c), "default", 2),
        (lambda x, w, b, c: x @ w * c, "default", 2),
    ],
)
def test_what_a_product_does_before_it_is_written(f, epilogue, launches):
    items = items_of(f, X, W, B, WIDE)
    assert (epilogues(f, X, W, B, WIDE), len(items)) == ([epilogue], launches)
    check([row("values", f, X, W, B, WIDE)])


def test_a_column_of_numbers_is_no_bias():
    square = numbers((64, 64)), numbers((64, 64), seed=1), numbers((64, 1), seed=2)
    assert epilogues(lambda x, w, b: x @ w + b, *square) == ["default"]
    check([row("values", lambda x, w, b: x @ w + b, *square)])


def test_what_the_library_lacks_is_left_to_kernels():
    f = lambda x, w, b: nn.relu(x @ w + b)
    wide = [x.astype(np.float64) for x in (X, W, B)]
    assert epilogues(f, *wide) == ["default"]
    check([row("values", f, *wide)])


def test_a_product_that_is_used_again_stays_as_it_is():
    def f(x, w, b):
        product = x @ w
        return nn.relu(product + b), np.sin(product)

    assert epilogues(f, X, W, B) == ["default"]


# --- a training step ---

SIZES = (60, 90, 84, 30)


def parameters():
    found = []
    for n, (rows, columns) in enumerate(zip(SIZES, SIZES[1:], strict=False)):
        found += [numbers((rows, columns), seed=n, scale=0.1), numbers(columns, seed=n)]
    return found


def loss(params, x, y):
    for w, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = nn.relu(x @ w + b)
    return np.mean((x @ params[-2] + params[-1] - y) ** 2)


def descend(params, x, y):
    gradient = fg.grad(loss)(params, x, y)
    return [w - np.float32(0.1) * d for w, d in zip(params, gradient, strict=True)]


def adam(params, means, squares, x, y):
    gradient = fg.grad(loss)(params, x, y)
    rate, first, second = np.float32(1e-3), np.float32(0.9), np.float32(0.99)
    means = [first * m + (1 - first) * d for m, d in zip(means, gradient, strict=True)]
    squares = [second * s + (1 - second) * d * d for s, d in zip(squares, gradient, strict=True)]
    moved = zip(params, means, squares, strict=True)
    return [w - rate * m / (np.sqrt(s) + rate) for w, m, s in moved], means, squares


BATCH = numbers((80, SIZES[0]), seed=8), numbers((80, SIZES[-1]), seed=9)


def test_a_step_of_gradient_descent():
    params = parameters()
    f = lambda *args: descend(list(args[:6]), *args[6:])
    items = items_of(f, *params, *BATCH, donated=range(6))
    found = collections.Counter(item.plan.epilogue for item in items if isinstance(item, Product))
    assert found == {"relu_bias": 2, "drelu_bgrad": 2, "default": 4}
    assert sum(item.plan.beta == 1 for item in items if isinstance(item, Product)) == 3
    assert len(items) <= 12
    check([row("descent", f, *params, *BATCH)])


def test_a_step_of_adam():
    params, zeros = parameters(), [abs(x) for x in parameters()]
    f = lambda *args: adam(list(args[:6]), list(args[6:12]), list(args[12:18]), *args[18:])
    args = [*params, *params, *zeros, *BATCH]
    items = items_of(f, *args, donated=range(18))
    joined = [i for i in items if isinstance(i, Launch) and "side_by_side" in i.source.name]
    assert len(joined) == 1
    assert len(items) <= 12
    check([row("adam", f, *args, tolerance=2e4)])


def test_donated_parameters_stay_where_they_are():
    f = fg.jit(descend, donate_argnums=0)
    with emulated():
        params = [put(x) for x in parameters()]
        places = [x.data.ptr for x in params]
        expected = parameters()
        for _ in range(3):
            params = f(params, *map(put, BATCH))
            expected = descend(expected, *BATCH)
            assert [x.data.ptr for x in params] == places
        for x, want in zip(params, expected, strict=True):
            np.testing.assert_allclose(host(x), want, rtol=1e-3, atol=1e-4)


# --- maps side by side ---


def test_independent_maps_are_one_launch():
    args = [numbers(shape, seed=n) for n, shape in enumerate([(100, 64), 4096, 3001, (70, 50)])]
    f = lambda *xs: [np.tanh(x) * 2 + 1 for x in xs]
    assert len(items_of(f, *args)) == 1
    check([row("maps", f, *args)], 1)


def test_maps_that_need_each_other_are_not(monkeypatch):
    """In an order in which memory is used again, too."""
    x, y = numbers((64, 64)), numbers((60, 64), seed=1)

    def f(x, y):
        turned = np.tanh(x).T + 1
        return turned + np.sin(x), np.exp(y), np.tanh(turned.T * 2).sum(0) * x

    assert len(items_of(f, x, y)) > 1
    check([row("maps", f, x, y)], 1)


def test_many_maps_are_several_launches(monkeypatch):
    monkeypatch.setattr(side_by_side, "MOST_POINTERS", 10)
    args = [numbers((50 + n, 64), seed=n) for n in range(8)]
    f = lambda *xs: [x * 2 + 1 for x in xs]
    assert len(items_of(f, *args)) == 2
    check([row("maps", f, *args)])


# --- small units ---


def test_small_units_are_one_launch():
    params = [numbers((6, 9)), numbers(9), numbers((9, 4)), numbers(4)]

    def f(w1, b1, w2, b2, x):
        def loss(w1, b1, w2, b2):
            return nn.log_softmax(np.tanh(x @ w1 + b1) @ w2 + b2)[:, 0].mean()

        out, pull = fg.vjp(loss, w1, b1, w2, b2)
        return out, pull(out)

    args = [*params, numbers((5, 6), seed=3)]
    assert len(items_of(f, *args)) == 1
    check([row("tiny network", f, *args, tolerance=2e4)], 2)


def test_a_joined_array_that_two_launches_write():
    def f(x):
        ordered = np.sort(x * np.max(x[:5]))  # a call of the library, between the launches
        joined = np.concatenate([np.max(np.exp(x), keepdims=True), ordered[1:] + 1])
        return np.flip(joined) * joined, ordered

    check([row("joined", f, numbers(64))])


def test_small_maps_that_need_each_other_are_not_beside_a_large_one():
    def f(x, y):
        joined = np.stack([x, x[::-1]], axis=-1).T
        return joined, y + 1, np.rint(joined.real)

    check([row("chain", f, numbers(64, np.complex128), numbers((64, 200)))])


# --- operands that several products read ---


def attention(x, w):
    """Heads that lie one after the other in neither of their products."""
    batch, length, _ = x.shape
    q, k, v = np.split(x @ w, 3, axis=-1)
    heads = lambda y: y.reshape(batch, length, 5, -1).transpose(0, 2, 1, 3)
    scores = nn.softmax(heads(q) @ heads(k).transpose(0, 1, 3, 2))
    return (scores @ heads(v)).transpose(0, 2, 1, 3).reshape(batch, length, -1)


def attention_gradient(x, w, seed):
    _, pull = fg.vjp(attention, x, w)
    return pull(seed)


def test_heads_are_gathered_once_for_all_products():
    x, w, seed = numbers((4, 40, 30)), numbers((30, 150), scale=0.2), numbers((4, 40, 50))
    items = items_of(attention, x, w)
    products = [item.plan for item in items if isinstance(item, Product)]
    assert [plan.batch for plan in products] == [1, 20, 20]
    assert len(items) <= 6  # beside products: heads, scores, heads side by side again
    check([row("attention", attention, x, w), row("gradient", attention_gradient, x, w, seed)], 1)
    launches = items_of(attention_gradient, x, w, seed)
    copies = [
        i for i in launches if isinstance(i, Launch) and i.source.name.startswith(("copy", "turn"))
    ]
    assert not copies
