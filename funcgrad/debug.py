"""Looking inside traced code: `debug.print`, `debug.callback`, `debug.breakpoint`.

`breakpoint` is Python's own: it stops while the function is traced. Under `grad` and `jvp` outside `jit`, traced
values hold numbers there; inside `jit` and `vmap` they are symbolic, and `funcgrad.disable_jit()` shows numbers.
"""

from builtins import breakpoint

from funcgrad.transforms.callback import debug_callback as callback, debug_print as print

__all__ = ["breakpoint", "callback", "print"]
