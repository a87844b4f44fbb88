"""Differentiate, vectorize and compile functions of plain NumPy and CuPy arrays."""

from funcgrad import (
    debug,
    flatten_util,
    io,
    lax,
    nn,
    numpy,
    optim,
    random,
    scipy,
    test_util,
    tree,
    tree_util,
)
from funcgrad.config import (
    allow_nans,
    checking_leaks,
    config,
    debug_infs,
    debug_nans,
    disable_jit,
    threads,
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
from funcgrad.io import load, load_dict, load_metadata, save
from funcgrad.ir.types import ShapeDtypeStruct
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
