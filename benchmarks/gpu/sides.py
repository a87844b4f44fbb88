"""How each library is set up on a GPU: equal precision, no memory taken in advance, and a CUDA graph made by hand."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.rows import Kernel
from benchmarks.libraries import Funcgrad, Jax, Library, Torch
from benchmarks.row import Row, Training, map_arrays

SIDES = {
    "funcgrad": "funcgrad",
    "jax": "JAX jit",
    "torch": "torch eager",
    "torch_compile": "torch.compile",
    "torch_graph": "torch CUDA graph",
}
PEERS = tuple(side for side in SIDES if side != "funcgrad")
WARM_UP = 3
# PyTorch's names of the precisions; its "medium" is TF32 on GPUs as well.
TORCH_PRECISIONS = {"highest": "highest", "tensorfloat32": "high", "bfloat16": "medium"}


def precision_of(row: Row) -> str:
    return row.precision if isinstance(row, Kernel) else "highest"


def dtype_of(row: Row) -> str:
    return row.dtype if isinstance(row, Kernel) else "float32"


class GpuFuncgrad(Funcgrad):
    """funcgrad on CuPy arrays; on NumPy arrays where there is no GPU."""

    row: Row

    def __init__(self, side: str, backend: str) -> None:
        super().__init__(side, backend)
        warnings.filterwarnings("error", message="funcgrad: no kernels")

    def prepare(self, row: Row) -> None:
        self.row = row
        self.loaded[0].config.default_matmul_precision = precision_of(row)

    def take(self, array: np.ndarray) -> Any:
        if dtype_of(self.row) == "bfloat16" and array.dtype.kind == "f":
            array = array.astype(importlib.import_module("ml_dtypes").bfloat16)
        return super().take(array)

    def give(self, array: Any) -> np.ndarray:
        return as_float32(super().give(array))

    def memory(self) -> float:
        if self.backend != "cupy":
            return float("nan")
        return self.cupy.get_default_memory_pool().total_bytes() / 1e6


class GpuJax(Jax):
    """JAX, told to compute float32 products exactly, which is not its default on recent GPUs."""

    row: Row

    def prepare(self, row: Row) -> None:
        self.row = row
        self.loaded[0].config.update("jax_default_matmul_precision", precision_of(row))

    def take(self, array: np.ndarray) -> Any:
        taken = super().take(array)
        if dtype_of(self.row) == "bfloat16" and array.dtype.kind == "f":
            return taken.astype(self.loaded[0].numpy.bfloat16)
        return taken

    def give(self, array: Any) -> np.ndarray:
        return as_float32(super().give(array))

    def memory(self) -> float:
        found = self.loaded[0].local_devices()[0].memory_stats() or {}
        return found.get("peak_bytes_in_use", float("nan")) / 1e6


class GpuTorch(Torch):
    """PyTorch: eager, compiled with its own CUDA graphs, or eager inside one graph made by hand."""

    row: Row

    def __init__(self, side: str, backend: str) -> None:
        super().__init__(side, backend)
        self.optimizers: list[Any] = []
        mode = {"mode": "reduce-overhead"} if self.device == "cuda" else {}
        self.compile = functools.partial(self.torch.compile, **mode)
        if side == "torch_graph":
            self.torch.optim.Adam = self.capturable(self.torch.optim.Adam)

    def capturable(self, adam: Any) -> Callable[..., Any]:
        """Adam that may be captured, and whose state can be set back after the warm-up."""

        @functools.wraps(adam)
        def make(*args: Any, **options: Any) -> Any:
            self.optimizers.append(adam(*args, **{**options, "capturable": True}))
            return self.optimizers[-1]

        return make

    def prepare(self, row: Row) -> None:
        self.row = row
        precision = precision_of(row)
        self.torch.set_float32_matmul_precision(TORCH_PRECISIONS[precision])
        self.torch.backends.cudnn.allow_tf32 = precision != "highest"
        self.torch._dynamo.reset()

    def take(self, array: np.ndarray) -> Any:
        taken = super().take(array)
        if dtype_of(self.row) == "bfloat16" and array.dtype.kind == "f":
            return taken.to(self.torch.bfloat16)
        return taken

    def give(self, array: Any) -> np.ndarray:
        return array.detach().cpu().float().numpy()

    def build(self, row: Row, data: tuple) -> Any:
        work: Any = row
        arrays = map_arrays(self.take, data)
        if self.side == "torch_compile":
            method = getattr(row, "torch_compile", None) or work.torch
            return method(self.compile, *arrays)
        eager = work.torch(lambda function: function, *arrays)
        return self.graphed(eager) if self.side == "torch_graph" else eager

    def graphed(self, work: Any) -> Any:
        """The whole call captured in one CUDA graph, as PyTorch's manual says."""
        torch = self.torch
        if self.device != "cuda":
            raise RuntimeError("CUDA graphs need a GPU")
        call, reset = work if isinstance(work, Training) else (work, lambda: None)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()

        def replay() -> Any:
            graph.replay()
            return result

        self.forget_warm_up()
        reset()
        return Training(replay, reset) if isinstance(work, Training) else replay

    def forget_warm_up(self) -> None:
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def memory(self) -> float:
        return (
            self.torch.cuda.max_memory_reserved() / 1e6 if self.device == "cuda" else float("nan")
        )


LIBRARIES: dict[str, type[Library]] = {
    "funcgrad": GpuFuncgrad,
    "jax": GpuJax,
    "torch": GpuTorch,
    "torch_compile": GpuTorch,
    "torch_graph": GpuTorch,
}


def as_float32(array: np.ndarray) -> np.ndarray:
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def sides_of(row: Row) -> list[str]:
    """The sides that a row has."""
    methods = {side: "torch" if side.startswith("torch") else side for side in SIDES}
    return [s for s in SIDES if hasattr(row, methods[s]) and s not in row.leaves_out]


def gpu_library(side: str, backend: str) -> Any:
    """The library of a side, for arrays on the GPU ("cupy") or on the CPU ("numpy")."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if backend == "numpy":
        os.environ["JAX_PLATFORMS"] = "cpu"
    return LIBRARIES[side](side, backend)
