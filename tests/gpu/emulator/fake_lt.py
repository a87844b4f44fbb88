"""Stands for `nvmath.bindings.cublasLt` where there is no GPU: the calls that plans make, run by NumPy on host memory.

Attributes have nvmath's own numbers and dtypes, and what the library refuses is refused here, so that layouts,
transposes, batches, epilogues, bit masks and alignment are all put to the test.
"""

import ctypes
import itertools

import ml_dtypes
import numpy as np
from nvmath.bindings import cublasLt as real

Epilogue = real.Epilogue
MatmulDescAttribute = real.MatmulDescAttribute
MatmulPreferenceAttribute = real.MatmulPreferenceAttribute
MatrixLayoutAttribute = real.MatrixLayoutAttribute
get_matmul_desc_attribute_dtype = real.get_matmul_desc_attribute_dtype
get_matmul_preference_attribute_dtype = real.get_matmul_preference_attribute_dtype
get_matrix_layout_attribute_dtype = real.get_matrix_layout_attribute_dtype
matmul_heuristic_result_dtype = real.matmul_heuristic_result_dtype

INVALID_VALUE, NOT_SUPPORTED = 7, 15
DTYPES = {
    0: np.dtype(np.float32),
    1: np.dtype(np.float64),
    2: np.dtype(np.float16),
    4: np.dtype(np.complex64),
    5: np.dtype(np.complex128),
    14: np.dtype(ml_dtypes.bfloat16),
}
COMPUTE = {68: np.complex64, 70: np.complex128, 75: np.complex64, 77: np.complex64}
MASKED = (Epilogue.RELU_AUX, Epilogue.RELU_AUX_BIAS, Epilogue.DRELU, Epilogue.DRELU_BGRAD)


class cuBLASLtError(Exception):  # noqa: N801 - nvmath's name; its own cannot be made without a driver
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


objects: dict[int, dict] = {}
numbers = itertools.count(1)
calls: list[dict] = []  # what was run, for tests that count


def new(**fields) -> int:
    number = next(numbers)
    objects[number] = fields
    return number


def destroy(handle: int) -> None:
    del objects[handle]


matmul_preference_destroy = destroy


def value_at(address: int, dtype) -> np.generic:
    dtype = np.dtype(dtype)
    return np.frombuffer((ctypes.c_char * dtype.itemsize).from_address(address), dtype)[0]


def set_attribute(handle: int, names, dtype_of, attribute, address: int, size: int) -> None:
    dtype = np.dtype(dtype_of(attribute))
    if dtype.itemsize != size:
        raise cuBLASLtError(INVALID_VALUE)
    objects[handle][names(attribute).name] = value_at(address, dtype).item()


def create() -> int:
    return new()


def matmul_desc_create(compute_type: int, scale_type: int) -> int:
    return new(compute=compute_type, scale=DTYPES[scale_type], TRANSA=0, TRANSB=0, EPILOGUE=1)


def matmul_desc_set_attribute(description, attribute, address, size) -> None:
    dtype_of = get_matmul_desc_attribute_dtype
    set_attribute(description, MatmulDescAttribute, dtype_of, attribute, address, size)


def matrix_layout_create(kind: int, rows: int, columns: int, leading: int) -> int:
    if leading < rows or min(rows, columns) < 1:
        raise cuBLASLtError(INVALID_VALUE)
    batch = {"BATCH_COUNT": 1, "STRIDED_BATCH_OFFSET": 0}
    return new(dtype=DTYPES[kind], rows=rows, columns=columns, leading=leading, **batch)


def matrix_layout_set_attribute(layout, attribute, address, size) -> None:
    dtype_of = get_matrix_layout_attribute_dtype
    set_attribute(layout, MatrixLayoutAttribute, dtype_of, attribute, address, size)


def matmul_preference_create() -> int:
    return new(MAX_WORKSPACE_BYTES=0, MIN_ALIGNMENT_A_BYTES=256, MIN_ALIGNMENT_B_BYTES=256)


def matmul_preference_set_attribute(preference, attribute, address, size) -> None:
    dtype_of = get_matmul_preference_attribute_dtype
    set_attribute(preference, MatmulPreferenceAttribute, dtype_of, attribute, address, size)


def matmul_algo_get_heuristic(
    handle, description, a, b, c, d, preference, requested, results, count
) -> None:
    """One algorithm, which remembers the alignment it wants; none for epilogues that the library lacks."""
    assert handle in objects and c == d and requested > 0
    about, layout = objects[description], objects[d]
    epilogue = Epilogue(about["EPILOGUE"])
    plain = epilogue == Epilogue.DEFAULT
    if not plain and layout["dtype"].name in ("float64", "complex64", "complex128"):
        raise cuBLASLtError(NOT_SUPPORTED)
    if not plain and layout["BATCH_COUNT"] > 1 and epilogue not in (Epilogue.RELU, Epilogue.GELU):
        raise cuBLASLtError(NOT_SUPPORTED)
    if epilogue in MASKED and about.get("EPILOGUE_AUX_LD", 1) % 128:
        raise cuBLASLtError(INVALID_VALUE)
    for side in (a, b):
        if objects[side]["dtype"] != layout["dtype"]:
            raise cuBLASLtError(NOT_SUPPORTED)
    found = np.frombuffer(
        (ctypes.c_char * matmul_heuristic_result_dtype.itemsize).from_address(results),
        matmul_heuristic_result_dtype,
    )
    wanted = objects[preference]
    found["algo"]["data_"][0, 0] = wanted["MIN_ALIGNMENT_A_BYTES"]
    found["algo"]["data_"][0, 1] = wanted["MAX_WORKSPACE_BYTES"]
    ctypes.c_int.from_address(count).value = 1


def matrices(address: int, layout: int) -> np.ndarray:
    """The matrices at an address, (batch, rows, columns), of which the rows are contiguous in the transpose."""
    about = objects[layout]
    size, (batch, step) = (
        about["dtype"].itemsize,
        (about["BATCH_COUNT"], about["STRIDED_BATCH_OFFSET"]),
    )
    last = (batch - 1) * step + (about["columns"] - 1) * about["leading"] + about["rows"]
    flat = np.frombuffer((ctypes.c_char * (last * size)).from_address(address), about["dtype"])
    return np.lib.stride_tricks.as_strided(
        flat,
        (batch, about["rows"], about["columns"]),
        (step * size, size, about["leading"] * size),
    )


def rounded(x: np.ndarray, compute: int) -> np.ndarray:
    """What the tensor cores see of float32."""
    if compute == 75:
        return x.astype(ml_dtypes.bfloat16).astype(np.float32)
    if compute == 77:  # ten bits of the fraction
        bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
        return ((bits + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)
    return x


def matmul(
    handle, description, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm,
    workspace, workspace_bytes, stream,
) -> None:  # fmt: skip
    """The product, at once."""
    assert handle in objects
    about = objects[description]
    alignment, most = np.frombuffer((ctypes.c_char * 64).from_address(algorithm), "u8")[:2]
    others = [about.get(name, 0) for name in ("BIAS_POINTER", "EPILOGUE_AUX_POINTER")]
    if any(x % int(alignment) for x in (a, b, c, d, *others)) or most > workspace_bytes:
        raise cuBLASLtError(NOT_SUPPORTED)
    about = {**about, "dtype": objects[d_layout]["dtype"]}
    calls.append({**about, "stream": stream})
    left, right, out = matrices(a, a_layout), matrices(b, b_layout), matrices(d, d_layout)
    left = left.transpose(0, 2, 1) if about["TRANSA"] else left
    right = right.transpose(0, 2, 1) if about["TRANSB"] else right
    shapes = (left.shape, right.shape, out.shape)
    assert (left.shape[1], right.shape[2]) == out.shape[1:] and left.shape[2] == right.shape[1], (
        shapes
    )
    wide = np.result_type(out.dtype if out.dtype.kind == "c" else np.float32, about["scale"])
    left, right = (rounded(x.astype(wide), about["compute"]) for x in (left, right))
    product = value_at(alpha, about["scale"]) * np.matmul(left, right)
    factor = value_at(beta, about["scale"])
    if factor:
        product = product + factor * matrices(c, c_layout).astype(wide)
    out[...] = finished(about, product, (left, right)).astype(out.dtype)


def finished(about: dict, product: np.ndarray, operands: tuple) -> np.ndarray:
    """What the epilogue makes of a product; it also writes masks and sums."""
    epilogue = Epilogue(about["EPILOGUE"])
    name = epilogue.name
    _, rows, columns = product.shape
    if "RELU" in name and epilogue in MASKED:
        leading = about["EPILOGUE_AUX_LD"]
        assert leading >= rows
        size = leading // 8 * columns
        raw = (ctypes.c_char * size).from_address(about["EPILOGUE_AUX_POINTER"])
        mask = np.frombuffer(raw, np.uint8).reshape(columns, leading // 8)
    if name.startswith("D"):  # DEFAULT as well
        if epilogue in (Epilogue.DRELU, Epilogue.DRELU_BGRAD):
            bits = np.unpackbits(mask, axis=1, bitorder="little")[:, :rows]
            product = np.where(bits.T, product, np.float32(0))
        if epilogue == Epilogue.DRELU_BGRAD:
            vector(about, rows)[...] = product.sum((0, 2))
        return product
    if name.startswith("BGRAD"):
        left, right = operands
        total = left.sum((0, 2)) if epilogue == Epilogue.BGRADA else right.sum((0, 1))
        vector(about, len(total))[...] = total
        return product
    if "BIAS" in name:
        product = product + vector(about, rows).astype(product.dtype)[:, None]
    if epilogue in (Epilogue.RELU_AUX, Epilogue.RELU_AUX_BIAS):
        bits = np.zeros((columns, leading), np.uint8)
        bits[:, :rows] = product[0].T > 0
        mask[...] = np.packbits(bits, axis=1, bitorder="little")
    if "RELU" in name:
        return np.maximum(product, 0)
    if "GELU" in name:
        inner = np.sqrt(2 / np.pi) * (product + 0.044715 * product**3)
        return 0.5 * product * (1 + np.tanh(inner))
    return product


def vector(about: dict, length: int) -> np.ndarray:
    """The bias, or its gradient, which has the dtype of the result."""
    size = about["dtype"].itemsize * length
    raw = (ctypes.c_char * size).from_address(about["BIAS_POINTER"])
    return np.frombuffer(raw, about["dtype"])
