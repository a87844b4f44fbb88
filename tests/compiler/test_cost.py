"""The static estimate of work: exact where it is easy, additive, and of the right order elsewhere."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.passes.cost import UNKNOWN_LENGTH, program_cost
from tests.compiler.programs import recorded

X = np.ones((10, 20))


def cost(f, *args):
    return program_cost(recorded(f, *args))


def test_elementwise_counts_elements_and_what_is_read_and_written():
    assert cost(lambda x, y: x + y, X, X[0]) == (200, (200 + 20 + 200) * 8)
    assert cost(lambda x: -x * 2.0, X).flops == 400


def test_products_count_multiplications_and_additions():
    assert cost(lambda x: x @ x.T, X).flops == 2 * 10 * 20 * 10


def test_dear_functions_cost_more():
    assert cost(lambda x: np.exp(x), X).flops > 5 * cost(lambda x: x * x, X).flops


def test_index_maps_only_move():
    found = cost(lambda x: x.T, X)
    assert found.flops == 0 and found.bytes == 2 * X.nbytes


def test_loops_multiply_and_branches_take_the_dearest():
    step = lambda c, x: (c * 2.0 + x, None)
    assert cost(lambda x: fg.lax.scan(step, x[0], x)[0], X).flops == 10 * 40
    loop = lambda x: fg.lax.while_loop(lambda c: np.sum(c) < 0.0, lambda c: c + 1.0, x)
    assert cost(loop, X[0]).flops >= UNKNOWN_LENGTH * 40
    branch = lambda p, x: fg.lax.cond(p, lambda x: x + 1.0, lambda x: np.sin(x) + np.cos(x), x)
    assert cost(branch, np.True_, X).flops == pytest.approx(
        cost(lambda x: np.sin(x) + np.cos(x), X).flops, rel=0.1
    )


def test_residuals_of_unknown_length_have_a_cost():
    f = lambda x: fg.lax.while_loop(lambda c: np.sum(c) < 9.0, lambda c: c * c + 1.0, x)
    assert cost(fg.grad(lambda x: np.sum(f(x))), X).flops > cost(f, X).flops
