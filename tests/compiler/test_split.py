"""Modules compiled in parts: every function once, variables shared, and the same names for others."""

import ctypes

import pytest

from funcgrad.compiler.llvm.loading import machine_code
from funcgrad.compiler.llvm.loading.load import link
from funcgrad.compiler.llvm.loading.machine_code import Source, build, build_all
from funcgrad.compiler.llvm.loading.mapped import is_supported
from funcgrad.compiler.llvm.loading.split import declared_names, exported_names, split_module
from funcgrad.config import config

pytest.importorskip("llvmlite")
needs_images = pytest.mark.skipif(not is_supported(), reason="objects are joined as images")

TEXT = """@table = private constant [2 x ptr] [ptr @twice, ptr @count]
@calls = internal global i64 0
@shown = global i64 7
declare i64 @labs(i64)
define internal i64 @twice(i64 %x) nounwind {
  %y = shl i64 %x, 1
  ret i64 %y
}
define i64 @count(i64 %x) nounwind {
  %old = load i64, ptr @calls, align 8
  %new = add i64 %old, 1
  store i64 %new, ptr @calls, align 8
  %size = call i64 @labs(i64 %x)
  %found = call i64 @twice(i64 %size)
  ret i64 %found
}
define i64 @counted(ptr noalias %unused, i64 %x) nounwind {
  %slot = getelementptr ptr, ptr @table, i64 1
  %f = load ptr, ptr %slot, align 8
  %y = call i64 %f(i64 %x)
  %n = load i64, ptr @calls, align 8
  %shown = load i64, ptr @shown, align 8
  %sum = add i64 %n, %shown
  ret i64 %sum
}
"""


@pytest.mark.parametrize("count", [2, 3, 9])
def test_each_function_is_in_one_part(count):
    parts = split_module(TEXT, count)
    assert len(parts) == min(count, 3)
    for name in ("twice", "count", "counted"):
        defined = [part for part in parts if f"@{name}(" in "".join(define_lines(part))]
        assert len(defined) == 1
        others = [part for part in parts if part is not defined[0]]
        assert all(name in declared_names(part) for part in others)
    assert sum("@calls = global i64 0" in part for part in parts) == 1


def define_lines(text):
    return [line for line in text.splitlines() if line.startswith("define")]


def test_names_for_others():
    assert exported_names(TEXT) == {"shown", "count", "counted"}
    assert declared_names(TEXT) == ["labs"]


@pytest.mark.parametrize("line", ["attributes #0 = { nounwind }", "@alias = alias i64, ptr @calls"])
def test_what_cannot_be_divided_stays_whole(line):
    assert split_module(TEXT + line + "\n", 3) == [TEXT + line + "\n"]
    assert split_module(TEXT, 1) == [TEXT]


@needs_images
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_work_together(monkeypatch, threads):
    monkeypatch.setattr(machine_code, "PART", 10)
    with config.override(num_threads=threads):
        loaded = link(build(Source(TEXT)))
    assert set(loaded.symbols) == {"shown", "count", "counted"}
    counted = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(
        loaded.address("counted")
    )
    count = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("count"))
    assert [counted(None, 1), count(-21), counted(None, 1)] == [8, 42, 10]


def test_many_modules_at_once():
    texts = [TEXT.replace("i64 7", f"i64 {n}") for n in range(20)]
    with config.override(num_threads=4):
        made = build_all([Source(text) for text in texts])
    for n, sections in enumerate(made):
        loaded = link(sections)
        assert ctypes.c_int64.from_address(loaded.address("shown")).value == n


@pytest.mark.parametrize("threads", [1, 3])
def test_errors_of_any_part_are_raised(threads):
    broken = "define void @f() {\n  nonsense\n}\n"
    with config.override(num_threads=threads), pytest.raises(RuntimeError, match="instruction"):
        build_all([Source(TEXT), Source(broken), Source(TEXT)])
    assert build(Source(TEXT))
