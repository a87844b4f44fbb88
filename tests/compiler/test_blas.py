"""SciPy's BLAS from native code: right results from several threads, and a thread count that is put back."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.loading.load import load
from funcgrad.compiler.llvm.runtime import blas, runtime

pytest.importorskip("llvmlite")

# One chunk is one product of square matrices; `data` holds n, alpha, beta, and the three stacks.
TASK = """
declare void @fg_blas_dgemm(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)
@no = private constant i8 78
@zero = private constant double 0.0
@one = private constant double 1.0

define void @multiply(ptr %data, i64 %chunk) {
  %size = load i32, ptr %data
  %wide = zext i32 %size to i64
  %square = mul i64 %wide, %wide
  %skip = mul i64 %square, %chunk
  %first = getelementptr i64, ptr %data, i64 1
  %second = getelementptr i64, ptr %data, i64 2
  %third = getelementptr i64, ptr %data, i64 3
  %as = load ptr, ptr %first
  %bs = load ptr, ptr %second
  %cs = load ptr, ptr %third
  %a = getelementptr double, ptr %as, i64 %skip
  %b = getelementptr double, ptr %bs, i64 %skip
  %c = getelementptr double, ptr %cs, i64 %skip
  call void @fg_blas_dgemm(ptr @no, ptr @no, ptr %data, ptr %data, ptr %data, ptr @one,
    ptr %a, ptr %data, ptr %b, ptr %data, ptr @zero, ptr %c, ptr %data)
  ret void
}
"""


@pytest.fixture(scope="module")
def task():
    if not runtime.ensure_blas():
        pytest.skip("SciPy publishes no BLAS with 32-bit integers")
    return load(TASK)


def test_functions():
    found = blas.functions()
    names = {"sgemm", "dgemm", "cgemm", "zgemm", "sgemv", "dgemv", "sdot", "ddot", "strsm", "dsyrk"}
    assert names <= found.keys()
    assert not {"cdotu", "zdotc", "cladiv"} & found.keys(), "complex results are left out"
    assert all(found.values())


def test_the_real_module_can_still_be_imported():
    runtime.ensure_blas()
    from scipy.linalg import blas as scipy_blas, cython_blas

    assert cython_blas.__pyx_capi__.keys() >= blas.functions().keys()
    np.testing.assert_array_equal(scipy_blas.dgemm(1.0, np.eye(2), np.eye(2)), np.eye(2))


@pytest.mark.parametrize("size", [1, 3, 64, 150])
def test_products_on_several_threads(task, size):
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 12, size, size))
    c = np.zeros_like(a)
    pointers = [size, *(array.ctypes.data for array in (a, b, c))]
    data = np.array(pointers, np.int64)
    types = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    parallel = runtime.ensure().function("fg_parallel", None, *types)
    enter, leave = sections()
    with fg.threads(3):
        for _ in range(3):
            enter()
            parallel(task.address("multiply"), data.ctypes.data, 12)
            leave()
            # BLAS reads columns first: the products are those of the transposes.
            np.testing.assert_allclose(c, b @ a, rtol=1e-12, atol=1e-12)


# --- the thread count ---


def sections():
    function = runtime.ensure().function
    return function("fg_blas_enter"), function("fg_blas_leave")


@pytest.fixture
def count():
    """The thread count of the BLAS as a pair of functions; afterwards it is as before."""
    if not runtime.ensure_blas() or (controls := blas.controls()) is None:
        pytest.skip("a BLAS whose thread count cannot be set")
    get = ctypes.CFUNCTYPE(ctypes.c_int)(controls[0])
    set_ = ctypes.CFUNCTYPE(None, ctypes.c_int)(controls[1])
    before = get()
    yield get, set_
    set_(before)


def test_section_runs_alone_and_puts_back(count):
    get, set_ = count
    enter, leave = sections()
    set_(2)
    enter()
    assert get() == 1
    leave()
    assert get() == 2


def test_overlapping_sections(count):
    get, set_ = count
    enter, leave = sections()
    set_(2)
    enter()
    enter()
    leave()
    assert get() == 1
    leave()
    assert get() == 2


def test_a_change_by_the_user_stays(count):
    get, set_ = count
    enter, leave = sections()
    set_(3)
    enter()
    set_(2)
    leave()
    assert get() == 2


FORK = """
import ctypes, os
from funcgrad.compiler.llvm.runtime import blas, runtime
runtime.ensure_blas()
get, set_ = blas.controls()
get, set_ = ctypes.CFUNCTYPE(ctypes.c_int)(get), ctypes.CFUNCTYPE(None, ctypes.c_int)(set_)
set_(2)
runtime.ensure().function("fg_blas_enter")()
child = os.fork()
if child == 0:
    os._exit(get())
print(get(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_in_no_section(count):
    result = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True)
    assert result.stdout == "1 2\n", result.stderr
