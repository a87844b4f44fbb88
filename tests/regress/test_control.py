"""R45-R50, R53: control flow, custom rules, nested transformations."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.config import config
from tests.regress.everywhere import check_gradient, check_value

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def doubled(x):
    return fg.lax.while_loop(lambda c: c < 10, lambda c: c * 2, x)


def test_R45_python_loop():
    def fun(x):
        while x < 10:
            x = x * 2
        return x

    assert float(fg.grad(fun)(1.0)) == 16.0
    assert float(fg.jvp(fun, (1.0,), (1.0,))[1]) == 16.0


def test_R45_while_loop_in_reverse():
    check_value(doubled, 1.0, expected=16.0)
    check_gradient(doubled, 1.0, 16.0)
    check_gradient(fg.grad(lambda x: doubled(x) * x), 1.0, 32.0)


def test_R45_number_of_turns_differs_between_examples():
    slopes = fg.vmap(fg.grad(doubled))(np.array([1.0, 3.0, 20.0]))
    np.testing.assert_array_equal(slopes, [16.0, 4.0, 1.0])


def test_R45_fori_loop_with_static_and_traced_bound():
    power = lambda x, n: fg.lax.fori_loop(0, n, lambda i, c: c * x, 1.0)
    check_gradient(lambda x: power(x, 3), 2.0, 12.0)
    traced = fg.jit(fg.grad(power))
    assert float(traced(2.0, 3)) == 12.0
    assert float(traced(2.0, 5)) == 80.0
    assert (
        float(fg.jit(lambda x, n: fg.jvp(lambda x: power(x, n), (x,), (1.0,))[1])(2.0, 3)) == 12.0
    )


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_R46_cond_under_vmap_gives_no_nan():
    fun = lambda x: fg.lax.cond(x > 0, np.log, lambda x: 0 * x, x)
    np.testing.assert_array_equal(fg.vmap(fg.grad(fun))(np.array([0.0, 2.0])), [0.0, 0.5])
    np.testing.assert_array_equal(fg.jit(fg.vmap(fg.grad(fun)))(np.array([0.0, 2.0])), [0.0, 0.5])
    total = lambda x: np.sum(fg.vmap(fun)(x))
    np.testing.assert_array_equal(fg.grad(total)(np.array([0.0, 2.0])), [0.0, 0.5])
    np.testing.assert_array_equal(fg.vmap(fg.jacfwd(fun))(np.array([0.0, 2.0])), [0.0, 0.5])


def test_R46_debug_nans_is_silent_about_other_lanes():
    fun = lambda x: fg.lax.cond(x > 0, np.log, lambda x: 0 * x, x)
    with config.override(debug_nans=True), np.errstate(all="ignore"):
        np.testing.assert_array_equal(fg.vmap(fg.grad(fun))(np.array([0.0, 2.0])), [0.0, 0.5])


def test_R47_loop_in_a_branch_that_other_lanes_must_not_enter():
    def halve(x):
        return fg.lax.while_loop(lambda c: c > 1.0, lambda c: c * 0.5, x)

    def fun(x):
        return fg.lax.cond(x > 0, halve, lambda x: x, x)

    np.testing.assert_array_equal(fg.vmap(fun)(np.array([4.0, -1.0])), [1.0, -1.0])
    endless = lambda x: fg.lax.while_loop(lambda c: c != 0.0, lambda c: c - 1.0, x)
    guarded = lambda x: fg.lax.cond(x >= 0, endless, lambda x: x, x)
    np.testing.assert_array_equal(fg.vmap(guarded)(np.array([3.0, -1.5])), [0.0, -1.5])
    slopes = fg.vmap(fg.grad(guarded))(np.array([3.0, -1.5]))
    np.testing.assert_array_equal(slopes, [1.0, 1.0])


def test_R48_integer_carry_that_the_body_makes_a_float():
    carry, _ = fg.lax.scan(lambda c, x: (c + x, None), 0, np.ones(3))
    assert carry.dtype == np.float64 and float(carry) == 3.0


@pytest.mark.parametrize(
    ("body", "init", "texts"),
    [
        (lambda c, x: (c + x, None), np.int64(0), ["int64[]", "float64[]"]),
        (lambda c, x: (np.stack([c, c]), None), np.float64(0), ["float64[]", "float64[2]"]),
        (lambda c, x: ({"a": c["a"] + x}, None), {"a": np.int32(0)}, ["a", "int32[]", "float64[]"]),
        (lambda c, x: ((c, c), None), np.float64(0), ["structure"]),
        (lambda c, x: ({"b": c["a"]}, None), {"a": np.float64(0)}, ["'a'", "'b'"]),
    ],
)
def test_R48_carry_that_changes_its_type(body, init, texts):
    for wrap in (lambda f: f, fg.jit):
        with pytest.raises(TypeError) as caught:
            wrap(lambda init: fg.lax.scan(body, init, np.ones(3)))(init)
        for text in texts:
            assert text in str(caught.value)


def test_R48_while_loop_carry_that_changes_its_type():
    with pytest.raises(TypeError, match="carry") as caught:
        fg.lax.while_loop(lambda c: c["n"] < 3, lambda c: {"n": c["n"] + 0.5}, {"n": np.int64(0)})
    for text in ("n", "int64[]", "float64[]"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("true_fun", "false_fun", "texts"),
    [
        (lambda x: (x, x), lambda x: x, ["structure"]),
        (lambda x: {"a": x}, lambda x: {"b": x}, ["'a'", "'b'"]),
        (lambda x: {"a": x}, lambda x: {"a": np.stack([x, x])}, ["a", "float64[]", "float64[2]"]),
        (lambda x: x > 0, lambda x: x, ["bool[]", "float64[]"]),
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_R49_branches_that_differ(true_fun, false_fun, texts, wrap):
    fun = wrap(lambda x: fg.lax.cond(x > 0, true_fun, false_fun, x))
    with pytest.raises(TypeError) as caught:
        fun(np.float64(1.0))
    for text in texts:
        assert text in str(caught.value)
    switch = wrap(lambda i, x: fg.lax.switch(i, [true_fun, false_fun], x))
    with pytest.raises(TypeError):
        switch(0, np.float64(1.0))


def with_backward(backward):
    @fg.custom_vjp
    def fun(x, y):
        return x * y

    fun.defvjp(lambda x, y: (x * y, (x, y)), backward)
    return fun


@pytest.mark.parametrize(
    ("backward", "texts"),
    [
        (lambda res, ct: (ct,), ["2", "1"]),
        (lambda res, ct: ct, ["tuple"]),
        (lambda res, ct: (np.ones(3), ct), ["(3,)", "()"]),
        (lambda res, ct: (ct, {"a": ct}), ["structure", "dict", "argument 1"]),
        (lambda res, ct: (1j * ct, ct), ["complex128"]),
    ],
)
def test_R49_backward_functions_of_wrong_type(backward, texts):
    fun = with_backward(backward)
    for slope in (fg.grad(fun, (0, 1)), fg.jit(fg.grad(fun, (0, 1)))):
        with pytest.raises((TypeError, ValueError)) as caught:
            slope(2.0, 3.0)
        for text in texts:
            assert text in str(caught.value)


def test_R49_none_is_a_zero_cotangent():
    fun = with_backward(lambda res, ct: (None, ct * res[0]))
    for slope in (fg.grad(fun, (0, 1)), fg.jit(fg.grad(fun, (0, 1)))):
        np.testing.assert_array_equal(slope(2.0, 3.0), (0.0, 2.0))


@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        (lambda primals, tangents: primals[0], ["(output, output tangent)", "float"]),
        (lambda primals, tangents: (primals[0], np.ones(3)), ["(3,)"]),
        (lambda primals, tangents: (primals[0], {"a": tangents[0]}), ["structure"]),
    ],
)
def test_R49_jvp_rules_of_wrong_type(rule, texts):
    @fg.custom_jvp
    def fun(x):
        return x

    fun.defjvp(rule)
    with pytest.raises((TypeError, ValueError)) as caught:
        fg.jvp(fun, (1.0,), (1.0,))
    for text in texts:
        assert text in str(caught.value)


def test_R50_no_perturbation_confusion():
    fun = lambda x: x * fg.grad(lambda y: x + y)(1.0)
    check_gradient(fun, 2.0, 1.0)
    nested = lambda x: fg.grad(lambda y: x * y * fg.grad(lambda z: x * y * z)(1.0))(x)
    check_gradient(nested, 2.0, 24.0)
    forward = lambda x: x * fg.jvp(lambda y: x + y, (1.0,), (1.0,))[1]
    check_gradient(forward, 2.0, 1.0)


def test_R50_stop_gradient():
    check_gradient(lambda x: x * fg.lax.stop_gradient(x), 3.0, 3.0)


def test_R50_aux_is_concrete():
    fun = lambda x: (np.sum(x**2), {"twice": 2 * x, "name": "aux"})
    for slope in (fg.grad(fun, has_aux=True), fg.jit(fg.grad(fun, has_aux=True))):
        gradient, aux = slope(np.ones(2))
        assert type(aux["twice"]) is np.ndarray and aux["name"] == "aux"
        np.testing.assert_array_equal(aux["twice"], [2.0, 2.0])
        np.testing.assert_array_equal(gradient, [2.0, 2.0])
    aux = fg.vmap(fg.value_and_grad(fun, has_aux=True))(np.ones((2, 3)))[0][1]
    assert type(aux["twice"]) is np.ndarray


wave = lambda x: np.sin(x) * np.exp(x)


def test_R53_third_derivative():
    x = 0.7
    third = 2 * np.exp(x) * (np.cos(x) - np.sin(x))
    check_gradient(fg.grad(fg.grad(wave)), x, third, rtol=1e-10)
    np.testing.assert_allclose(fg.jacfwd(fg.jacfwd(fg.jacfwd(wave)))(x), third)
    np.testing.assert_allclose(fg.jit(fg.grad(fg.jacfwd(fg.jit(fg.grad(wave)))))(x), third)


def test_R53_transforms_in_transforms():
    x = np.linspace(-1.0, 1.0, 5)
    slope = np.exp(x) * (np.sin(x) + np.cos(x))
    bend = 2 * np.exp(x) * np.cos(x)
    inner = lambda x: np.sum(fg.jit(fg.vmap(fg.grad(wave)))(x))
    np.testing.assert_allclose(fg.jit(fg.grad(inner))(x), bend)
    np.testing.assert_allclose(fg.vmap(fg.jit(fg.grad(fg.checkpoint(wave))))(x), slope)
    np.testing.assert_allclose(fg.hessian(lambda x: np.sum(wave(x)))(x), np.diag(bend), atol=1e-14)
    both = fg.jacfwd(fg.jacrev(lambda x: np.sum(wave(x))))(x)
    np.testing.assert_allclose(both, np.diag(bend), atol=1e-14)


def test_R53_nested_vmap_over_different_axes():
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    inner = fg.vmap(lambda a, b: np.dot(a, b), in_axes=(None, 1))
    product = fg.vmap(inner, in_axes=(0, None))
    np.testing.assert_allclose(product(x, y), x @ y)
    np.testing.assert_allclose(fg.jit(product)(x, y), x @ y)
    swapped = fg.vmap(fg.vmap(np.dot, (None, 1)), (0, None), out_axes=1)
    np.testing.assert_allclose(swapped(x, y), (x @ y).T)
