"""Where tests run: on a real GPU (`-m gpu`), on the emulated one, or on CuPy as strict as it is, over NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.gpu import strict_cupy
from tests.gpu.emulator import available


@dataclass(frozen=True)
class Place:
    """A device for tests.

    Attributes:
        put: brings a NumPy array there.
        host: brings an array back.
        ndarray: the class of its arrays.
    """

    put: Callable[[Any], Any]
    host: Callable[[Any], Any]
    ndarray: type


@pytest.fixture
def strict(monkeypatch):
    """CuPy as strict as it is, over NumPy; see `strict_cupy`."""
    strict_cupy.install(monkeypatch)
    return strict_cupy.module


def real_place() -> Place:
    cupy = importlib.import_module("cupy")
    return Place(cupy.asarray, cupy.asnumpy, cupy.ndarray)


# What works, but not as it should.
FALLBACKS = ("no kernels could be made", "a CUDA graph could not be made")
ON_GPU = pytest.param("gpu", marks=pytest.mark.gpu)


@pytest.fixture(params=["strict", ON_GPU])
def eager(request, monkeypatch):
    """A place where operations run one by one."""
    if request.param == "gpu":
        return real_place()
    strict_cupy.install(monkeypatch)
    return Place(strict_cupy.put, strict_cupy.module.asnumpy, strict_cupy.ndarray)


@pytest.fixture(params=["emulated", ON_GPU])
def compiled(request):
    """A place where jitted functions run."""
    if request.param == "gpu":
        yield real_place()
        return
    if (reason := available.missing()) is not None:
        pytest.skip(f"emulated GPU: {reason}")
    device = importlib.import_module("tests.gpu.emulator.device")
    memory = importlib.import_module("tests.gpu.emulator.memory")
    with device.emulated():
        yield Place(memory.put, memory.host, importlib.import_module("cupy").ndarray)


def pytest_collection_modifyitems(items):
    """Warnings of CuPy and of drivers on an unknown machine are shown, and are no failures; ours are."""
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.filterwarnings("default"), append=False)
            for text in FALLBACKS:
                item.add_marker(pytest.mark.filterwarnings(f"error:.*{text}"))
