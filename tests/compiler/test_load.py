"""Machine code: compiled once, linked anywhere, freed when unused, in threads, after fork and at exit."""

import ctypes
import mmap
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from funcgrad.compiler import cache as cache_module
from funcgrad.compiler.cache import Cache
from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading import building, keys, load as load_module
from funcgrad.compiler.llvm.loading.building import build
from funcgrad.compiler.llvm.loading.elf import read_object
from funcgrad.compiler.llvm.loading.image import Unsupported, lay_out
from funcgrad.compiler.llvm.loading.keys import program_key
from funcgrad.compiler.llvm.loading.load import link, load
from funcgrad.compiler.llvm.loading.machine_code import Source
from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import constant, vector
from funcgrad.compiler.report import recording
from funcgrad.config import config

pytest.importorskip("llvmlite.binding")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.fixture(autouse=True)
def disk(tmp_path, monkeypatch):
    """A cache of this test only, in place of the user's."""
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(load_module, "default_cache", lambda: cache)
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "cache"))
    return cache


@pytest.fixture(params=["image", "object"])
def linker(request, monkeypatch):
    """Our own way into a process, and LLVM's."""
    if request.param == "object":
        monkeypatch.setattr(building, "is_supported", lambda: False)
    elif not building.is_supported():
        pytest.skip("images are for x86-64 Linux")
    return request.param


def forget(disk):
    """Only the disk remembers, as in a new process."""
    load_module._loaded.clear()
    disk._recent.clear()


def adder(number: int) -> str:
    """A module with `i64 add(i64)`, which adds this number."""
    module = Module()
    function = module.function("add", "i64", ["i64"])
    function.ret(function.op("add", function.arguments[0], constant("i64", number)))
    return module.text()


def call(loaded, name="add", argument=1) -> int:
    address = loaded.address(name)
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(argument)


# --- compiling and linking ---


def test_code_runs(linker):
    assert call(load(adder(41))) == 42


def test_text_is_compiled_once_while_the_code_is_alive():
    first = load(adder(1))
    assert load(adder(1)) is first
    assert load(adder(2)) is not first
    assert load(adder(1), level=0) is not first


def test_code_that_nobody_keeps_is_freed(linker):
    loaded = load(adder(3))
    alive = weakref.ref(loaded)
    del loaded
    assert alive() is None


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads Linux's /proc")
def test_freed_code_gives_its_memory_back(linker):
    def mappings() -> int:
        with open("/proc/self/maps") as lines:
            return len(lines.readlines())

    sections = build(Source(adder(4)))
    link(sections)
    before = mappings()
    for _ in range(50):
        link(sections)
    assert mappings() <= before + 5


def test_unknown_symbols_are_named():
    with pytest.raises(KeyError, match="no symbol 'multiply'. It defines: add"):
        load(adder(5)).address("multiply")


def test_code_sees_registered_and_libc_functions(linker):
    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    def triple(x):
        return 3 * x

    system.add_symbol("fg_test_triple", ctypes.cast(triple, ctypes.c_void_p).value)
    module = Module()
    function = module.function("add", "i64", ["i64"])
    tripled = function.external("fg_test_triple", "i64", function.arguments)
    function.ret(function.external("labs", "i64", [tripled]))
    assert call(load(module.text()), argument=-5) == 15


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for memory at an address")
def test_code_calls_functions_far_away(linker):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    wanted = 1 << (40 if linker == "image" else 41)
    far = libc.mmap(wanted, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    near = load(adder(6)).address("add")
    assert abs(far - near) > 1 << 32
    codes = {"x86_64": b"\x48\x8d\x04\x3f\xc3", "aarch64": bytes.fromhex("0000008bc0035fd6")}
    ctypes.memmove(far, codes[os.uname().machine], 5 if os.uname().machine == "x86_64" else 8)
    libc.mprotect(far, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
    system.add_symbol("fg_test_far_double", far)
    module = Module()
    function = module.function("add", "i64", ["i64"])
    function.ret(function.external("fg_test_far_double", "i64", function.arguments))
    assert call(load(module.text()), argument=21) == 42


def test_constants_lie_beside_the_code(linker):
    module = Module()
    numbers = ", ".join(f"i64 {i}" for i in range(100_000))
    table = module.data("table", f"private constant [100000 x i64] [{numbers}]")
    module.data("shown", "constant i64 7")
    function = module.function("add", "i64", ["i64"])
    function.ret(function.load("i64", function.gep(table, function.arguments[0], "i64"), 8))
    loaded = load(module.text())
    assert call(loaded, argument=99_999) == 99_999
    assert ctypes.c_int64.from_address(loaded.address("shown")).value == 7
    assert abs(loaded.address("shown") - loaded.address("add")) < 1 << 31
    assert sorted(loaded.symbols) == ["add", "shown"]


def test_structures_have_the_layout_of_the_machine():
    # Passes that run before the layout is known take i64 to be aligned to 4 bytes.
    text = """
        define i64 @add(i64 %x) nounwind {
          %p = getelementptr {i8, i64}, ptr null, i64 0, i32 1
          %offset = ptrtoint ptr %p to i64
          ret i64 %offset
        }"""
    for passes in ((), ("instruction_combine",)):
        assert call(load(text, passes)) == 8


def test_products_and_sums_are_rounded_one_by_one():
    module = Module()
    function = module.function("f", "double", ["double", "double", "double"])
    x, y, z = function.arguments
    function.ret(function.op("fadd", function.op("fmul", x, y), z))
    loaded = load(module.text())
    f = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * 3)(loaded.address("f"))
    a, b = 1.0 + 2.0**-30, 1.0 - 2.0**-30
    assert f(a, b, -1.0) == a * b - 1.0 == 0.0


def test_vectors_fill_the_registers():
    lanes = host().vector_bytes // 4
    type = vector(lanes, "float")
    module = Module()
    function = module.function("f", "void", ["ptr", "ptr"])
    values = [function.load(type, argument) for argument in function.arguments]
    function.store(function.op("fadd", *values), function.arguments[0])
    function.ret()
    loaded = load(module.text())
    x, y = np.arange(lanes, dtype="f4"), np.full(lanes, 0.5, dtype="f4")
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(loaded.address("f"))(
        x.ctypes.data, y.ctypes.data
    )
    assert x.tolist() == [i + 0.5 for i in range(lanes)]
    if lanes == 16:
        assert "zmm" in loaded.assembly()


def test_assembly_shows_the_source_after_passes():
    assert "add" in load(adder(7)).assembly()
    with pytest.raises(ValueError, match="no source to show"):
        link(build(Source(adder(7)))).assembly()


def test_tables_and_variables_hold_addresses(linker):
    del linker
    text = """
        @table = constant [2 x ptr] [ptr @one, ptr @labs]
        @counter = internal global i64 5
        @shown = global ptr @counter
        @zeros = internal global [5000 x i64] zeroinitializer
        @chosen = internal global ptr null
        @count = global i64 0
        declare i64 @labs(i64)
        define internal i64 @one(i64 %x) {
          ret i64 1
        }
        define i64 @add(i64 %x) {
          %old = load i64, ptr @counter
          %new = add i64 %old, %x
          store i64 %new, ptr @counter
          %last = getelementptr i64, ptr @zeros, i64 4999
          %zero = load i64, ptr %last
          store i64 %new, ptr %last
          store ptr @labs, ptr @chosen
          store i64 3, ptr @count
          %slot = getelementptr ptr, ptr @table, i64 1
          %function = load ptr, ptr %slot
          %found = call i64 %function(i64 %new)
          %sum = add i64 %found, %zero
          ret i64 %sum
        }"""
    loaded = load(text)
    assert call(loaded, argument=-7) == 2
    counter = ctypes.c_void_p.from_address(loaded.address("shown")).value
    assert ctypes.c_int64.from_address(counter).value == -2
    assert ctypes.c_int64.from_address(loaded.address("count")).value == 3
    one = ctypes.c_void_p.from_address(loaded.address("table")).value
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(one)(7) == 1


def test_objects_that_are_not_understood_go_to_llvm():
    with pytest.raises(Unsupported, match="CPU family 183"):
        lay_out([read_object(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + b"\xb7\0" + bytes(200))])
    with pytest.raises(ValueError, match="not an object file"):
        read_object(b"MZ")


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads Linux's /proc")
def test_code_cannot_be_written():
    address = load(adder(15)).address("add")
    with open("/proc/self/maps") as lines:
        for line in lines:
            span, rights = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= address < end:
                assert "x" in rights and "w" not in rights


# --- faults ---


def test_functions_that_nobody_defines_are_an_error(linker):
    module = Module()
    function = module.function("add", "i64", ["i64"])
    function.ret(function.external("fg_test_nobody", "i64", function.arguments))
    with pytest.raises(RuntimeError, match="cannot be linked.*missing: fg_test_nobody"):
        load(module.text())
    assert call(load(adder(8))) == 9


def test_invalid_text_is_an_error():
    with pytest.raises(RuntimeError, match="expected instruction opcode"):
        load("define void @f() { nonsense }")
    assert call(load(adder(9))) == 10


def test_checked_modules_are_verified():
    text = """
        define i64 @add(i64 %x) {
        entry:
          br i1 true, label %a, label %b
        a:
          %y = add i64 %x, 1
          br label %b
        b:
          ret i64 %y
        }"""
    with (
        config.override(check_programs=True),
        pytest.raises(RuntimeError, match="does not dominate all uses"),
    ):
        load(text)


def test_broken_objects_are_an_error(monkeypatch):
    monkeypatch.setattr(building, "is_supported", lambda: False)
    sections = dict(build(Source(adder(10))))
    sections["object"] = sections["object"][:300]
    with pytest.raises(RuntimeError, match="cannot be linked"):
        link(sections)


# --- the cache ---


def load_counts(text, **options):
    with recording("") as compilation:
        loaded = load(text, **options)
    return loaded, compilation.counts


def test_a_new_process_finds_the_code(disk):
    _, counts = load_counts(adder(11))
    assert counts["cache_misses"] == 1 and counts["object_bytes"] > 0
    forget(disk)
    loaded, counts = load_counts(adder(11))
    assert counts == {"cache_hits": 1}
    assert call(loaded) == 12 and "add" in loaded.assembly()


def test_damaged_entries_are_compiled_again(disk):
    load(adder(12))
    ((path, size, _),) = disk.entries()
    whole = path.read_bytes()
    for length in [size * i // 64 for i in range(64)]:
        path.write_bytes(whole[:length])
        forget(disk)
        assert call(load(adder(12))) == 13
        assert path.read_bytes() == whole


def test_entries_of_other_machines_and_versions_are_not_used(disk, monkeypatch):
    load(adder(13))
    platform = keys.platform()
    for changed in range(len(platform)):
        other = tuple(part + "x" * (i == changed) for i, part in enumerate(platform))
        monkeypatch.setattr(keys, "platform", lambda other=other: other)
        assert load_counts(adder(13))[1]["cache_misses"] == 1
    assert len(disk.entries()) == 1 + len(platform)


def test_program_keys_depend_on_machine_and_sources(monkeypatch):
    key = program_key("program", b"types")
    assert key == program_key("program", b"types") != program_key("program", b"typos")
    monkeypatch.setattr(keys, "origin", lambda: "edited")
    edited = program_key("program", b"types")
    monkeypatch.setattr(keys, "platform", lambda: ("another machine",))
    assert len({key, edited, program_key("program", b"types")}) == 3


def test_objects_can_be_stored_with_other_sections(disk):
    key = program_key("whole program")
    disk.put(key, {**build(Source(adder(14))), "plan": b"buffers"})
    forget(disk)
    sections = disk.get(key)
    assert sections["plan"] == b"buffers"
    assert call(link(sections)) == 15


# --- threads, fork, exit ---


def test_many_threads_load_and_free():
    wrong = []

    def work(seed):
        for i in range(10):
            number = (seed * i) % 7
            if call(load(adder(number))) != number + 1:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def run_script(text: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", "from tests.compiler.test_load import *\n" + text],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout


COMPILE_IN_A_THREAD = """
def compile_on():
    number = 0
    while True:
        number += 1
        text = "".join(adder(number + i).replace("@add", f"@add{i}") for i in range(30))
        build(Source(text))

call(load(adder(1000)))
threading.Thread(target=compile_on, daemon=True).start()
"""


@needs_fork
def test_a_child_forked_while_a_thread_compiles_can_compile():
    run_script(
        "import signal, time, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        + COMPILE_IN_A_THREAD
        + """
for attempt in range(10):
    time.sleep(0.003 * attempt)
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a child that waits for ever is ended, and found by its status
        os._exit(0 if call(load(adder(2000 + attempt))) == 2001 + attempt else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    )


def test_the_interpreter_exits_while_a_thread_compiles():
    out = run_script(
        "import atexit\n"
        + COMPILE_IN_A_THREAD
        + """
kept = [load(adder(number)) for number in range(20)]
atexit.register(lambda: print(call(kept[4])))
"""
    )
    assert out == "5\n"


def test_code_that_outlives_the_names_of_its_module_is_silent():
    run_script(
        """
import sys

kept = load(adder(3))
assert call(kept) == 4
sys.kept = list(sys.modules.values())  # as a debugger or a test runner may do
"""
    )


def test_llvm_is_not_imported_before_it_is_needed():
    code = "import sys, funcgrad.compiler.llvm.loading.load as load; sys.exit('llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_default_cache_is_the_one_in_use():
    assert cache_module.default_cache().limit > 0
