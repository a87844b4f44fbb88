"""A process that finds its programs in the cache: the same results, without a compiler."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.cache import Cache
from funcgrad.compiler.fingerprint import fingerprint
from funcgrad.compiler.llvm.loading import load, mapped
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of

pytest.importorskip("llvmlite")


def text_of(fun, *args):
    program, _ = trace_flat(lambda *xs: [fun(*xs)], [type_of(x) for x in args])
    return fingerprint(program)


X = np.ones((4, 3), "float32")


# --- fingerprints ---


def test_the_same_program_has_the_same_text():
    def loss(x, w):
        return np.tanh(x @ w).sum()

    def renamed(data, weights):
        # On another line, under other names.
        return np.tanh(data @ weights).sum()

    assert text_of(loss, X, X.T) == text_of(renamed, X, X.T)
    assert text_of(loss, X, X.T) != text_of(loss, X.astype("float64"), X.T.astype("float64"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x + 0.0, lambda x: x + -0.0),
        (lambda x: x * 1, lambda x: x * 1.0),
        (lambda x: x * 1.0, lambda x: x * np.float32(1)),
        (lambda x: x.sum(0), lambda x: x.sum(1)),
        (lambda x: x - x.T.T, lambda x: x.T.T - x),
        (lambda x: np.where(x > 0, x, 1), lambda x: np.where(x >= 0, x, 1)),
        (lambda x: x[1:], lambda x: x[:3]),
        (
            lambda x: fg.lax.scan(scaled(2), x[0], x)[0],
            lambda x: fg.lax.scan(scaled(3), x[0], x)[0],
        ),
    ],
)
def test_other_programs_have_another_text(one, other):
    assert None is not text_of(one, X) != text_of(other, X) is not None


def scaled(k):
    return lambda c, x: (c * k + x, None)


def test_functions_have_no_text():
    def called(x):
        return fg.pure_callback(np.sin, fg.ShapeDtypeStruct(x.shape, x.dtype), x)

    assert text_of(called, X) is None
    assert text_of(lambda x: fg.lax.scan(lambda c, r: (called(c), r), x[0], x)[0], X) is None


@fg.custom_jvp
def relu(x):
    return np.maximum(x, 0)


relu.defjvps(lambda t, ans, x: t * (x > 0))


def test_own_rules_do_not_count():
    assert text_of(relu, X) is not None


# --- one process ---


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A cache of this test only, in place of the user's."""
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(load, "default_cache", lambda: cache)
    return cache


def compiled_again(disk, fun, *args):
    """The result of a new function with the code, and the compilation."""
    disk._recent.clear()
    jitted = fg.jit(fun)
    result = jitted(*args)
    return result, jitted.compile_report().compilations[0]


def test_lost_code_is_compiled_again(disk):
    def fun(x):
        return np.exp(x) * 3

    first, compilation = compiled_again(disk, fun, X)
    assert "llvm" in compilation.stages
    second, compilation = compiled_again(disk, fun, X)
    assert "llvm" not in compilation.stages and compilation.cache == "hit"
    for path, _, _ in disk.entries():
        if "program" not in disk.get(path.stem):
            path.unlink()
    third, compilation = compiled_again(disk, fun, X)
    assert "llvm" in compilation.stages
    assert first.tolist() == second.tolist() == third.tolist()


def test_code_with_callbacks_is_not_shared():
    def times(k):
        shape = fg.ShapeDtypeStruct((3,), np.dtype("float64"))
        return fg.jit(lambda x: fg.pure_callback(lambda a: a * k, shape, x))

    double, triple = times(2), times(3)
    x = np.ones(3)
    assert [f(x)[0] for f in (double, triple, double)] == [2, 3, 2]


def test_library_steps_are_found_again(disk):
    def fun(x):
        # Two equal operations on different shapes and lines.
        a = np.linalg.inv(x[:3] + 2 * np.eye(3, dtype="float32"))
        b = np.linalg.inv(x[1:] @ x[1:].T + 2 * np.eye(3, dtype="float32"))
        return a @ b, np.fft.fft(x[0]).real

    x = np.arange(12, dtype="float32").reshape(4, 3) / 10
    first, _ = compiled_again(disk, fun, x)
    second, compilation = compiled_again(disk, fun, x)
    assert "llvm" not in compilation.stages
    for got, expected in zip(first, second, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_errors_of_found_code_name_the_line(disk):
    def fun(x):
        return np.linalg.cholesky(x)  # this line

    bad = -np.eye(3, dtype="float32")
    for _ in range(2):
        disk._recent.clear()
        with pytest.raises(np.linalg.LinAlgError) as caught:
            fg.jit(fun)(bad)
        assert any(
            "# this line" in note or "cholesky(x)" in note for note in caught.value.__notes__
        )


def test_entries_name_the_code(disk):
    compiled_again(disk, lambda x: np.exp(x) * 5, X)
    entries = [disk.get(path.stem) for path, _, _ in disk.entries()]
    (program,) = [json.loads(entry["program"]) for entry in entries if "program" in entry]
    assert disk.get(program[0]) is not None


# --- another process ---

SCRIPT = """
import sys
import numpy as np
import funcgrad as fg

def relu(x):
    return np.maximum(x, 0)

def network(params, x, y):
    for w, b in params:
        x = relu(x @ w + b)
    return ((x - y) ** 2).mean()

def recurrent(w, xs):
    def step(c, x):
        c = np.tanh(w @ c + x)
        return c, c.sum()
    return fg.lax.scan(step, np.zeros(8, "float32"), xs)[1].sum()

def attention(q):
    s = q @ q.T / 3
    e = np.exp(s - s.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ q

rng = np.random.default_rng(0)
r = lambda *shape: rng.standard_normal(shape).astype("float32")
params = [(r(20, 30), r(30)), (r(30, 5), r(5))]
image = r(2, 1, 9, 9)
results = [
    fg.jit(fg.value_and_grad(network))(params, r(16, 20), r(16, 5)),
    fg.jit(fg.value_and_grad(recurrent))(r(8, 8), r(12, 8)),
    fg.jit(attention)(r(10, 4)),
    fg.jit(lambda x, i: x[i].sort())(r(50), np.array([3, 1, 2])),
    fg.jit(lambda x, w: fg.lax.conv(x, w, (1, 1), "SAME"))(image, r(3, 1, 3, 3)),
    fg.jit(lambda x: np.fft.rfft(x).imag)(r(16)),
]
print(np.concatenate([np.ravel(x) for x in fg.tree.leaves(results)]).tobytes().hex()[:4000])
print(sorted(m for m in sys.modules if m in ("llvmlite.binding", "funcgrad.compiler.stages")))
"""


def run(directory, seed):
    environment = {
        **os.environ,
        "FUNCGRAD_CACHE_DIR": str(directory),
        "PYTHONHASHSEED": seed,
        "FUNCGRAD_CHECK_PROGRAMS": "0",
    }
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout.splitlines()


def test_another_process_needs_no_compiler(tmp_path):
    first, imported = run(tmp_path / "cache", "1")
    assert "llvmlite.binding" in imported and "funcgrad.compiler.stages" in imported
    second, imported = run(tmp_path / "cache", "2")
    assert second == first
    if mapped.is_supported():
        assert imported == "[]"
