"""The ways a function is run in the tests of this folder: each gives the same result as the plain call."""

import numpy as np

from funcgrad.transforms.grad import vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap


def inside_gradient(function, *args):
    return vjp(function, *args)[0]


def batched(function, *args):
    return np.asarray(vmap(function)(*[np.stack([arg, arg]) for arg in args]))[1]


def compiled(function, *args):
    return jit(function)(*args)


def compiled_gradient(function, *args):
    return jit(lambda *xs: vjp(function, *xs)[0])(*args)


MODES = {
    "grad": inside_gradient,
    "jit": compiled,
    "vmap": batched,
    "jit of grad": compiled_gradient,
}
ABSTRACT = {name: mode for name, mode in MODES.items() if name != "grad"}
