"""Differentiate, vectorize and compile functions of plain NumPy and CuPy arrays."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from funcgrad import lax, numpy, tree
from funcgrad.config import (
    allow_nans,
    checking_leaks,
    config,
    debug_infs,
    debug_nans,
    default_matmul_precision,
    disable_jit,
    threads,
)
from funcgrad.device import (
    Device,
    block_until_ready,
    cuda_is_available,
    default_device,
    device_get,
    device_of,
    device_put,
    devices,
    set_default_device,
    try_gpu,
)
from funcgrad.errors import (
    CheckpointError,
    ConcretizationTypeError,
    KeyReuseError,
    MutatedResidualError,
    NonConcreteBooleanIndexError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    UnexpectedTracerError,
)
from funcgrad.ir.types import ShapeDtypeStruct
from funcgrad.transforms.callback import pure_callback
from funcgrad.transforms.checkpoint import checkpoint, checkpoint_name, checkpoint_policies, remat
from funcgrad.transforms.custom import custom_gradient, custom_jvp, custom_vjp
from funcgrad.transforms.forward import jvp, linear_transpose, linearize
from funcgrad.transforms.grad import grad, value_and_grad, vjp
from funcgrad.transforms.jacobian import hessian, hvp, jacfwd, jacobian, jacrev
from funcgrad.transforms.jit import jit
from funcgrad.transforms.staging import closure_convert, eval_shape, make_jaxpr
from funcgrad.transforms.stop_gradient import stop_gradient
from funcgrad.transforms.vmap import vmap

if _TYPE_CHECKING:
    from funcgrad import (
        debug,
        distributions,
        flatten_util,
        io,
        nn,
        optim,
        random,
        scipy,
        test_util,
        train,
        tree_util,
    )
    from funcgrad.io import load, load_dict, load_metadata, save
    from funcgrad.nn import (
        Module,
        combine,
        field,
        filter,
        initializers,
        is_array,
        is_array_like,
        is_inexact_array,
        partition,
        tree_at,
        tree_equal,
    )
    from funcgrad.optim import apply_updates
    from funcgrad.transforms.user_primitives import primitive

# What is imported when first asked for, so that `import funcgrad` stays fast: modules, and names of theirs.
_LATE_MODULES = (
    "debug",
    "distributions",
    "flatten_util",
    "io",
    "nn",
    "optim",
    "random",
    "scipy",
    "test_util",
    "train",
    "tree_util",
)
_LATE_NAMES = {
    "io": (
        "load",
        "load_dict",
        "load_metadata",
        "save",
    ),
    "nn": (
        "Module",
        "combine",
        "field",
        "filter",
        "initializers",
        "is_array",
        "is_array_like",
        "is_inexact_array",
        "partition",
        "tree_at",
        "tree_equal",
    ),
    "optim": ("apply_updates",),
    "transforms.user_primitives": ("primitive",),
}
_HOMES = {name: module for module, names in _LATE_NAMES.items() for name in names}
_NOW = [name for name in globals() if not name.startswith("_")]
__all__ = [*_NOW, *_LATE_MODULES, *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOMES and name not in _LATE_MODULES:
        raise AttributeError(f"module 'funcgrad' has no attribute {name!r}")
    module = _importlib.import_module(f"funcgrad.{_HOMES.get(name, name)}")
    found = globals()[name] = getattr(module, name) if name in _HOMES else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
