"""Derivatives without NumPy's warnings.

A derivative may be infinite or overflow on the way where the function itself is harmless: NumPy would warn
about an operation that the user did not write. What is computed or recorded here stays silent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.tracer import state


class quiet:  # noqa: N801
    """Context manager: no warnings from operations that run here, nor later from those recorded here."""

    __slots__ = ("errstate",)

    def __enter__(self) -> None:
        self.errstate = None if state.quiet else np.errstate(all="ignore")
        if self.errstate is not None:
            state.quiet = True
            self.errstate.__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self.errstate is not None:
            state.quiet = False
            self.errstate.__exit__(kind, error, traceback)
