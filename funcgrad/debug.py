"""Looking inside traced and compiled code: `debug.print`, `debug.callback`, `debug.breakpoint`, `debug.inspect`.

`breakpoint` is Python's own: it stops while the function is traced. Under `grad` and `jvp` outside `jit`, traced
values hold numbers there; inside `jit` and `vmap` they are symbolic, and `funcgrad.disable_jit()` shows numbers.
"""

from builtins import breakpoint
from collections.abc import Callable
from typing import Any

from funcgrad.compiler.inspection import Inspection
from funcgrad.transforms.callback import debug_callback as callback, debug_print as print
from funcgrad.transforms.jit import JitFunction

__all__ = ["breakpoint", "callback", "inspect", "print"]


def inspect(fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Inspection:
    """What `jit` makes of a function for these arguments. Nothing is executed.

    Args:
        fun: a function, jitted or not.
        args, kwargs: the arguments of a call.

    Returns:
        The stages of its compilation: attributes `program`, `simplified`, `python`, `graph`, `kernels`, `plan`,
        `llvm` and `assembly`, and `launches` and `cuda` for a GPU, which print readably. `show("llvm")` prints one.

    Example:
        >>> import numpy as np
        >>> from funcgrad import debug
        >>> debug.inspect(lambda x: np.tanh(x).sum(), np.ones(8)).show("simplified")
        lambda(a:float64[8]) {
          b:float64[8] = tanh a ...
          c:float64[] = reduce_sum[axes=(0,)] b ...
          return c
        }
    """
    jitted = fun if isinstance(fun, JitFunction) else JitFunction(fun)
    entry = jitted.entry(*args, **kwargs)
    return Inspection(entry.program, entry.donated, entry.device)
