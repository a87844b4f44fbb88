"""Modules compiled in units: every function once, equal ones only once, and the same names for others."""

import ctypes
import threading

import pytest

from funcgrad.compiler.cache import Cache
from funcgrad.compiler.llvm.loading import building
from funcgrad.compiler.llvm.loading.building import Build, build, build_all
from funcgrad.compiler.llvm.loading.known_units import KnownUnits, places_in
from funcgrad.compiler.llvm.loading.load import link
from funcgrad.compiler.llvm.loading.machine_code import Source, lock
from funcgrad.compiler.llvm.loading.mapped import is_supported
from funcgrad.compiler.llvm.loading.units import SHARED, Pool, balanced, declared_names, divide
from funcgrad.compiler.report import recording
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


def names(unit_names):
    return sorted(name.split(".")[0] for name in unit_names)


def divided(text):
    units = divide(text, 2)
    assert units is not None
    return units


def test_units_of_a_module():
    units = divided(TEXT)
    assert units.exported == {"shown", "count", "counted"}
    # What a module alone sees is named by its content, unless it uses variables.
    assert names(units.units) == ["calls", "count", "counted", "fg_unit", "shown", "table"]
    assert sum(unit.is_shared for unit in units.units.values()) == 1
    assert list(units.outside) == ["labs"] == declared_names(TEXT)


def test_equal_functions_are_one_unit():
    def module(name, twice):
        return (
            TEXT.replace("@twice", f"@{twice}")
            .replace("@count", f"@{name}")
            .replace("@shown", f"@s_{name}")
        )

    pool = Pool()
    modules = [divided(module(name, twice)) for name, twice in [("a", "twice"), ("b", "double")]]
    assert all(pool.take(found) for found in modules)
    missing = [unit.name for unit in pool.missing(lambda unit: False)]
    assert len(missing) == len(set(missing)) and sum(n.startswith(SHARED) for n in missing) == 1
    shared = next(name for name in missing if name.startswith(SHARED))
    assert shared not in [unit.name for unit in pool.missing(lambda unit: unit.name == shared)]
    assert not pool.take(modules[0])  # its names are defined already


def test_braces_in_a_function():
    pair = "{i64, i64}"
    text = f"define void @f(ptr %p) nounwind {{\n  store {pair} {{i64 1, i64 2}}, ptr %p\n  ret void\n}}\n"
    units = divided(text)
    loaded, found = link(build(Source(text))), (ctypes.c_int64 * 2)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loaded.address("f"))(found)
    assert list(found) == [1, 2] and units.units["f"].text.count("section") == 1


def test_what_known_units_need_may_be_missing():
    text = """define internal void @inner() noinline optnone {
  ret void
}
define internal void @outer() {
  call void @inner()
  ret void
}
define void @shown() {
  call void @outer()
  ret void
}
"""
    pool = Pool()
    units = divided(text)
    assert pool.take(units)
    inner, outer, shown = units.units.values()
    assert [unit.level for unit in (inner, outer, shown)] == [0, 2, 2]
    for known, missing in [
        ([], [shown, outer, inner]),
        ([outer], [shown, inner]),
        ([inner], [shown, outer]),
        ([inner, outer], [shown]),
    ]:
        assert pool.missing(known.__contains__) == missing


def test_each_function_is_in_one_group():
    pool = Pool()
    units = divided(TEXT)
    assert pool.take(units)
    groups = balanced(pool.missing(lambda unit: False), 3)
    texts = [pool.text(group) for group in groups]
    assert len(texts) == 3
    for unit in units.units.values():
        defined = [text for text in texts if unit.text in text]
        # Constants are repeated where they are needed.
        assert len(defined) == 1 or not unit.declaration


@pytest.mark.parametrize("line", ["attributes #0 = { nounwind }", "@alias = alias i64, ptr @calls"])
def test_what_cannot_be_divided_stays_whole(line):
    assert divide(TEXT + line + "\n", 2) is None
    assert link(build(Source(TEXT + line + "\n"))).symbols


@needs_images
def test_known_units_are_not_compiled_again(monkeypatch):
    known, compiled = KnownUnits(), []
    run = building._Job.run

    def noted(job):
        compiled.append(job.source.text)
        run(job)

    monkeypatch.setattr(building._Job, "run", noted)
    body = "  %y = mul i64 %x, 3\n  ret i64 %y\n}\n"
    for number in range(3):
        inner = f"define internal i64 @k{number}(i64 %x) {{\n{body}"
        call = (
            f"  %y = call i64 @k{number}(i64 %x)\n  %z = add i64 %y, {number}\n  ret i64 %z\n}}\n"
        )
        outer = "define i64 @main(i64 %x) {\n" + call
        (sections,) = build_all([Source(inner + outer)], known)
        loaded = link(sections)
        main = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("main"))
        assert main(5) == 15 + number
    assert [text.count("mul i64") for text in compiled] == [1, 0, 0]


@needs_images
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_work_together(monkeypatch, threads):
    monkeypatch.setattr(building, "PART", 10)
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


def twice(number):
    return Source(
        f"define i64 @f{number}(i64 %x) {{\n  %y = mul i64 %x, {number}\n  ret i64 %y\n}}\n"
    )


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_two_builds_side_by_side(threads):
    with (
        config.override(num_threads=threads),
        Build([twice(3), twice(4)], spared=1) as first,
        Build([twice(5)]) as second,
    ):
        first.begin()
        made = [*second.finish(), *first.finish()]
    for sections, number in zip(made, (5, 3, 4), strict=True):
        loaded = link(sections)
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address(f"f{number}"))
        assert function(7) == 7 * number


def test_where_no_thread_can_be_started(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with config.override(num_threads=4), Build([twice(3), twice(4)], spared=1) as build:
        build.begin()
        assert len(build.finish()) == 2 and not build.helpers


@pytest.mark.parametrize("is_parsed", [False, True])
def test_errors_of_what_was_begun_are_raised_at_the_end(is_parsed):
    call = "call void @nowhere()" if is_parsed else "nonsense"
    broken = Source(f"define void @f() {{\n  {call}\n  ret void\n}}\n")
    with Build([twice(3), broken], spared=1) as begun:
        begun.begin()
        with pytest.raises(RuntimeError, match="undefined value" if is_parsed else "instruction"):
            begun.finish()
    assert not begun.helpers and build(twice(3))


def test_a_build_that_is_given_up_leaves_nothing_behind():
    with pytest.raises(KeyboardInterrupt), Build([Source(TEXT), twice(3)], spared=1) as begun:
        begun.begin()
        raise KeyboardInterrupt
    assert not begun.helpers and not begun.waiting
    taken = []
    other = threading.Thread(
        target=lambda: taken.append(lock.acquire(timeout=10)) or lock.release()
    )
    other.start()
    other.join()
    assert taken == [True]


@needs_images
def test_a_later_process_knows_units():
    cache = Cache(None)
    long = "".join([f"  %v{i + 1} = xor i64 %v{i}, {i + 3}\n" for i in range(100)])
    text = f"""define internal i64 @inner(i64 %v0) {{
{long}  ret i64 %v100
}}
define i64 @outer(i64 %x) {{
  %y = call i64 @inner(i64 %x)
  ret i64 %y
}}
"""
    results = []
    for _ in range(2):
        with recording("") as compilation:
            (sections,) = build_all([Source(text)], KnownUnits(lambda: cache))
        assert compilation.counts["text_bytes"] > 1000 and len(places_in(cache)) == 1
        loaded = link(sections)
        outer = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("outer"))
        results.append(outer(7))
    assert results[0] == results[1] != 0
