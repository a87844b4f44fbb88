"""All orders of transformations up to depth 3 on five functions.

Each transformation turns a function of a vector into another one, and has a plain meaning: `jit` and
`checkpoint` change nothing, `vmap` is a loop, and a derivative is what central differences say.
"""

import itertools

import numpy as np
import pytest

import funcgrad as fg

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.4, 0.9, 1.3])
DIRECTION = np.array([1.0, -0.5, 2.0])
SCALES = np.array([1.0, 0.7])
W = np.array([[0.5, -0.3, 0.2], [0.1, 0.4, -0.2], [0.3, 0.3, 0.6]])


def elementwise(x):
    return np.sin(x) * np.exp(-x) + x**3


def network(x):
    hidden = np.tanh(W @ x + 0.1)
    return hidden / np.sqrt(1.0 + np.sum(hidden**2))


def scanned(x):
    return fg.lax.scan(lambda c, y: (np.sin(c) * y + x[0], c * y), x, x)[1][-1]


def branching(x):
    return fg.lax.cond(x[0] + x[1] > 0.9, lambda x: np.sin(x) * x[2], lambda x: x**2 + x[0], x)


def looping(x):
    step = lambda c: (c[0] + 1, np.cos(c[1]) * x)
    return fg.lax.while_loop(lambda c: c[0] < 3, step, (0, x))[1]


def plain_scanned(x):
    c, y = x, x
    for item in x:
        c, y = np.sin(c) * item + x[0], c * item
    return y


def plain_branching(x):
    return np.sin(x) * x[2] if x[0] + x[1] > 0.9 else x**2 + x[0]


def plain_looping(x):
    c = x
    for _ in range(3):
        c = np.cos(c) * x
    return c


# With the same function in NumPy alone, for differences.
FUNCTIONS = {
    elementwise: elementwise,
    network: network,
    scanned: plain_scanned,
    branching: plain_branching,
    looping: plain_looping,
}


def gradient(f):
    return fg.grad(lambda x: np.sum(f(x) ** 2))


def reverse_product(f):
    return lambda x: fg.vjp(f, x)[1](DIRECTION)[0]


def forward_product(f):
    return lambda x: fg.jvp(f, (x,), (DIRECTION,))[1]


def linearized(f):
    return lambda x: fg.linearize(f, x)[1](DIRECTION)


def mapped(f):
    """f at several points, summed so that the result is a vector again."""
    return lambda x: np.sum(fg.vmap(lambda s: f(s * x))(SCALES), axis=0)


def slope(f, x, direction, step=1e-3):
    """Central difference of fourth order."""
    near = f(x + step * direction) - f(x - step * direction)
    far = f(x + 2 * step * direction) - f(x - 2 * step * direction)
    return (8 * near - far) / (12 * step)


def plain_gradient(f):
    return lambda x: np.array([slope(lambda x: np.sum(f(x) ** 2), x, e) for e in np.eye(3)])


def plain_reverse_product(f):
    return lambda x: np.array([DIRECTION @ slope(f, x, e) for e in np.eye(3)])


def plain_forward_product(f):
    return lambda x: slope(f, x, DIRECTION)


def plain_mapped(f):
    return lambda x: sum(f(s * x) for s in SCALES)


TRANSFORMS = {
    "jit": (fg.jit, lambda f: f),
    "checkpoint": (fg.checkpoint, lambda f: f),
    "grad": (gradient, plain_gradient),
    "vjp": (reverse_product, plain_reverse_product),
    "jvp": (forward_product, plain_forward_product),
    "linearize": (linearized, plain_forward_product),
    "vmap": (mapped, plain_mapped),
}
STACKS = [
    stack for depth in (1, 2, 3) for stack in itertools.product(TRANSFORMS, repeat=depth)
    if len(set(stack)) > 1 or depth < 3
]  # fmt: skip
DERIVATIVES = ("grad", "vjp", "jvp", "linearize")
EXPECTED = {}


def expected(function, stack):
    """The plain meaning of a stack, outermost transformation last; shared between stacks."""
    meanings = tuple(TRANSFORMS[name][1] for name in stack if name not in ("jit", "checkpoint"))
    key = (function, meanings)
    if key not in EXPECTED:
        f = FUNCTIONS[function]
        for meaning in meanings:
            f = meaning(f)
        EXPECTED[key] = f(X)
    return EXPECTED[key]


def test_plain_functions_are_the_same():
    for function, plain in FUNCTIONS.items():
        for scale in (1.0, 0.3):
            np.testing.assert_allclose(function(scale * X), plain(scale * X))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("stack", STACKS, ids="-".join)
def test_stack(function, stack):
    f = function
    for name in stack:
        f = TRANSFORMS[name][0](f)
    order = sum(name in DERIVATIVES for name in stack)
    found = f(X)
    assert type(found) is np.ndarray and found.shape == (3,) and found.dtype == np.float64
    tolerance = (1e-12, 1e-8, 1e-6, 2e-4)[order]
    np.testing.assert_allclose(found, expected(function, stack), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_derivatives_of_third_order_agree_to_rounding(function):
    """Finite differences are coarse at third order; the modes must agree with each other far better."""
    modes = (reverse_product, forward_product, linearized)
    f = lambda x: function(x)
    for stack in itertools.permutations(modes):
        found = f
        for mode in stack[:2]:
            found = mode(found)
        value = DIRECTION @ stack[2](found)(X)
        again = f
        for mode in stack[:2]:
            again = fg.jit(mode(again))
        np.testing.assert_allclose(value, DIRECTION @ fg.jit(stack[2](again))(X), rtol=1e-9)
