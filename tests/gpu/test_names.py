"""Every function of the array module that operations call exists in CuPy. No GPU is needed for looking."""

import ast
import functools
import importlib
from pathlib import Path

import pytest

import funcgrad
from funcgrad.ir.primitive import Primitive
from tests.test_architecture import first_order_primitives

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
FOLDERS = ("ops", "control", "transforms")
# Branches for NumPy alone, and names that are built at run time.
ONLY_NUMPY = {"at", "__name__"}


def chains(tree):
    """The dotted names `xp.a.b` in a file."""
    for node in ast.walk(tree):
        path = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if path and isinstance(node, ast.Name) and node.id == "xp":
            yield path[::-1]


def used_names():
    names = set()
    for folder in FOLDERS:
        for file in (Path(funcgrad.__file__).parent / folder).glob("*.py"):
            names |= {".".join(path) for path in chains(ast.parse(file.read_text()))}
    return sorted(name for name in names if name not in ONLY_NUMPY)


def ufuncs():
    found = {getattr(cls, "ufunc", "") for cls in first_order_primitives(Primitive)}
    combined = {getattr(cls, "combine", "") for cls in first_order_primitives(Primitive)}
    return sorted((found | combined) - {"", None, "set", "and", "or", "argmax", "argmin"})


@pytest.mark.parametrize("name", used_names())
def test_functions(name):
    try:
        functools.reduce(getattr, name.split("."), cupy)
    except ImportError:
        pytest.skip("its library of CUDA is not installed")


@pytest.mark.parametrize("name", ufuncs())
def test_ufuncs(name):
    module, _, attribute = name.rpartition(":")
    found = importlib.import_module(f"cupyx.{module}") if module else cupy
    assert callable(getattr(found, attribute))
