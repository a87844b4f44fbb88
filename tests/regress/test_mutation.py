"""R57-R59b and the contract about mutable arrays (A1-A6)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ir.source import SourceLocation

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

SMALL, LARGE = 4, 300_000  # 300 000 float64 are more than 1 MiB


def assert_fresh(outs, ins=()):
    """No output shares memory with another or an input; all are writeable and C-contiguous."""
    arrays = [x for x in fg.tree.leaves(outs) if isinstance(x, np.ndarray)]
    given = [x for x in fg.tree.leaves(ins) if isinstance(x, np.ndarray)]
    for i, array in enumerate(arrays):
        assert type(array) is np.ndarray
        assert array.flags.writeable and array.flags.c_contiguous
        for other in [*arrays[:i], *given]:
            assert not np.shares_memory(array, other)


def uses_one_buffer(n):
    buffer = np.zeros(n)

    def fun(x):
        total = 0.0
        for i in range(3):
            buffer[:] = i
            total = total + np.sum(x * buffer)
        return total

    return fun


def write_through_the_base(n):
    base = np.zeros(2 * n)
    buffer = base[:n]

    def fun(x):
        total = 0.0
        for i in range(3):
            base[:] = i
            total = total + np.sum(x * buffer)
        return total

    return fun


TRANSFORMS = {
    "grad": lambda fun, x: fg.grad(fun)(x),
    "jit(grad)": lambda fun, x: fg.jit(fg.grad(fun))(x),
    "grad(jit)": lambda fun, x: fg.grad(fg.jit(fun))(x),
    "vjp": lambda fun, x: fg.vjp(fun, x)[1](1.0)[0],
    "jvp": lambda fun, x: np.full(len(x), fg.jvp(fun, (x,), (np.ones(len(x)),))[1] / len(x)),
    "linearize": lambda fun, x: np.full(len(x), fg.linearize(fun, x)[1](np.ones(len(x))) / len(x)),
    "jacrev": lambda fun, x: fg.jacrev(fun)(x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("make", [uses_one_buffer, write_through_the_base])
@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_R57_reused_buffer_is_right_or_an_error_at_the_guilty_line(name, make, n):
    if name == "jacrev" and n == LARGE:
        pytest.skip("a batch of one is enough")
    try:
        gradient = TRANSFORMS[name](make(n), np.ones(n))
    except fg.MutatedResidualError as error:
        assert "np.sum(x * buffer)" in str(error)
        assert "docs/errors.md#mutated-residual" in str(error)
        guilty = error.__cause__.__traceback__
        while guilty.tb_next is not None:
            guilty = guilty.tb_next
        assert guilty.tb_frame.f_code.co_filename == __file__
    else:
        np.testing.assert_array_equal(gradient, np.full(n, 3.0))


def test_R57_small_buffers_are_snapshotted_in_eager_code():
    np.testing.assert_array_equal(fg.grad(uses_one_buffer(SMALL))(np.ones(SMALL)), np.full(4, 3.0))
    _, pull = fg.vjp(uses_one_buffer(SMALL), np.ones(SMALL))
    np.testing.assert_array_equal(pull(1.0)[0], np.full(4, 3.0))


def test_R57_read_only_view_of_a_buffer_that_changes():
    for n in (SMALL, LARGE):
        buffer = np.zeros(n)

        def fun(x):
            total = 0.0
            for i in range(3):
                buffer[:] = i
                total = total + np.sum(x * np.broadcast_to(buffer, (2, n)))
            return total

        try:
            np.testing.assert_array_equal(fg.grad(fun)(np.ones(n)), np.full(n, 6.0))
        except fg.MutatedResidualError as error:
            assert n == LARGE and "np.broadcast_to(buffer" in str(error)
        buffer[:] = 0.0


def test_R57_write_permission_comes_back():
    buffer = np.zeros(LARGE)
    fun = lambda x: np.sum(x * buffer)
    fg.grad(fun)(np.ones(LARGE))
    assert buffer.flags.writeable
    fg.jit(fun)(np.ones(LARGE))
    assert buffer.flags.writeable
    with pytest.raises(ZeroDivisionError):
        fg.grad(lambda x: fun(x) / (1 // 0))(np.ones(LARGE))
    assert buffer.flags.writeable
    read_only = np.zeros(LARGE)
    read_only.flags.writeable = False
    fg.grad(lambda x: np.sum(x * read_only))(np.ones(LARGE))
    assert not read_only.flags.writeable


@pytest.mark.parametrize("n", [1, SMALL, LARGE])
def test_R58_argument_changed_between_forward_and_backward(n):
    x = np.ones(n)
    _, pull = fg.vjp(lambda x: np.sum(x**2), x)
    x[:] = 100.0
    np.testing.assert_array_equal(pull(1.0)[0], np.full(n, 2.0))


def test_R58_result_changed_between_forward_and_backward():
    y, pull, aux = fg.vjp(lambda x: (np.exp(x), np.exp(x)), np.zeros(SMALL), has_aux=True)
    y[:], aux[:] = 100.0, 100.0
    np.testing.assert_array_equal(pull(np.ones(SMALL))[0], np.ones(SMALL))
    y, push, aux = fg.linearize(lambda x: (np.exp(x), np.exp(x)), np.zeros(SMALL), has_aux=True)
    y[:], aux[:] = 100.0, 100.0
    np.testing.assert_array_equal(push(np.ones(SMALL)), np.ones(SMALL))


def test_R58_argument_changed_after_linearize():
    x = np.ones(SMALL)
    _, push = fg.linearize(lambda x: np.sum(x**2), x)
    x[:] = 100.0
    assert push(np.ones(SMALL)) == 8.0


def test_A1_and_R58_argument_changed_after_the_call():
    fun = fg.jit(lambda x: x * 2.0 + 1.0)
    x = np.ones(LARGE)
    for _ in range(5):
        y = fun(x)
        x[:] = 100.0
        assert (y == 3.0).all()
        x[:] = 1.0


def test_A3_captured_arrays_are_read_at_every_call():
    w = np.ones(100_000)
    fun = fg.jit(lambda x: (x * w)[:2])
    np.testing.assert_array_equal(fun(1.0), [1.0, 1.0])
    w[:] = 100.0
    np.testing.assert_array_equal(fun(1.0), [100.0, 100.0])
    np.testing.assert_array_equal(fun(np.float32(1.0)), [100.0, 100.0])


def test_A3_captured_array_is_guarded_when_its_name_is_bound_anew():
    w = np.ones(3)
    fun = fg.jit(lambda x: np.sum(x * w))
    assert fun(1.0) == 3.0
    w = np.full(5, 2.0)
    assert fun(1.0) == 10.0


def test_A3_captured_scalars_are_guarded_by_value():
    scale = 2.0
    fun = fg.jit(lambda x: x * scale)
    assert fun(1.0) == 2.0
    scale = 5.0
    assert fun(1.0) == 5.0


def test_R59_gradients_do_not_share_memory():
    a, b = np.ones(3), np.ones(3)
    for slope in (
        fg.grad(lambda x, y: np.sum(x + y), (0, 1)),
        fg.jit(fg.grad(lambda x, y: np.sum(x + y), (0, 1))),
    ):
        gradients = slope(a, b)
        assert_fresh(gradients, (a, b))
        assert_fresh(fg.grad(lambda x, y: np.sum((x + y) * a), (0, 1))(a, b), (a, b))
        assert_fresh(fg.vjp(lambda x, y: np.exp(x + y), a, b)[1](b), (a, b))
        gradients[0][:] = 7.0
        np.testing.assert_array_equal(gradients[1], np.ones(3))
        np.testing.assert_array_equal(slope(a, b)[0], np.ones(3))


CAPTURED = np.arange(3.0)
RETURNS = {
    "identity": lambda x: x,
    "twice": lambda x: (x, x),
    "view": lambda x: (x[1:], x.T, x.reshape(-1)),
    "captured": lambda x: CAPTURED,
    "nested": lambda x: {"a": x, "b": [x + 0.0, x]},
    "constant": lambda x: fnp.ones(3),
    "broadcast": lambda x: np.broadcast_to(x, (2, 3)),
    "real": lambda x: np.real(x),
    "transposed": lambda x: np.outer(x, x + 1).T,
    "same dtype": lambda x: x.astype(x.dtype),
    "ravel": lambda x: np.ravel(x),
}


@pytest.mark.parametrize("name", RETURNS)
def test_A4_and_R59_outputs_are_fresh(name):
    fun, x = RETURNS[name], np.arange(3.0)
    assert_fresh(fg.jit(fun)(x), (x, CAPTURED))
    assert_fresh(fg.vmap(fun)(np.ones((2, 3))), (CAPTURED,))
    assert_fresh(fg.vmap(fun, out_axes=-1)(np.ones((2, 3))), (CAPTURED,))
    assert_fresh(fg.jvp(fun, (x,), (np.ones(3),)), (x, CAPTURED))
    out, pull = fg.vjp(fun, x)
    assert_fresh(out, (x, CAPTURED))
    cotangent = fg.tree.map(np.ones_like, out)
    assert_fresh(pull(cotangent), (x, cotangent, CAPTURED))
    out, push = fg.linearize(fun, x)
    assert_fresh(out, (x, CAPTURED))
    direction = np.ones(3)
    assert_fresh(push(direction), (x, direction, CAPTURED))
    assert_fresh(fg.jacrev(fun)(x), (x, CAPTURED))
    assert_fresh(fg.jacfwd(fun)(x), (x, CAPTURED))
    assert_fresh(fg.value_and_grad(lambda x: (np.sum(x), fun(x)), has_aux=True)(x), (x, CAPTURED))
    assert_fresh(fg.checkpoint(fun)(x) if name == "constant" else (), (x,))


def test_A4_results_of_control_flow_are_fresh():
    x = np.arange(3.0)
    assert_fresh(fg.lax.cond(True, lambda x: (x, x), lambda x: (x, x), x), (x,))
    assert_fresh(fg.lax.scan(lambda c, y: (c, (c, y)), x, x), (x,))
    assert_fresh(fg.lax.while_loop(lambda c: c[1] < 0, lambda c: c, (x, np.int64(0))), (x,))
    assert_fresh(fg.lax.fori_loop(0, 0, lambda i, c: c, x), (x,))


def test_A4_the_cache_is_not_affected_by_writes_to_results():
    fun = fg.jit(lambda: CAPTURED * 1.0)
    fun()[:] = 7.0
    np.testing.assert_array_equal(fun(), CAPTURED)
    constant = fg.jit(lambda x: fnp.zeros(3))
    constant(1.0)[:] = 7.0
    np.testing.assert_array_equal(constant(1.0), np.zeros(3))


def test_A4_gradient_of_a_transposed_argument_is_contiguous():
    x = np.ones((2, 3))
    assert_fresh(fg.grad(lambda x: np.sum(x.T * 1.0))(x), (x,))
    assert_fresh(fg.grad(np.sum)(x), (x,))


def test_A5_and_R59b_donated_arrays_are_read_only_and_refused_later():
    step = fg.jit(lambda w, g: w - g, donate_argnums=0)
    w = np.ones(3)
    view = w[1:]
    step(w, np.ones(3))
    assert not w.flags.writeable
    with pytest.raises(ValueError, match="donated to .*test_mutation.py"):
        step(w, np.ones(3))
    with pytest.raises(ValueError, match="donated"):
        step(view, np.ones(2))
    with pytest.raises(ValueError, match="donated"):
        step(np.ones(3), w)


def test_R59b_one_array_donated_and_passed_again():
    step = fg.jit(lambda w, g: w - g, donate_argnums=0)
    w = np.ones(3)
    with pytest.raises(ValueError, match="shares memory with another argument"):
        step(w, w)
    with pytest.raises(ValueError, match="shares memory with another argument"):
        step(w, w[:1])
    assert w.flags.writeable


def test_R59b_donated_views_and_useless_donations_warn():
    step = fg.jit(lambda w, g: w - g, donate_argnums=0)
    with pytest.warns(UserWarning, match="view"):
        step(np.ones(6)[:3], np.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(np.ones(3), np.ones(3))


def test_A5_debug_nans_poisons_donated_arrays():
    step = fg.jit(lambda w, g: w - g, donate_argnums=0)
    w = np.ones(3)
    with fg.debug_nans():
        np.testing.assert_array_equal(step(w, np.ones(3)), np.zeros(3))
    assert np.isnan(w).all()


def test_R59b_donating_what_the_program_does_not_use_warns():
    useless = fg.jit(lambda w, g: np.sum(g), donate_argnums=0)
    with pytest.warns(UserWarning, match="donated.*not use"):
        useless(np.ones(3), np.ones(3))


# --- A6: in-place code ---------------------------------------------------------------------------


def in_place(x):
    x[0] = 5.0
    x += 1.0
    x[1:] *= 2.0
    return np.sum(x * x)


def test_A6_writes_reach_the_tracer_but_not_the_caller():
    expected = np.array([0.0, 4.0 * 2 * 3.0, 4.0 * 2 * 4.0])
    for slope in (fg.grad(in_place), fg.jit(fg.grad(in_place)), fg.grad(fg.jit(in_place))):
        x = np.array([1.0, 2.0, 3.0])
        np.testing.assert_array_equal(slope(x), expected)
        np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])
    x = np.array([1.0, 2.0, 3.0])
    assert fg.jit(in_place)(x) == 36.0 + 36.0 + 64.0
    np.testing.assert_array_equal(fg.vmap(in_place)(np.stack([x, x])), [136.0, 136.0])
    assert fg.jvp(in_place, (x,), (np.ones(3),))[1] == np.sum(expected)
    np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])


def test_A6_accumulating_into_a_real_array_rebinds_the_name():
    kept = np.zeros(3)

    def fun(x):
        acc = kept
        acc += x
        acc += x * x
        return np.sum(acc)

    np.testing.assert_array_equal(fg.grad(fun)(np.ones(3)), [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(fg.jit(fg.grad(fun))(np.ones(3)), [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(kept, np.zeros(3))


def test_A6_writes_through_a_view_reach_its_base():
    def fun(x):
        y = x * 1.0
        v = y[1:3]
        v[:] = 0.0
        v[0] = 9.0
        return y

    x = np.arange(4.0) + 1.0
    for transformed in (fg.jit(fun), lambda x: fg.vmap(fun)(x[None])[0]):
        np.testing.assert_array_equal(transformed(x), [1.0, 9.0, 0.0, 4.0])
    np.testing.assert_array_equal(fg.grad(lambda x: np.sum(fun(x)))(x), [1.0, 0.0, 0.0, 1.0])


def test_A6_writes_to_the_base_are_seen_by_its_views():
    def fun(x):
        y = x * 1.0
        v, t = y[1:3], y.reshape(2, 2)
        y[2] = 0.0
        return np.sum(v) + 10 * np.sum(t)

    x = np.arange(4.0) + 1.0
    assert fg.jit(fun)(x) == fun(x) == 72.0
    np.testing.assert_array_equal(fg.grad(fun)(x), [10.0, 11.0, 0.0, 10.0])


@pytest.mark.parametrize(
    "view", [lambda y: y.reshape(2, 2), lambda y: np.ravel(y), lambda y: y[None].T]
)
def test_A6_writes_through_other_views_work_or_raise(view):
    def fun(x):
        y = x * 1.0
        v = view(y)
        v[0] = 0.0
        return np.sum(y * y)

    x = np.arange(4.0) + 1.0
    expected = fun(x)
    for transform in (fg.jit, fg.grad):
        try:
            out = transform(fun)(x)
        except ValueError as error:
            assert "docs/errors.md#in-place" in str(error)
        else:
            assert transform is fg.grad or out == expected


@pytest.mark.parametrize("key", [0, slice(0, 2), [0, 1]])
@pytest.mark.parametrize("transform", [fg.jit, fg.grad, fg.vmap])
def test_A6_writing_a_traced_value_into_a_real_array_names_the_fix(key, transform):
    def fun(x):
        out = np.zeros(3)
        out[key] = x
        return np.sum(out)

    with pytest.raises(TypeError) as caught:
        transform(fun)(np.ones(2) if transform is fg.vmap else 1.0)
    message = str(caught.value)
    assert "like=x" in message
    assert "out[key] = x" in message
    assert type(caught.value) in (fg.ConcretizationTypeError, fg.TracerArrayConversionError)


def test_lines_are_looked_up_only_for_errors(monkeypatch):
    """Protecting an array notes where it is needed, without the text of the line."""

    def line(self):
        raise AssertionError("a line number was computed")

    x = np.ones(10_000)
    step = fg.grad(fg.jit(lambda x, w: np.sum(np.tanh(x * w))))
    plain = fg.grad(lambda x: np.sum(np.tanh(x * x)))
    first = step(x, x), plain(x)  # generated code has lines in comments
    monkeypatch.setattr(SourceLocation, "line", property(line))
    np.testing.assert_array_equal(step(x, x), first[0])
    np.testing.assert_array_equal(plain(x), first[1])
    assert x.flags.writeable
