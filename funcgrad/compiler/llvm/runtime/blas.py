"""BLAS for native code: the functions that SciPy publishes, as symbols `fg_blas_sgemm`, and their thread count.

SciPy's matrices are indexed with 32-bit integers, and all arguments are passed by address, as in Fortran. Natively
compiled code divides the work among its own threads, so each call must run on the thread that makes it. OpenBLAS
knows only one thread count for the whole process (its `set_num_threads_local` changes that one too), hence
`fg_blas_enter` and `fg_blas_leave`: the first of several overlapping sections sets it to 1, and the last puts back
what was found, unless somebody has changed it meanwhile.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from string import Template
from typing import Any

from funcgrad.compiler.llvm.runtime import system

# --- the section, part of the runtime module ---

SECTION = Template("""
@blas_locked = internal global i32 0, align 64
@blas_inside = internal global i64 0
@blas_found = internal global i32 0
@blas_get = internal global ptr null
@blas_set = internal global ptr null

define void @fg_blas_controls(ptr %get, ptr %set) {
  store ptr %get, ptr @blas_get
  store ptr %set, ptr @blas_set
  ret void
}

define internal void @lock_blas() {
entry:
  br label %try
try:
  %pair = cmpxchg ptr @blas_locked, i32 0, i32 1 seq_cst seq_cst
  %success = extractvalue {i32, i1} %pair, 1
  br i1 %success, label %leave, label %again
again:
  $pause
  br label %try
leave:
  ret void
}

define void @fg_blas_enter() {
entry:
  %get = load ptr, ptr @blas_get
  %unknown = icmp eq ptr %get, null
  br i1 %unknown, label %leave, label %lock
lock:
  call void @lock_blas()
  %inside = load i64, ptr @blas_inside
  %more = add i64 %inside, 1
  store i64 %more, ptr @blas_inside
  %first = icmp eq i64 %inside, 0
  br i1 %first, label %change, label %unlock
change:
  %found = call i32 %get()
  store i32 %found, ptr @blas_found
  %set = load ptr, ptr @blas_set
  call void %set(i32 1)
  br label %unlock
unlock:
  store atomic i32 0, ptr @blas_locked seq_cst, align 4
  br label %leave
leave:
  ret void
}

define void @fg_blas_leave() {
entry:
  %get = load ptr, ptr @blas_get
  %unknown = icmp eq ptr %get, null
  br i1 %unknown, label %leave, label %lock
lock:
  call void @lock_blas()
  %inside = load i64, ptr @blas_inside
  %fewer = sub i64 %inside, 1
  store i64 %fewer, ptr @blas_inside
  %last = icmp eq i64 %fewer, 0
  br i1 %last, label %look, label %unlock
look:
  call void @put_back()
  br label %unlock
unlock:
  store atomic i32 0, ptr @blas_locked seq_cst, align 4
  br label %leave
leave:
  ret void
}

define internal void @put_back() {
entry:
  %get = load ptr, ptr @blas_get
  %now = call i32 %get()
  %ours = icmp eq i32 %now, 1
  br i1 %ours, label %change, label %leave
change:
  %found = load i32, ptr @blas_found
  %set = load ptr, ptr @blas_set
  call void %set(i32 %found)
  br label %leave
leave:
  ret void
}

; In a forked child no section is left by the threads that entered it.
define void @blas_reset() {
entry:
  store i32 0, ptr @blas_locked
  %inside = load i64, ptr @blas_inside
  store i64 0, ptr @blas_inside
  %some = icmp ne i64 %inside, 0
  br i1 %some, label %restore, label %leave
restore:
  call void @put_back()
  br label %leave
leave:
  ret void
}
""")


def section() -> str:
    """The text of `void fg_blas_enter()` and `void fg_blas_leave()`."""
    return SECTION.substitute(pause=system.pause()[1])


# --- what SciPy has ---

BLAS = "scipy.linalg.cython_blas"

# Pairs of functions that ask for and change a thread count, under the names of different builds.
CONTROLS = (
    *[
        (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
        for prefix in ("scipy_", "")
        for suffix in ("", "64_")
    ],
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)


def functions() -> dict[str, int]:
    """The address of each function of SciPy's BLAS by its name there; empty if its integers are not C's `int`.

    Functions with a complex result are left out: compilers differ in how they return it.
    """
    return published(BLAS)


def published(module: str) -> dict[str, int]:
    """The same for a module of SciPy that publishes C functions."""
    found = {}
    for name, capsule in _module(module).__pyx_capi__.items():
        signature = system.capsule_name(capsule)
        if " int *" in signature and "complex" not in signature.split(" (")[0]:
            found[name] = system.capsule_address(capsule)
    return found


def controls() -> tuple[int, int] | None:
    """The addresses of `int get()` and `void set(int)` for the thread count of this BLAS, None if they are unknown."""
    # A search in a library goes on in those that it was linked with.
    library = ctypes.CDLL(_module(BLAS).__file__)
    for names in CONTROLS:
        if all(hasattr(library, name) for name in names):
            get, set_ = (system.function_address(library[name]) for name in names)
            return get, set_
    return None


def _module(name: str) -> Any:
    """A module of `scipy.linalg` without the rest of that, whose import takes a quarter of a second."""
    import scipy

    if name not in sys.modules:
        loader = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
        directory = os.path.join(scipy.__path__[0], "linalg")
        spec = importlib.machinery.FileFinder(directory, loader).find_spec(name)
        if spec is None or spec.loader is None:
            return importlib.import_module(name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return sys.modules[name]
