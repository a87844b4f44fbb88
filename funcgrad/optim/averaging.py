"""Running averages, of one array at a time: what the transformations with memory are written with."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.types import is_complex
from funcgrad.optim.base import map_leaves


def mixed(mean: Any, value: Any, decay: Any) -> Any:
    """One step of an exponential moving average."""
    return decay * mean + (1 - decay) * value


def debiased(mean: Any, decay: Any, count: Any) -> Any:
    """An average that began at zero, as if the `count` steps so far were all there is."""
    return mean / (1 - decay**count)


def looked_ahead(mean: Any, gradient: Any, decay: Any, count: Any) -> Any:
    """The average that the next step will have if the gradient stays (Dozat, 2016)."""
    return decay * debiased(mean, decay, count + 1) + (1 - decay) * debiased(gradient, decay, count)


def abs_squared(x: Any) -> Any:
    """|x|**2, real also for complex x."""
    return x.real * x.real + x.imag * x.imag if is_complex(x.dtype) else x * x


def in_dtype(moments: Any, dtype: Any) -> Any:
    """A tree of moments in the dtype that the user asked for, if there is one."""
    if dtype is None:
        return moments
    return map_leaves(lambda m: None if m is None else m.astype(dtype), "update", moments)
