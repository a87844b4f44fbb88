"""Differentiate, vectorize and compile functions of plain NumPy and CuPy arrays."""

from funcgrad import debug, flatten_util, lax, numpy, random, scipy, test_util, tree, tree_util
from funcgrad.config import (
    allow_nans,
    config,
    debug_infs,
    debug_nans,
    disable_jit,
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
