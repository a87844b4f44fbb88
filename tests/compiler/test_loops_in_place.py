"""Loops that read and change single elements of arrays do so in place, backward and batched as well."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.stages import fuse, lower, plan
from tests.compiler.programs import recorded

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

N = 80
X = np.linspace(0.1, 1.0, N)
at = fg.numpy.asarray


def filter_in_place(x, loop=lax.fori_loop):
    return loop(1, N, lambda i, c: c.at[i].set(0.5 * c[i - 1] + c[i]), at(x) * 1.0)


def two_places(x, loop=lax.fori_loop):
    def body(i, c):
        c = c.at[i].set(np.sin(c[i - 1]))
        return c.at[i - 1].add(c[i])

    return loop(1, N, body, at(x) * 1.0)


def look_up(x, loop=lax.fori_loop):
    return loop(0, N, lambda i, c: 0.5 * c + np.sin(c) * at(x)[(i * 7) % N], 0.1)


def look_up_twice(x, loop=lax.fori_loop):
    return loop(1, N, lambda i, c: 0.5 * c + at(x)[i] * at(x)[i - 1], 0.1)


def slices(x, loop=lax.fori_loop):
    def body(i, c):
        window = lax.dynamic_slice(at(x), (i,), (3,))
        return 0.5 * c + np.mean(np.sin(window * c))

    return loop(0, N - 3, body, 0.1)


def rows(x, loop=lax.fori_loop):
    table = at(x).reshape(20, 4)
    return loop(
        1, 20, lambda i, c: c.at[i].set(0.5 * c[i - 1] + c[i] * at(table)[i - 1]), table * 1.0
    )


def from_the_first(x, loop=lax.fori_loop):
    return loop(0, N, lambda i, c: c.at[i].add(np.sin(c[0])), at(x) * 1.0)


def from_the_first_two(x, loop=lax.fori_loop):
    return loop(0, N, lambda i, c: c.at[i].multiply(np.sum(np.sin(c[:2]))), at(x) * 1.0)


def sine_of_the_one_before(x, loop=lax.fori_loop):
    return loop(1, N, lambda i, c: c.at[i].set(np.sin(c[i - 1])), at(x) * 1.0)


def moved_windows(x, loop=lax.fori_loop):
    def body(i, c):
        window = lax.dynamic_slice(c, (i,), (2,))
        return lax.dynamic_update_slice(c, np.sin(window), (i + 1,))

    return loop(0, N - 2, body, at(x) * 1.0)


# In their gradients all that is read of a carried array comes before what is written to it.
IN_ORDER = [
    filter_in_place,
    look_up,
    look_up_twice,
    slices,
    from_the_first,
    from_the_first_two,
    sine_of_the_one_before,
    moved_windows,
]
FUNCTIONS = [*IN_ORDER, two_places, rows]


def by_python(start, stop, body, carry):
    for i in range(start, stop):
        carry = body(i, carry)
    return carry


def total(f, **options):
    return lambda x: np.sum(np.sin(f(x, **options)))


def copied_bytes(f, x):
    """The bytes of large arrays that the loops of a Program make anew in each iteration."""
    found = 0
    planned = plan(fuse(lower(simplified(recorded(f, x)))))
    for step, bodies in planned.inner.items():
        if step.how == "scan":
            (body,) = bodies
            first, count = step.params["num_consts"], step.params["num_carry"]
            kept = {body.places[body.graph.outputs[k]] for k in body.in_place_carries(first, count)}
            written = {key: size for unit in body.units for key, size in body.writes(unit)}
            found += sum(
                size
                for key, size in written.items()
                if size >= X.nbytes and body.places[key] not in kept
            )
    return found


@pytest.mark.parametrize("f", IN_ORDER)
@pytest.mark.parametrize("transform", ["gradient", "batch", "gradients of a batch"])
def test_nothing_of_the_size_of_the_array_is_made(f, transform):
    g = fg.vmap(f) if transform == "batch" else fg.grad(total(f))
    g = fg.vmap(g) if transform == "gradients of a batch" else g
    x = X if transform == "gradient" else np.stack([X, 2 * X])
    assert copied_bytes(g, x) == 0


@pytest.mark.parametrize("f", FUNCTIONS)
def test_values_and_gradients(f):
    expected = fg.grad(total(f, loop=by_python))(X)
    found = fg.jit(fg.grad(total(f)))(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(fg.grad(total(f))(X), expected, rtol=1e-12, atol=1e-13)
    both = np.stack([X, 2 * X])
    batch = fg.jit(fg.vmap(fg.grad(total(f))))(both)
    np.testing.assert_allclose(batch[0], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(fg.jit(fg.vmap(f))(both)[1], f(2 * X), rtol=1e-12)
    product = fg.jit(lambda x: fg.hvp(total(f), (x,), (X,)))(X)
    step = 1e-5
    ahead, behind = (fg.grad(total(f))(X + s * step * X) for s in (1, -1))
    np.testing.assert_allclose(product, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex128])
def test_other_dtypes(dtype):
    x = X.astype(dtype)
    loss = lambda x: np.sum(np.real(filter_in_place(x)) + np.real(look_up(x)))
    eager = lambda x: np.sum(
        np.real(filter_in_place(x, by_python)) + np.real(look_up(x, by_python))
    )
    if dtype == np.float16:
        loss, eager = (
            lambda x: np.sum(filter_in_place(x)),
            lambda x: np.sum(filter_in_place(x, by_python)),
        )
    found, expected = fg.jit(fg.grad(loss))(x), fg.grad(eager)(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-2 if dtype == np.float16 else 1e-4)
