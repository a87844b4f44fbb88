"""Settings: a handful of flags, each also a context manager, read from `FUNCGRAD_<NAME>` at import."""

from __future__ import annotations

import contextlib
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

__all__ = [
    "allow_nans",
    "checking_leaks",
    "config",
    "debug_infs",
    "debug_nans",
    "default_matmul_precision",
    "disable_jit",
    "threads",
]

# Modules of this process were read then or later, which `compiler/cache.py` wants to know.
IMPORTED_NS = time.time_ns()


def _flag(name: str, default: str = "0") -> bool:
    return os.environ.get(f"FUNCGRAD_{name.upper()}", default).lower() not in (
        "0",
        "",
        "false",
        "off",
    )


def _thread_count() -> int:
    text = os.environ.get("FUNCGRAD_NUM_THREADS", "") or "0"
    if not text.isdecimal():
        raise ValueError(
            f"[config] FUNCGRAD_NUM_THREADS is {text!r}, expected a whole number such as 4, or 0 for all CPUs."
        )
    return int(text)


# Names of precisions, by what matrix products of float32 are then computed with.
PRECISIONS = {
    "highest": "highest",
    "float32": "highest",
    "high": "tensorfloat32",
    "tensorfloat32": "tensorfloat32",
    "default": "highest",
    "bfloat16": "bfloat16",
}


def precision_name(name: str | None) -> str:
    """The canonical name of a precision of matrix products; None is the default one."""
    if name is None:
        return "highest"
    if name not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"[default_matmul_precision] {name!r} is not known. Write one of {known}.")
    return PRECISIONS[name]


# One element for each reason, in any thread, why native code must ask before it takes a call: a flag that changes how
# functions run, or a trace that must see the call. It looks only at the length.
restraints: list[None] = []


class Config(threading.local):
    """The flags of this thread.

    debug_nans: raise FloatingPointError at the first operation that makes a NaN.
    debug_infs: the same for infinities.
    disable_jit: `jit` calls the plain function.
    explain_recompiles: print to stderr why a jitted function is traced again.
    checking_leaks: raise when a tracer outlives its trace.
    debug_key_reuse: warn when a random key is used by two sampling functions.
    nan_safe_where: the branch that `where` does not take contributes exactly zero to a gradient.
    check_programs: verify every Program after tracing and after each stage, and generated code.
    native: run machine code; without it `jit` runs generated Python, which is slower and easier to look into.
    cache: keep compiled code on disk between processes.
    num_threads: how many threads compiled code may use; 0 stands for as many as there are CPUs.
    default_device: where new arrays go, as "cpu" or "cuda:1"; "" stands for the CPU.
    default_matmul_precision: "highest", "tensorfloat32" or "bfloat16", for products of float32 on a GPU.
    """

    def __init__(self) -> None:
        self.debug_nans = _flag("debug_nans")
        self.debug_infs = _flag("debug_infs")
        self.disable_jit = _flag("disable_jit")
        self.explain_recompiles = _flag("explain_recompiles")
        self.checking_leaks = _flag("checking_leaks")
        self.debug_key_reuse = _flag("debug_key_reuse")
        self.nan_safe_where = os.environ.get("FUNCGRAD_NAN_SAFE_WHERE", "1") != "0"
        self.check_programs = _flag("check_programs")
        self.native = _flag("native", default="1")
        self.cache = _flag("cache", default="1")
        self.num_threads = _thread_count()
        self.default_device = os.environ.get("FUNCGRAD_DEFAULT_DEVICE", "")
        self.default_matmul_precision = precision_name(
            os.environ.get("FUNCGRAD_DEFAULT_MATMUL_PRECISION") or None
        )
        self.checks_values = self.debug_nans or self.debug_infs
        if self.is_unusual:
            restraints.append(None)

    @property
    def is_unusual(self) -> bool:
        """Whether calls of compiled functions must go through Python code in this thread."""
        has_gpu_default = self.default_device not in ("", "cpu")
        return bool(self.disable_jit or self.checks_values or not self.native or has_gpu_default)

    @contextlib.contextmanager
    def override(self, **flags: int | str) -> Iterator[None]:
        """Set flags of this thread inside a `with` block.

        Example:
            >>> from funcgrad.config import config
            >>> with config.override(debug_nans=True):
            ...     config.debug_nans
            True
        """
        unknown = sorted(set(flags) - set(vars(self)) | {"checks_values"} & set(flags))
        if unknown:
            known = ", ".join(sorted(vars(self)))
            raise AttributeError(f"[config] unknown flag {unknown[0]!r}. Known flags: {known}.")
        saved = {name: getattr(self, name) for name in flags}
        self._set(flags)
        try:
            yield
        finally:
            self._set(saved)

    def _set(self, flags: dict[str, Any]) -> None:
        was_unusual = self.is_unusual
        changed = [name for name, value in flags.items() if getattr(self, name) != value]
        vars(self).update(flags)
        # One look tells the hot path that neither check is on.
        self.checks_values = self.debug_nans or self.debug_infs
        if self.is_unusual and not was_unusual:
            restraints.append(None)
        elif was_unusual and not self.is_unusual:
            restraints.pop()
        for name in changed:
            for forget in _watchers.get(name, ()):
                forget()


config = Config()

# What other files keep for the value of a flag: functions that make the thread that calls forget it.
_watchers: dict[str, list[Callable[[], object]]] = {}


def when_changed(flag: str, forget: Callable[[], object]) -> None:
    """Call `forget()` in each thread in which an override gives the flag another value, from now on."""
    _watchers.setdefault(flag, []).append(forget)


def debug_nans(enable: bool = True) -> contextlib.AbstractContextManager[None]:
    """Raise FloatingPointError at the first operation that makes a NaN, inside a `with` block."""
    return config.override(debug_nans=enable)


def debug_infs(enable: bool = True) -> contextlib.AbstractContextManager[None]:
    """Raise FloatingPointError at the first operation that makes an infinity, inside a `with` block."""
    return config.override(debug_infs=enable)


def checking_leaks(enable: bool = True) -> contextlib.AbstractContextManager[None]:
    """Raise UnexpectedTracerError at the end of a trace if a traced value outlives it, naming its line.

    Every trace then searches all objects, which takes long; meant for finding a leak, and for tests.

    Example:
        >>> import funcgrad as fg
        >>> with fg.checking_leaks():
        ...     float(fg.grad(lambda x: x * x)(3.0))
        6.0
    """
    return config.override(checking_leaks=enable)


def allow_nans() -> contextlib.AbstractContextManager[None]:
    """Switch `debug_nans` off for a block that makes NaNs on purpose."""
    return config.override(debug_nans=False, debug_infs=False)


def disable_jit(disable: bool = True) -> contextlib.AbstractContextManager[None]:
    """Make `jit` call the plain Python function, so that pdb and print work.

    Example:
        >>> import funcgrad as fg
        >>> with fg.disable_jit():
        ...     fg.jit(lambda x: x + 1.0)(2.0)
        3.0
    """
    return config.override(disable_jit=disable)


def threads(count: SupportsIndex) -> contextlib.AbstractContextManager[None]:
    """Let compiled code that this thread calls use so many threads, inside a `with` block.

    Outside of such blocks it is `FUNCGRAD_NUM_THREADS`, or as many as there are CPUs for this process. For a fixed
    count results are the same from run to run; between counts the last bits of sums may differ.

    Args:
        count: at least 1, which means the calling thread alone.

    Raises:
        TypeError: `count` is not a whole number.
        ValueError: it is less than 1.

    Example:
        >>> import funcgrad as fg
        >>> with fg.threads(1):
        ...     float(fg.jit(lambda x: x + 1.0)(2.0))
        3.0
    """
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(
            f"[threads] count is {count!r}, expected a whole number. Write threads(4) for four threads."
        ) from None
    if number < 1:
        raise ValueError(
            f"[threads] count is {number}, expected at least 1. Write threads(1) for one thread; "
            "without threads(...) it is all CPUs of this process."
        )
    return config.override(num_threads=number)


def default_matmul_precision(precision: str | None) -> contextlib.AbstractContextManager[None]:
    """What float32 matrix products and convolutions on a GPU are computed with, inside a `with` block.

    Outside of such blocks it is `FUNCGRAD_DEFAULT_MATMUL_PRECISION`, or "highest". JAX chooses TF32 for itself on
    recent GPUs; funcgrad and PyTorch do not. The CPU always computes exactly, and so do other dtypes.

    Args:
        precision: "highest" (or "float32", "default", None): every product is one of float32 numbers, relative
            error about 1e-7. "tensorfloat32" (or "high"): operands are rounded to 10 bits after the point, about
            1e-3, several times faster. "bfloat16": operands are rounded to 7 bits, about 1e-2. Sums are of
            float32 numbers in all of them.

    Raises:
        ValueError: the name is not known.

    Example:
        >>> import funcgrad as fg
        >>> with fg.default_matmul_precision("tensorfloat32"):
        ...     fg.config.default_matmul_precision
        'tensorfloat32'
    """
    return config.override(default_matmul_precision=precision_name(precision))
