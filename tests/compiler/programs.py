"""What tests of the compiler do with Programs: record them, name their operations, compare results bit by bit."""

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad.ir.program import subprograms
from funcgrad.ir.types import kind


def recorded(f, *args):
    return fg.make_jaxpr(f)(*args)


def names(program):
    """The names of the operations, in order."""
    return [equation.primitive.name for equation in program.equations]


def all_names(program):
    """The names of the operations, also of those in loops and branches."""
    found = names(program)
    for equation in program.equations:
        for inner in subprograms(equation):
            found += all_names(inner)
    return found


def bits(x):
    """The bytes of an array, with one NaN for all: IEEE arithmetic leaves its sign open."""
    x = np.array(x, order="C")
    if np.iscomplexobj(x):
        return bits(np.real(x)) + bits(np.imag(x))
    if kind(x.dtype) == "f":
        x[np.isnan(x)] = np.nan
    return x.tobytes()
