"""Stencils: what lies around an element is read where it is, in one kernel, and most of it without a test."""

import re

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.stages import fuse, lower
from funcgrad.config import config
from tests.compiler.native import check
from tests.compiler.programs import all_names, names, recorded

SHAPES = [(1, 3), (3, 5), (7, 17), (5, 64), (16, 33), (9, 200)]


def heat_roll(u):
    around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
    return u + 0.125 * (around - 4 * u)


def heat_pad(u, mode="constant"):
    p = np.pad(u, 1, mode=mode)
    return u + 0.125 * (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * u)


def heat_set(u):
    inner = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    return fg.numpy.at(u)[1:-1, 1:-1].add(0.125 * inner)


def diagonals(u):
    return sum(np.roll(np.roll(u, i, 0), j, 1) for i in (-1, 1) for j in (-2, 2))


def shifted(u):
    return np.concatenate([u[:, -3:], u[:, :-3]], 1) - np.concatenate([u[:, 1:], u[:, :1]], 1)


def two_arrays(u):
    v = u * 2
    return np.concatenate([u[:1], v[1:]]) + np.concatenate([v[:, :-1], u[:, -1:]], 1)


def in_halves(u):
    return np.concatenate([u[:, ::2] * 2, u[:, 1::2]], 1) + 1


def spread(u):
    return np.sum(fg.numpy.at(np.zeros((u.shape[0], 3 * u.shape[1])))[:, ::3].set(u), 0)


def differences(u):
    return np.diff(np.pad(u, ((1, 0), (0, 1))), axis=0)[:, :-1] + np.gradient(u * u, axis=1)


STENCILS = [
    heat_roll,
    heat_pad,
    lambda u: heat_pad(u, "edge"),
    lambda u: heat_pad(u, "wrap"),
    heat_set,
    diagonals,
    shifted,
    two_arrays,
    in_halves,
    spread,
]


def pulled(f):
    """The cotangent of the argument of `f`, for a cotangent that depends on its value."""

    def g(x):
        value, pullback = fg.vjp(f, x)
        return pullback(value * 0.5)[0]

    return g


def numbers(shape, dtype):
    return np.random.default_rng(3).integers(-8, 8, shape).astype(dtype)


@pytest.mark.parametrize("f", STENCILS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values(f, dtype, shape):
    x = numbers(shape, dtype)
    if min(shape) < 3 and f is heat_set:
        x = numbers((3, shape[1]), dtype)
    check(f, x)
    check(pulled(f), x)


@pytest.mark.parametrize("dtype", [np.int32, np.complex64, np.float16])
def test_values_of_other_dtypes(dtype):
    for f in (heat_roll, heat_pad, shifted, two_arrays):
        check(f, numbers((9, 70), dtype))


def test_values_in_chunks():
    """Kernels that threads share, also along the vector."""
    for shape in ((300, 301), (200_003,)):
        x = numbers(shape, np.float32)
        step = (
            heat_roll if len(shape) == 2 else lambda u: np.sin(np.roll(u, 2) - np.roll(u, -1)) + u
        )
        check(step, x, rtol=1e-6)
        check(pulled(step), x, rtol=1e-5)


def test_differences_of_a_gradient():
    check(differences, numbers((9, 200), np.float64))


def kernels(f, *args):
    """The kernels of a program, and the steps that it has besides."""
    return fuse(lower(simplified(recorded(f, *args)))).units


def large_kernels(f):
    """The kernels of a program that do more than compute numbers of which everything is known."""
    found = kernels(f, numbers((64, 64), np.float64))
    return [unit for unit in found if not isinstance(unit, Kernel) or not unit.is_tiny]


@pytest.mark.parametrize("f", [*STENCILS[:4], diagonals, shifted])
def test_one_kernel(f):
    (kernel,) = large_kernels(f)
    assert isinstance(kernel, Kernel) and len(kernel.stores) == 1


def waves(u):
    v = np.sin(u)
    inner = fg.numpy.at(np.zeros_like(u))[1:-1, 1:-1].set(
        v[2:, 1:-1] * v[:-2, 1:-1] / 4 - u[1:-1, 1:-1] / 8
    )
    return fg.numpy.at(u * 2 + v)[1:, 1:].add(u[1:, 1:] * u[:-1, 1:] / 4 + 1) - inner


def test_what_fills_most_of_an_array_is_computed_where_it_is_read():
    """Here the sine is stored, because its neighbours are read; what is put inside is not."""
    x = numbers((20, 70), np.float64) / 8
    check(waves, x, rtol=1e-12)
    check(pulled(waves), x, rtol=1e-12)
    found = large_kernels(waves)
    assert len(found) == 2 and all(len(kernel.stores) == 1 for kernel in found)


@pytest.mark.parametrize("f", [heat_roll, heat_pad])
def test_cotangents_are_written_once_and_gathered(f):
    first, second = large_kernels(pulled(f))
    assert isinstance(first, Kernel) and isinstance(second, Kernel) and len(second.stores) == 1


def vector_loops(f, *args):
    """The blocks of the program that are vector loops of a single block."""
    text = fg.debug.inspect(f, *args).llvm
    blocks = re.findall(r"^(vector\d+):\n(.*?)(?=^\w+:|^})", text, re.M | re.S)
    return [block for name, block in blocks if f"label %{name}," in block]


@pytest.mark.parametrize("f", [*STENCILS[:4], shifted, pulled(heat_roll), pulled(heat_pad)])
def test_the_inner_loop_has_no_tests_of_its_own(f):
    """Elements at the ends of a row have a loop of their own; what is chosen by the row is chosen outside."""
    inner, *borders = vector_loops(f, numbers((64, 200), np.float64))
    assert "icmp ult" not in inner and "masked.store" not in inner
    assert " select " not in inner or f not in STENCILS[:4]
    assert borders


def test_rows_are_chosen_by_their_addresses():
    inner = vector_loops(heat_roll, numbers((64, 200), np.float64))[0]
    assert "masked" not in inner and inner.count("load <") <= 5


def test_linear_loops_keep_nothing_for_the_way_back():
    for step in (heat_roll, heat_pad, heat_set):
        loop = lambda u, step=step: lax.scan(lambda c, _: (step(c), None), u, None, length=4)[0]
        program = simplified(recorded(pulled(loop), numbers((8, 8), np.float64)))
        scans = [e for e in program.equations if e.primitive.name == "scan"]
        assert len(scans) == 2 and all(len(e.outputs) == e.params["num_carry"] for e in scans)


def test_cotangents_of_pieces_are_chosen_in_place():
    program = simplified(recorded(pulled(heat_roll), numbers((8, 8), np.float64)))
    assert "place" not in names(program) and "dynamic_update" not in all_names(program)
    loop = lambda u: lax.scan(lambda c, _: (heat_roll(c), None), u, None, length=4)[0]
    program = simplified(recorded(pulled(loop), numbers((16, 16), np.float64)))
    assert not {"place", "dynamic_update"} & set(all_names(program))


def test_parts_without_elements():
    x, y = np.zeros((0, 5, 0, 4), np.complex64), np.zeros((0, 5, 0, 3), np.complex64)
    with config.override(check_programs=True):
        joined = fg.jit(lambda x, y: np.concatenate([x, y], 3))(x, y)
    assert joined.shape == (0, 5, 0, 7)


def test_a_slice_that_is_the_whole_array():
    x = np.random.default_rng(0).normal(size=(1, 30, 7))

    def f(x):
        y = fg.lax.dynamic_update_slice(x + 1, (x + 2)[::-1], (0, 0, 0))
        return np.clip(y[::-1] * x, -1, 1)

    with config.override(check_programs=True):
        np.testing.assert_array_equal(fg.jit(f)(x), np.clip((x + 2) * x, -1, 1))
        fg.jit(fg.grad(lambda x: np.sum(f(x))))(x)


def test_neighbours_of_an_array_that_a_loop_needs():
    """A transposed array that lies in memory, of which a part is repeated beside it."""
    x = np.random.default_rng(0).normal(size=(2, 3, 17))

    def f(x):
        pair = np.stack([x, x[..., ::-1]], -1).transpose(3, 0, 1, 2)
        done = fg.lax.while_loop(lambda c: np.sum(c) < 0, lambda c: c + 1, pair)
        wide = np.concatenate([pair, pair[:, 1:2]], 1)
        wide = np.concatenate([wide[..., :1], wide], 3)
        return np.sum(done) + np.sum(wide * np.cos(np.arange(wide.size)).reshape(wide.shape))

    with config.override(check_programs=True):
        np.testing.assert_allclose(fg.jit(f)(x), f(x), rtol=1e-12)


@pytest.mark.parametrize("length", [33, 40, 64, 65, 100, 200])
@pytest.mark.parametrize("filling", [0.0, -200.0])
def test_rows_that_are_mostly_one_number(length, filling):
    """What passes over a row hand on is there for all of it, also where it is the same for many elements."""
    x = np.random.default_rng(length).normal(size=(7, 3)).astype(np.float32)

    def softmax(x):
        row = np.concatenate(
            [x[:, :1], np.full((7, length - 2), filling, np.float32), x[:, 1:2]], 1
        )
        row = row / np.float32(1.5) + x[:, 2:]
        shifted = np.exp(row - np.max(row, 1, keepdims=True))
        return shifted / np.sum(shifted, 1, keepdims=True), np.tanh(row) * np.sum(shifted)

    check(softmax, x, rtol=1e-6)
