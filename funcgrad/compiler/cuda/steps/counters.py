"""Numbers of iterations that the device counts itself, so that the host need not write them."""

from __future__ import annotations

from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.steps.text import kernel


def advance(step: int) -> Source:
    """A kernel on (number) that adds to an int64."""
    body = f"  if (threadIdx.x == 0) number[0] += {step};\n"
    return kernel("advance", ("long long* number",), body, 1, 32)


def last_place() -> Source:
    """A kernel on (place, count): the last place of so many."""
    body = "  if (threadIdx.x == 0) place[0] = count[0] - 1;\n"
    return kernel("last_place", ("long long* place", "const long long* count"), body, 1, 32)
