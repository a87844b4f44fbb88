"""Kernels as machine code: compiled once, kept in memory and on disk, shared by Programs."""

import re

import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cache import Cache  # noqa: E402
from funcgrad.compiler.cuda.launches import Source  # noqa: E402
from funcgrad.compiler.cuda.runtime import modules, nvrtc  # noqa: E402
from funcgrad.compiler.cuda.runtime.modules import Modules  # noqa: E402

try:
    nvrtc.version()
except Exception as error:  # CuPy's own errors, of several kinds
    pytest.skip(f"NVRTC cannot be used: {error}", allow_module_level=True)


def source(name, **options):
    text = f'extern "C" __global__ void {name}(Pointers<1> p) {{ *(float *)p.at[0] = 1; }}'
    return Source(name, text, frozenset({"core"}), **options)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    found = Cache(tmp_path)
    monkeypatch.setattr(modules, "default_cache", lambda: found)
    return found


@pytest.fixture
def compilations(monkeypatch):
    """The names of the kernels of each module that is compiled."""
    found = []
    compiled = nvrtc.compiled

    def counted(text, architecture):
        found.append(sorted(re.findall(r"void (k\w)\(", text)))
        return compiled(text, architecture)

    monkeypatch.setattr(nvrtc, "compiled", counted)
    return found


def new_modules():
    """As of a process that starts: nothing is loaded."""
    return Modules("sm_90", lambda code: lambda name: (code, name))


def test_kernels_are_compiled_once(cache, compilations):
    loaded = new_modules()
    first = loaded.functions([source("ka"), source("kb"), source("ka")])
    assert first[0] is first[2] and first[0][1] == "ka"
    assert loaded.functions([source("kb")]) == [first[1]]
    assert sorted(sum(compilations, [])) == ["ka", "kb"]


def test_programs_share_kernels(cache, compilations):
    loaded = new_modules()
    loaded.functions([source("ka"), source("kb")])
    loaded.functions([source("kb"), source("kc")])
    assert sorted(sum(compilations, [])) == ["ka", "kb", "kc"]


def test_a_new_process_finds_the_kernels_of_a_program(cache, compilations):
    first = new_modules()
    first.functions([source("ka")])
    expected = first.functions([source("ka"), source("kb")])
    compilations.clear()
    cache._recent.clear()  # what is kept in memory
    later = new_modules()
    assert later.functions([source("ka"), source("kb")]) == expected
    assert not compilations
    later.functions([source("kb"), source("kd")])  # known in part
    assert compilations == [["kd"]]


def test_a_damaged_entry_is_compiled_again(cache, compilations, tmp_path):
    new_modules().functions([source("ka")])
    cache._recent.clear()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    new_modules().functions([source("ka")])
    assert compilations == [["ka"], ["ka"]]


def test_many_kernels_are_several_modules(cache, compilations):
    names = ["k" + chr(ord("a") + i) for i in range(15)]
    found = new_modules().functions([source(name) for name in names])
    assert [name for _, name in found] == names
    assert len(compilations) > 1


def test_what_nvrtc_refuses_is_reported(cache):
    bad = Source("kx", 'extern "C" __global__ void kx(Pointers<1> p) { nothing(); }')
    with pytest.raises(nvrtc.CompilationError, match=r'identifier "nothing" is undefined'):
        new_modules().functions([bad])
