"""How kernels become launches: equal ones are one, results go through scratch memory, one block can do it all."""

import numpy as np
import pytest

from funcgrad import nn
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda.kernels import shapes  # noqa: E402
from funcgrad.compiler.cuda.kernels.blocks import block_function  # noqa: E402
from funcgrad.compiler.cuda.kernels.elements import supports  # noqa: E402
from funcgrad.compiler.cuda.kernels.scalars import number  # noqa: E402
from funcgrad.compiler.cuda.launches import Source  # noqa: E402
from funcgrad.compiler.lowering.elements import Unsupported  # noqa: E402
from funcgrad.compiler.lowering.graph import Node  # noqa: E402
from funcgrad.ops.arithmetic import ADD, DIVIDE  # noqa: E402
from funcgrad.ops.power import POWER  # noqa: E402
from tests.compiler.cuda.emulated import KernelProgram, check, prepared  # noqa: E402
from tests.compiler.cuda.test_kernels import gradients, normal, normalized  # noqa: E402


def launches(f, *args):
    return [launch for found in prepared(f, *args).launches.values() for launch in found]


def test_equal_kernels_are_one():
    (first, _), (second, _) = launches(
        lambda x, y: (np.tanh(x) * 2, np.tanh(y) * 2), normal(8, 5), normal(40)
    )
    assert first == second
    (other, _) = launches(lambda x: np.tanh(x) * 3, normal(40))[0]
    assert other.name != first.name


def test_sizes_of_the_grid_are_not_part_of_the_name_of_small_kernels():
    (source, keys) = launches(lambda x: x + 1, normal(1000))[0]
    assert source.grid == (1, 1, 1) and source.block == (shapes.THREADS, 1, 1) and len(keys) == 2


def test_rows_that_have_no_company_are_divided():
    first, second = launches(lambda x: x.sum(), normal(1 << 20))
    assert first[0].grid[0] > 100 and second[0].grid == (1, 1, 1)
    (key,) = [key for key in first[1] if not isinstance(key, Node)]
    assert key[0] == "part" and key[-1] == 4 * first[0].grid[0] and key in second[1]


@pytest.mark.parametrize("order", [0, 5])
def test_results_of_rows_go_through_scratch_memory(monkeypatch, order):
    """Where a thread has no room to gather over rows, other launches read the results of the rows."""
    monkeypatch.setattr(shapes, "GATHERED_WORDS", 0)
    args = normal(9, 40), normal(40), normal(40)
    program = prepared(gradients(normalized), *args)
    assert any(key[0] == "part" for _, keys in program_keys(program) for key in keys)
    check(program, args, order)


def program_keys(program):
    for found in program.launches.values():
        for source, keys in found:
            yield source, [key for key in keys if not isinstance(key, Node)]


class BlockProgram(KernelProgram):
    """Every kernel as one block of 64 threads."""

    def __init__(self, *args):
        super().__init__(*args)
        self.launches = {unit: [self.as_block(unit)] for unit in self.launches}

    def as_block(self, kernel):
        name, text, prelude, keys = block_function(kernel, self.in_memory)
        head = f'extern "C" __global__ void run_{name}(const __grid_constant__ Pointers<{len(keys)}> p)'
        whole = f"{text}{head} {{ {name}((char *const *)p.at); }}"
        return Source(f"run_{name}", whole, prelude, (1, 1, 1), (64, 1, 1)), keys


@pytest.mark.parametrize("order", [0, 5])
def test_one_block_does_everything(order):
    functions = [
        (gradients(normalized), (normal(9, 40), normal(40), normal(40))),
        (lambda x: (nn.softmax(x), nn.softmax(x, axis=0), x.sum(0), x.T * 2, np.argmax(x)), (normal(13, 70),)),
        (lambda x: (x @ x.T, x.sum(), np.cumsum(x, 0)), (normal(2, 2),)),
    ]  # fmt: skip
    for f, args in functions:
        program = prepared(f, *args)
        check(BlockProgram(program.program, program.captured), args, order)


def test_literals():
    assert number(np.dtype(np.int64), -(2**63)) == "(-9223372036854775807ll - 1)"
    assert number(np.dtype(np.uint8), -1) == "(unsigned char)255u"
    assert number(np.dtype(np.float32), 0.1) == float(np.float32(0.1)).hex() + "f"
    assert number(np.dtype(np.float32), -0.0) == "(-0.0f)"
    assert number(np.dtype(np.float16), 1e6) == "fg_inf<float>()"
    assert number(np.dtype(np.complex64), 1 - 2j) == "fg_complex<float>{1.0f, (-2.0f)}"
    assert number(np.dtype(bool), 3) == "true"
    with pytest.raises(Unsupported):
        number(np.dtype(np.longdouble), 1.0)


def test_what_has_no_kernel():
    f32, i32, wide = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.longdouble)
    assert supports(ADD, (f32, f32), (None, None), {}, f32)
    assert not supports(ADD, (wide, wide), (None, None), {}, wide)
    assert not supports(ADD, (i32, i32), (None, 1 << 40), {}, i32)  # NumPy has an error for it
    assert not supports(DIVIDE, (i32, i32), (None, None), {}, np.dtype(np.float64))
    assert supports(POWER, (i32, i32), (None, None), {}, i32)
