"""How each library takes arrays, hands them back and finishes its work: all that the worker knows of it."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.row import Row, leaves_of, map_arrays


class Library:
    """Plain NumPy arrays: what funcgrad, autograd and NumPy itself take.

    Attributes:
        side: name of the side.
        modules: what is imported before anything is measured.
    """

    modules: tuple[str, ...] = ()

    def __init__(self, side: str, backend: str) -> None:
        self.side, self.backend = side, backend
        self.loaded = [importlib.import_module(name) for name in self.modules]

    @property
    def version(self) -> str:
        try:
            return metadata.version(self.modules[0] if self.modules else "numpy")
        except metadata.PackageNotFoundError:
            return "source tree"

    def take(self, array: np.ndarray) -> Any:
        return array

    def give(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def waiter(self, result: Any) -> Callable[[Any], Any] | None:
        """What waits until a result like this one is computed; None where a call returns only then."""
        del result
        return None

    def build(self, row: Row, data: tuple) -> Any:
        return getattr(row, self.side)(*map_arrays(self.take, data))

    def start(self) -> None:
        """A first trivial compilation, so that starting the library is not counted as compiling the row."""


class Funcgrad(Library):
    # Its parts are imported when first used, which is no part of compiling.
    modules = ("funcgrad", "funcgrad.nn", "funcgrad.optim", "funcgrad.random")

    def __init__(self, side: str, backend: str) -> None:
        super().__init__(side, backend)
        # A program that falls back to generated Python is no result: the row then says why.
        warnings.filterwarnings("error", message="funcgrad: no machine code")
        if backend == "cupy":
            self.cupy = importlib.import_module("cupy")

    def waiter(self, result: Any) -> Callable[[Any], Any] | None:
        del result
        if self.backend == "cupy":
            return lambda result: self.cupy.cuda.get_current_stream().synchronize()
        return None

    def take(self, array: np.ndarray) -> Any:
        return self.cupy.asarray(array) if self.backend == "cupy" else array

    def give(self, array: Any) -> np.ndarray:
        return self.cupy.asnumpy(array) if self.backend == "cupy" else np.asarray(array)

    def start(self) -> None:
        self.loaded[0].jit(lambda x: x + 1)(self.take(np.zeros(3)))


class Autograd(Library):
    modules = ("autograd",)


class Jax(Library):
    modules = ("jax",)

    def take(self, array: np.ndarray) -> Any:
        return self.loaded[0].numpy.asarray(array)

    def waiter(self, result: Any) -> Callable[[Any], Any] | None:
        """All results of a compiled function are ready together, so the first is enough."""
        if type(result) in (tuple, list):
            inner = self.waiter(result[0])
            return lambda result: inner(result[0])  # type: ignore[misc]
        if type(result) is dict:
            key = next(iter(result))
            inner = self.waiter(result[key])
            return lambda result: inner(result[key])  # type: ignore[misc]
        return type(result).block_until_ready

    def start(self) -> None:
        self.loaded[0].jit(lambda x: x + 1)(self.take(np.zeros(3))).block_until_ready()


class Torch(Library):
    modules = ("torch",)

    def __init__(self, side: str, backend: str) -> None:
        super().__init__(side, backend)
        self.torch = self.loaded[0]
        self.device = "cuda" if backend == "cupy" else "cpu"

    def waiter(self, result: Any) -> Callable[[Any], Any] | None:
        del result
        return (lambda result: self.torch.cuda.synchronize()) if self.device == "cuda" else None

    def take(self, array: np.ndarray) -> Any:
        return self.torch.from_numpy(array.copy()).to(self.device)

    def give(self, array: Any) -> np.ndarray:
        return array.detach().cpu().numpy()

    @property
    def version(self) -> str:
        return f"{super().version}, {self.torch.get_num_threads()} threads"

    def build(self, row: Row, data: tuple) -> Any:
        arrays = map_arrays(self.take, data)
        if self.side == "torch":
            return row.torch(lambda function: function, *arrays)  # type: ignore[attr-defined]
        method = getattr(row, "torch_compile", None) or row.torch  # type: ignore[attr-defined]
        return method(self.torch.compile, *arrays)

    def start(self) -> None:
        if self.side == "torch_compile":
            self.torch.compile(lambda x: x + 1)(self.take(np.zeros(3)))


LIBRARIES = {
    "funcgrad": Funcgrad,
    "jax": Jax,
    "torch": Torch,
    "torch_compile": Torch,
    "autograd": Autograd,
    "numpy": Library,
}


@functools.cache
def library(side: str, backend: str = "numpy") -> Library:
    """The library behind a side; ImportError where it is not installed."""
    return LIBRARIES[side](side, backend)


def arrays_of(library: Library, result: Any) -> list[np.ndarray]:
    """A result as NumPy arrays."""
    return [library.give(leaf) for leaf in leaves_of(result)]
