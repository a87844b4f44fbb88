"""Looking inside traced code: `debug.print`, `debug.callback`, `debug.breakpoint`."""

from __future__ import annotations

import pdb
import sys
from typing import Any

from funcgrad.ir.source import user_frame
from funcgrad.transforms.callback import debug_callback as callback, debug_print as print

__all__ = ["breakpoint", "callback", "print"]


def breakpoint(**unused: Any) -> None:
    """Stop in the debugger at the calling line, while the function is traced.

    Under `grad` and `jvp` outside `jit` the traced values hold numbers; inside `jit` and `vmap` they are
    symbolic: use `funcgrad.disable_jit()` to see numbers there.
    """
    del unused
    debugger = pdb.Pdb(stdout=sys.stdout)
    debugger.set_trace(user_frame())
