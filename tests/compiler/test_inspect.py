"""`debug.inspect`: every stage of a compilation as something to read, and nothing is executed."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import debug
from funcgrad.config import config

X, W = np.ones((64, 16), "float32"), np.ones((16, 8), "float32")


def softmax_layer(x, w):
    h = np.tanh(x @ w)
    e = np.exp(h - h.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture
def needs_llvm():
    pytest.importorskip("llvmlite")


@pytest.mark.usefixtures("needs_llvm")
class TestMachineCode:
    def test_all_stages(self):
        found = debug.inspect(softmax_layer, X, W)
        assert list(found.stages) == [
            *("program", "simplified", "python", "graph", "kernels", "plan", "llvm", "assembly")
        ]
        assert "tanh" in found.text("program") and "return [" in found.python
        assert "step dot" in found.kernels
        assert "for d0 in 64" in found.kernels and "row vector" in found.kernels
        assert "arena of" in str(found.plan)
        assert "define i32 @program(ptr" in found.llvm
        assert "program:" in found.assembly

    def test_the_summary_leaves_out_what_is_long(self, capsys):
        found = debug.inspect(softmax_layer, X, W)
        found.show()
        text = capsys.readouterr().out
        assert text == f"{found}\n" == f"{found!r}\n"
        assert "--- plan ---" in text and "define i32" not in text
        assert f"llvm ({len(found.llvm.splitlines())} lines)" in text
        found.show("llvm")
        assert capsys.readouterr().out == found.llvm + "\n"

    def test_what_is_inside_of_loops(self):
        def summed(xs):
            return fg.lax.scan(lambda c, x: (c + np.sin(x), x.sum()), np.zeros(8, "f4"), xs)

        kernels = debug.inspect(summed, X[:, :8]).kernels
        step, _, inside = kernels.partition("lambda:\n")
        assert "step scan" in step and "    kernel (8,)" in inside

    def test_parts_of_sums_have_names(self):
        plan = str(debug.inspect(np.sum, np.ones(10_000_000, "float32")).plan)
        assert "part of n" in plan


def test_functions_of_every_kind():
    @fg.jit
    def scaled(x, k=1.0):
        return x * k

    assert debug.inspect(scaled, X, k=2.0).simplified.equations
    assert debug.inspect(fg.grad(lambda x: (x**2).sum()), X).program.equations
    static = fg.jit(lambda x, n: x**n, static_argnums=1)
    assert len(debug.inspect(static, X, 3).program.inputs) == 1
    assert debug.inspect(lambda: np.float32(1) + 1).program.outputs


@pytest.mark.parametrize(("size", "is_far"), [(1 << 10, False), (1 << 20, True)])
def test_arrays_that_fit_no_cache_are_fetched_ahead(size, is_far):
    pytest.importorskip("llvmlite")
    text = debug.inspect(lambda x: np.sum(np.tanh(x)), np.zeros(size, np.float32)).llvm
    assert ("@llvm.prefetch" in text) == is_far


def test_nothing_is_executed():
    seen = []

    def noted(x):
        debug.callback(seen.append, x)
        return x

    debug.inspect(noted, 1.0)
    assert not seen


def test_without_machine_code_the_python_is_shown():
    with config.override(native=False):
        found = debug.inspect(softmax_layer, X, W)
    assert list(found.stages) == ["program", "simplified", "python"]
    assert found.llvm is found.assembly is found.plan is found.kernels is None
    assert "--- python ---" in str(found)
    with pytest.raises(ValueError, match="no stage 'llvm', because it runs as generated Python"):
        found.show("llvm")


def test_without_llvmlite_the_python_is_shown(monkeypatch):
    monkeypatch.setattr("funcgrad.compiler.inspection.has_llvm", lambda: False)
    assert list(debug.inspect(softmax_layer, X, W).stages) == ["program", "simplified", "python"]


def test_unknown_stages_are_named():
    with pytest.raises(ValueError, match="there is no stage 'ptx'. Stages: program, simplified"):
        debug.inspect(np.sin, X).show("ptx")
