"""What becomes one kernel on a GPU: memory is read once, and nothing is stored that few operations give again."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.compiler.cuda.emulated import check, prepared  # noqa: E402
from tests.compiler.cuda.test_kernels import labels, normal, normalized  # noqa: E402

LARGE = (1024, 256)


def kinds(program):
    """The kinds of the launches, in order; steps that are not kernels are named "step"."""
    found = []
    for unit in program.units:
        launches = program.launches.get(unit)
        found += [source.name.split("_")[1] for source, _ in launches] if launches else ["step"]
    return found


def heads(x):
    """The heads of an attention side by side."""
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def split_gradient(x):
    def total(x):
        parts = np.split(x, 3, axis=-1)
        return sum((heads_apart(part) ** (i + 2)).sum() for i, part in enumerate(parts))

    return fg.grad(total)(x)


def heads_apart(x):
    return x.reshape(*x.shape[:2], 4, 8).transpose(0, 2, 1, 3)


def norm_gradient(x, scale, shift, seed):
    total = lambda *args: (normalized(*args) * seed).astype(np.float32).sum()
    return fg.grad(total, argnums=(0, 1, 2))(x, scale, shift)


def batch_norm(x, scale, shift):
    return normalized(x, scale[:, None, None], shift[:, None, None], (0, 2, 3))


def loss_gradient(x, y):
    return fg.grad(lambda x: nn.softmax_cross_entropy_with_integer_labels(x, y).mean())(x)


def test_readers_of_an_input_are_one_kernel():
    program = prepared(lambda x: (nn.relu(x), x.sum(0), x.sum(1), (x * x).sum()), normal(*LARGE))
    assert kinds(program) == ["gather", "parts", "parts"]
    check(program, [normal(*LARGE)])


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_the_gradient_of_a_normalisation_reads_once(dtype):
    args = [normal(*shape, dtype=dtype) for shape in (LARGE, LARGE[1:], LARGE[1:], LARGE)]
    program = prepared(norm_gradient, *args)
    found = kinds(program)
    assert found[:2] == ["gather", "parts"] and set(found[2:]) <= {"map"}
    (rows, keys), *_ = program.launches[program.units[0]]
    assert (
        sum(getattr(key, "shape", None) == LARGE for key in keys) == 3
    )  # x, the seed, and the result
    check(program, args)


def test_statistics_of_long_columns_are_passes_of_their_own():
    """Each reads the array: for the mean, for the variance, and for the result, which alone is written."""
    shape = (128, 8, 32, 32)
    program = prepared(batch_norm, np.broadcast_to(np.float32(0), shape), normal(8), normal(8))
    keys = [key for found in program.launches.values() for _, keys in found for key in keys]
    assert sum(getattr(key, "shape", None) == shape for key in keys) == 4


def test_labels_need_no_row_in_memory():
    program = prepared(loss_gradient, normal(64, 512), labels(512, 64))
    assert kinds(program) == ["row"]


def test_merged_heads_are_written_without_a_copy():
    program = prepared(heads, normal(2, 4, 6, 8))
    assert kinds(program) == ["map"]
    check(program, [normal(2, 4, 6, 8)])
    program = prepared(split_gradient, normal(2, 6, 96))
    assert kinds(program) == ["map"] * 3
    check(program, [normal(2, 6, 96)])


def test_pieces_that_cut_a_head_are_right():
    for widths in ((8, 16), (3, 0)):
        f = lambda x, widths=widths: np.pad(heads(x), ((0, 0), (1, 0), widths))
        check(prepared(f, normal(2, 4, 6, 8)), [normal(2, 4, 6, 8)])


def test_tiny_kernels_in_a_row_are_one():
    args = [normal(*shape) for shape in [(), (1,), (2,), (2, 2)] * 3]
    program = prepared(lambda *xs: [x * 2 + 1 for x in xs], *args)
    assert kinds(program) == ["tiny"]
    check(program, args)


@pytest.mark.parametrize("length", [3000, 1 << 20])
def test_a_mean_is_the_end_of_its_sum(length):
    """Also where several blocks share the sum: then the second launch divides."""
    program = prepared(lambda x: (x.mean(), np.sqrt((x * x).sum()) + 1), normal(length))
    assert kinds(program) == (["row"] if length < 1 << 20 else ["row", "parts"])
    check(program, [normal(length)])


def test_products_read_results_in_other_shapes_where_they_lie():
    f = lambda a, b, c: (a @ b).reshape(64, -1).T @ c
    args = normal(64, 60, 32), normal(32, 80), normal(64, 50)
    launches = fg.debug.inspect(f, *args).text("launches")
    assert launches.count("product ") == 2 and "<<<" not in launches
