"""Matrix products by cuBLASLt: descriptors and algorithms are found once for each plan, and running allocates nothing.

The library thinks in matrices with contiguous columns. The transpose of a product is the product of the transposes in
reverse order, so that its first operand is our second one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.steps.attention_plan import AttentionPlan
from funcgrad.compiler.cuda.steps.convolution_plan import ConvolutionPlan
from funcgrad.compiler.cuda.steps.product_plan import MatrixLayout, ProductPlan

Plan = ProductPlan | ConvolutionPlan | AttentionPlan

WORKSPACE_BYTES = 32 << 20  # what Hopper's products want
ALIGNMENT = 256  # bytes; more makes no difference to the library
REQUESTED = 8  # algorithms, the most promising first
TRIED = (16, 512)  # sizes of matrices that are multiplied to see what becomes of NaN
REFUSALS = (
    7,
    15,
)  # invalid value and not supported: the answers for what the library does not have

# The numbers of `cudaDataType_t` and `cublasComputeType_t`.
DATA_TYPES = {
    "float16": 2,
    "bfloat16": 14,
    "float32": 0,
    "float64": 1,
    "complex64": 4,
    "complex128": 5,
}
COMPUTE_32F, COMPUTE_64F = 68, 70
FAST = {"highest": COMPUTE_32F, "tensorfloat32": 77, "bfloat16": 75}
SCALES = {"float64": "float64", "complex64": "complex64", "complex128": "complex128"}


def compute_type(plan: ProductPlan) -> int:
    """How the library multiplies and adds: half precision is always summed in float32."""
    name = plan.dtype.name
    if name in ("float64", "complex128"):
        return COMPUTE_64F
    return FAST[plan.precision] if name in ("float32", "complex64") else COMPUTE_32F


class NoAlgorithm(Exception):
    """The library has no way to compute a product with this dtype and epilogue."""


class Library:
    """cuBLASLt on one device, and cuDNN beside it where that is installed.

    Args:
        bindings: `nvmath.bindings.cublasLt`, or what stands for it in tests.
        graphs: what prepares the plans of convolutions and of attention (`cudnn.Graphs`), if anything does.
        trial: runs a prepared product of NaNs, and says whether its results are NaN: no manual says what the library's
            "relu" makes of them. Without one they are.
    """

    def __init__(
        self,
        bindings: Any,
        graphs: Any = None,
        trial: Callable[[PreparedProduct], bool] | None = None,
    ) -> None:
        self.bindings = bindings
        self.graphs = graphs
        self.trial = trial
        self.tried: dict[Any, set[bool]] = {}
        self.known: dict[Any, Any] = {}
        self.lock = threading.Lock()

    @functools.cached_property
    def handle(self) -> int:
        return self.bindings.create()

    def prepared(self, plan: Plan) -> Any:
        """What runs a plan: a `PreparedProduct`, or something with the same method `run`; made once.

        Raises:
            NoAlgorithm: if the library cannot.
        """
        with self.lock:
            if plan not in self.known:
                self.known[plan] = self.prepare(plan)
            found = self.known[plan]
        if found is None:
            raise NoAlgorithm(f"no library has an algorithm for {plan}")
        return found

    def prepare(self, plan: Plan) -> Any:
        if not isinstance(plan, ProductPlan):
            return None if self.graphs is None else self.graphs.prepare(plan)
        prepared = PreparedProduct(self, plan)
        if prepared.algorithm(ALIGNMENT) is None:
            return None
        return prepared if not plan.is_relu or self.relu_of_nan(plan) == {plan.keeps_nan} else None

    def relu_of_nan(self, plan: ProductPlan) -> set[bool]:
        """Whether products with the epilogue of a plan keep NaN: both if that depends on their size."""
        if self.trial is None:
            return {True}
        key = (plan.dtype, compute_type(plan), plan.epilogue)
        if key not in self.tried:
            made = [PreparedProduct(self, contiguous(plan, n)) for n in TRIED]
            known = [one for one in made if one.algorithm(ALIGNMENT) is not None]
            self.tried[key] = {self.trial(one) for one in known}
        return self.tried[key]

    def has_algorithm(self, plan: Plan) -> bool:
        """Whether the library can run a plan."""
        try:
            self.prepared(plan)
        except NoAlgorithm:
            return False
        return True


class PreparedProduct:
    """The descriptors of a plan, and an algorithm for each alignment of pointers that was met."""

    def __init__(self, library: Library, plan: ProductPlan) -> None:
        self.library = library
        self.plan = plan
        self.lock = threading.Lock()
        self.algorithms: dict[int, np.ndarray | None] = {}
        scale = np.dtype(SCALES.get(plan.dtype.name, "float32"))
        self.alpha, self.beta = (np.array([x], scale) for x in (plan.alpha, plan.beta))
        lt, attribute = library.bindings, library.bindings.MatmulDescAttribute
        self.description = lt.matmul_desc_create(compute_type(plan), DATA_TYPES[scale.name])
        self.set(attribute.TRANSA, int(plan.b.is_transposed))
        self.set(attribute.TRANSB, int(plan.a.is_transposed))
        self.set(attribute.EPILOGUE, int(lt.Epilogue[plan.epilogue.upper()]))
        if plan.auxiliary:
            self.set(attribute.EPILOGUE_AUX_LD, plan.auxiliary)
        self.a = self.layout(plan.a, plan.m, plan.k)
        self.b = self.layout(plan.b, plan.k, plan.n)
        self.d = self.layout(plan.d, plan.m, plan.n)

    def set(self, attribute: Any, value: int) -> None:
        """Set an attribute of the product."""
        lt = self.library.bindings
        word = np.array([value], lt.get_matmul_desc_attribute_dtype(attribute))
        lt.matmul_desc_set_attribute(self.description, attribute, word.ctypes.data, word.nbytes)

    def set_pointers(self, vector: int, auxiliary: int) -> None:
        """Set the addresses that an epilogue has, which are part of the description."""
        attribute = self.library.bindings.MatmulDescAttribute
        if self.plan.has_vector:
            self.set(attribute.BIAS_POINTER, vector)
        if self.plan.auxiliary:
            self.set(attribute.EPILOGUE_AUX_POINTER, auxiliary)

    def layout(self, place: MatrixLayout, rows: int, columns: int) -> int:
        """The descriptor of an operand with so many rows and columns, which the library takes for its transpose."""
        lt, attribute = self.library.bindings, self.library.bindings.MatrixLayoutAttribute
        inner, outer = (rows, columns) if place.is_transposed else (columns, rows)
        kind = DATA_TYPES[self.plan.dtype.name]
        layout = lt.matrix_layout_create(kind, inner, outer, place.leading)
        if self.plan.batch > 1:
            values = {
                attribute.BATCH_COUNT: self.plan.batch,
                attribute.STRIDED_BATCH_OFFSET: place.stride,
            }
            for name, value in values.items():
                word = np.array([value], lt.get_matrix_layout_attribute_dtype(name))
                lt.matrix_layout_set_attribute(layout, name, word.ctypes.data, word.nbytes)
        return layout

    def algorithm(self, alignment: int) -> np.ndarray | None:
        """The best algorithm for pointers that are multiples of so many bytes; None if there is none."""
        with self.lock:
            if alignment not in self.algorithms:
                self.algorithms[alignment] = self.find_algorithm(alignment)
            return self.algorithms[alignment]

    def find_algorithm(self, alignment: int) -> np.ndarray | None:
        lt, attribute = self.library.bindings, self.library.bindings.MatmulPreferenceAttribute
        handle, preference = self.library.handle, lt.matmul_preference_create()
        try:
            self.set_pointers(alignment, alignment)  # only their alignment matters here
            values = {attribute.MAX_WORKSPACE_BYTES: WORKSPACE_BYTES}
            for side in "ABCD":
                values[attribute[f"MIN_ALIGNMENT_{side}_BYTES"]] = alignment
            for name, value in values.items():
                word = np.array([value], lt.get_matmul_preference_attribute_dtype(name))
                address = word.ctypes.data
                lt.matmul_preference_set_attribute(preference, name, address, word.nbytes)
            found: Any = np.zeros(REQUESTED, lt.matmul_heuristic_result_dtype)
            count = np.zeros(1, np.int32)
            where = (self.b, self.a, self.d, self.d, preference, REQUESTED)
            addresses = (found.ctypes.data, count.ctypes.data)
            lt.matmul_algo_get_heuristic(handle, self.description, *where, *addresses)
        except lt.cuBLASLtError as error:
            if error.status in REFUSALS:
                return None
            raise
        finally:
            lt.matmul_preference_destroy(preference)
        return np.ascontiguousarray(found["algo"][:1]) if count[0] else None

    def run(
        self, pointers: dict[str, int], workspace: int, workspace_bytes: int, stream: int
    ) -> None:
        """Queue the product on a stream.

        Args:
            pointers: addresses by role: "a", "b", "d"; "c" if `beta` is not 0; "bias" (or its gradient) and
                "auxiliary" if the epilogue has them.
            workspace, workspace_bytes: memory that only this stream uses.
            stream: address of the stream.
        """
        lt, plan = self.library.bindings, self.plan
        a, b, d = pointers["a"], pointers["b"], pointers["d"]
        c = pointers.get("c", d)
        vector, auxiliary = pointers.get("bias", 0), pointers.get("auxiliary", 0)
        algorithm = self.algorithm(alignment_of(a | b | c | d | vector | auxiliary))
        if algorithm is None:
            raise NoAlgorithm(f"cuBLASLt has no algorithm for {plan} on addresses like {a:#x}")
        with self.lock:
            self.set_pointers(vector, auxiliary)
            operands = (self.alpha.ctypes.data, b, self.b, a, self.a, self.beta.ctypes.data)
            results = (c, self.d, d, self.d, algorithm.ctypes.data)
            memory = (workspace, min(workspace_bytes, WORKSPACE_BYTES), stream)
            lt.matmul(self.library.handle, self.description, *operands, *results, *memory)


def contiguous(plan: ProductPlan, size: int) -> ProductPlan:
    """A product like that of a plan, of square matrices."""
    rows = MatrixLayout(False, size)
    sizes = {"m": size, "n": size, "k": size, "batch": 1, "a": rows, "b": rows, "d": rows}
    return replace(plan, **sizes, alpha=1.0, beta=0.0)


def alignment_of(addresses: int) -> int:
    """The largest power of two that divides all addresses, which were combined by "or"."""
    lowest = addresses & -addresses
    return min(lowest, ALIGNMENT) if lowest else ALIGNMENT
