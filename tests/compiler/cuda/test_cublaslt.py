"""Plans of the library of matrix products, on a stand-in for it that works on host memory."""

import itertools

import ml_dtypes
import numpy as np
import pytest

pytest.importorskip("nvmath")

from funcgrad.compiler.cuda.steps.cublaslt import WORKSPACE_BYTES, Library, NoAlgorithm
from funcgrad.compiler.cuda.steps.product_plan import MatrixLayout, ProductPlan
from tests.gpu.emulator import fake_lt

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-5, "complex64": 2e-5}


@pytest.fixture
def library():
    return Library(fake_lt)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def laid_out(x, is_transposed, extra=0):
    """The layout of a batch of matrices in memory of its own, and that memory."""
    stored = x.swapaxes(1, 2) if is_transposed else x
    batch, rows, columns = stored.shape
    memory = np.zeros((batch, rows, columns + extra), x.dtype)
    memory[:, :, :columns] = stored
    return memory, MatrixLayout(is_transposed, columns + extra, rows * (columns + extra))


def run(library, plan, **arrays):
    pointers = {name: array.ctypes.data for name, array in arrays.items()}
    library.prepared(plan).run(pointers, 0, WORKSPACE_BYTES, 7)


def case(m, n, k, batch, dtype, transposed=(False, False), extra=0, **fields):
    x, y = numbers((batch, m, k), dtype, 1), numbers((batch, k, n), dtype, 2)
    a, a_layout = laid_out(x, transposed[0], extra)
    b, b_layout = laid_out(y, transposed[1], 2 * extra)
    out, d_layout = laid_out(np.zeros((batch, m, n), dtype), False, extra)
    precision = fields.pop("precision", "highest")
    sizes = (np.dtype(dtype), precision, m, n, k, batch)
    plan = ProductPlan(*sizes, a_layout, b_layout, d_layout, **fields)
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    return plan, {"a": a, "b": b, "d": out}, np.matmul(x.astype(wide), y.astype(wide))


def check(got, expected, dtype):
    scale = max(1.0, np.abs(expected).max())
    wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    assert (
        np.abs(got.astype(wide) - expected).max()
        <= TOLERANCE.get(np.dtype(dtype).name, 1e-12) * scale
    )


@pytest.mark.parametrize(
    "dtype", [np.float16, BFLOAT16, np.float32, np.float64, np.complex64, np.complex128], ids=str
)
@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
def test_layouts(library, dtype, transposed):
    for batch, extra in ((1, 0), (3, 0), (2, 5)):
        plan, arrays, expected = case(5, 7, 3, batch, dtype, transposed, extra)
        run(library, plan, **arrays)
        check(arrays["d"][:, :, :7], expected, dtype)


def test_matrix_of_a_batch_may_be_the_same_one(library):
    plan, arrays, _ = case(4, 3, 2, 5, np.float32)
    plan = ProductPlan(*list(vars(plan).values())[:6], plan.a, MatrixLayout(False, 3), plan.d)
    run(library, plan, **arrays)
    check(arrays["d"], arrays["a"] @ arrays["b"][0], np.float32)


def test_factors(library):
    plan, arrays, expected = case(4, 3, 2, 1, np.float32, alpha=-0.5, beta=2.0)
    c = numbers((1, 4, 3), np.float32, 3)
    run(library, plan, c=c, **arrays)
    check(arrays["d"], 2 * c - 0.5 * expected, np.float32)


@pytest.mark.parametrize(
    ("precision", "worst"), [("highest", 1e-6), ("tensorfloat32", 1e-3), ("bfloat16", 1e-2)]
)
def test_precision(library, precision, worst):
    plan, arrays, expected = case(64, 64, 64, 1, np.float32, precision=precision)
    run(library, plan, **arrays)
    error = np.abs(arrays["d"] - expected).max() / np.abs(expected).max()
    assert worst / 100 < error < worst or precision == "highest" and error < worst


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32], ids=str)
@pytest.mark.parametrize("name", ["bias", "relu", "relu_bias", "gelu", "gelu_bias"])
def test_epilogues(library, dtype, name):
    plan, arrays, expected = case(5, 7, 3, 1, dtype, epilogue=name)
    bias = numbers(7, dtype, 4)
    if "bias" in name:
        arrays["bias"] = bias
        expected = expected + bias.astype(float)
    if "relu" in name:
        expected = np.maximum(expected, 0)
    if "gelu" in name:
        inner = np.sqrt(2 / np.pi) * (expected + 0.044715 * expected**3)
        expected = expected * (1 + np.tanh(inner)) / 2
    run(library, plan, **arrays)
    check(arrays["d"], expected, dtype)


def test_mask_of_relu_comes_back(library):
    m, n, k = 6, 200, 4
    plan, arrays, expected = case(m, n, k, 1, np.float32, epilogue="relu_aux_bias", auxiliary=256)
    mask, bias = np.zeros((m, 32), np.uint8), numbers(n, np.float32, 4)
    run(library, plan, bias=bias, auxiliary=mask, **arrays)
    check(arrays["d"], np.maximum(expected + bias, 0), np.float32)
    back, given, product = case(m, n, k, 1, np.float32, epilogue="drelu_bgrad", auxiliary=256)
    sums = np.zeros(n, np.float32)
    run(library, back, bias=sums, auxiliary=mask, **given)
    kept = np.where(expected + bias > 0, product, 0)
    check(given["d"], kept, np.float32)
    check(sums, kept[0].sum(0), np.float32)


def test_sums_of_the_second_operand(library):
    plan, arrays, expected = case(5, 7, 3, 1, np.float32, (True, False), epilogue="bgrada")
    sums = np.zeros(7, np.float32)
    run(library, plan, bias=sums, **arrays)
    check(arrays["d"], expected, np.float32)
    check(sums, arrays["b"][0].sum(0), np.float32)


def test_what_the_library_lacks(library):
    plan, *_ = case(5, 7, 3, 1, np.float64, epilogue="relu_bias")
    assert not library.has_algorithm(plan)
    with pytest.raises(NoAlgorithm, match="relu_bias"):
        library.prepared(plan)
    assert library.has_algorithm(case(5, 7, 3, 1, np.float64)[0])


def test_addresses_that_are_not_aligned(library):
    plan, arrays, expected = case(5, 7, 3, 1, np.float32)
    memory = np.zeros(plan.m * plan.k + 1, np.float32)
    moved = memory[1:]
    moved[...] = arrays["a"].ravel()
    run(library, plan, a=moved, b=arrays["b"], d=arrays["d"])
    check(arrays["d"], expected, np.float32)
    assert (
        set(library.prepared(plan).algorithms) >= {256, 4}
        or len(library.prepared(plan).algorithms) > 1
    )


def test_a_bias_that_is_not_aligned(library):
    plan, arrays, expected = case(5, 7, 3, 1, np.float32, epilogue="bias")
    bias = numbers(8, np.float32, 4)
    for given in (bias[:7], bias[1:]):
        run(library, plan, bias=given, **arrays)
        check(arrays["d"], expected + given, np.float32)
