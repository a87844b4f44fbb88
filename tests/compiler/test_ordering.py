"""The order of instructions in long innermost loops."""

import re

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad as fg  # noqa: E402
from funcgrad import nn  # noqa: E402
from funcgrad.compiler.llvm.builder import Module  # noqa: E402
from funcgrad.compiler.llvm.kernels import ordering  # noqa: E402
from funcgrad.compiler.llvm.target import host  # noqa: E402
from funcgrad.compiler.llvm.types import constant, vector  # noqa: E402

TYPE = vector(host().vector_bytes // 4, "float")


def chains(count, length):
    """A function with a loop that adds up chains of products, one after the other."""
    f = Module().function("f", "void", ["ptr", "i64"])
    base, n = f.arguments
    with f.loop(constant("i64", 0), n, 16) as loop:
        total = constant(TYPE, 0.0)
        for chain in range(count):
            place = f.gep(f.gep(base, chain * 4096), loop.index, "float")
            value = f.load(TYPE, place, 4)
            for _ in range(length):
                value = f.op("fmul", value, value)
            total = f.op("fadd", total, value)
        f.store(total, f.gep(base, loop.index, "float"), 4)
    f.ret()
    return f


def body(f):
    return max((block.lines for block in f.blocks), key=len)


def distance(lines):
    """Instructions from the first product to the second one of its chain."""
    first = next(i for i, line in enumerate(lines) if "fmul" in line)
    name = lines[first].split(" = ")[0].strip()
    return next(i for i, line in enumerate(lines) if f"{name}, {name}" in line) - first


def assert_same_work(before, after):
    assert sorted(before) == sorted(after)
    known = set()
    names = {line.split(" = ")[0].strip() for line in before if " = " in line}
    for line in after:
        name, _, text = line.rpartition(" = ")
        if not text.startswith("phi"):
            assert names & set(re.findall(r"%\w+", text)) <= known
        known.add(name.strip())


def test_independent_chains_stand_side_by_side():
    f = chains(4, 30)
    before = body(f)
    ordering.interleave(f, host())
    assert distance(before) == 1 and distance(body(f)) == 4
    assert_same_work(before, body(f))


@pytest.mark.parametrize(("count", "length"), [(1, 150), (4, 5), (300, 2)])
def test_other_loops_stay_as_they_are(count, length):
    """One chain, a short body, and one that would need too many registers."""
    f = chains(count, length)
    before = list(body(f))
    ordering.interleave(f, host())
    assert body(f) == before


def test_memory_is_used_in_the_order_of_the_program():
    lines = [
        "  %v1 = load float, ptr %a0, align 4",
        "  %v2 = fmul float %v1, %v1",
        "  store float %v2, ptr %a1, align 4",
        "  %v3 = load float, ptr %a1, align 4",
        "  %v4 = call float @helper(float %a2)",
        "  %v5 = load float, ptr %a1, align 4",
        "  %v6 = fadd float %a2, %a2",
    ]
    after, _ = ordering.interleaved(lines)
    assert_same_work(lines, after)
    assert [line for line in after if "%v2 =" not in line and "%v6" not in line] == [
        line for line in lines if "%v2 =" not in line and "%v6" not in line
    ]
    assert after.index(lines[-1]) < after.index(lines[2])


def test_gradients_of_a_chain_of_functions():
    def loss(x, y):
        return np.sum(nn.gelu(x) * np.tanh(y) + np.exp(-x * x) * nn.sigmoid(y))

    x, y = np.random.default_rng(0).standard_normal((2, 1003))
    step = fg.grad(loss, argnums=(0, 1))
    for got, wanted in zip(fg.jit(step)(x, y), step(x, y), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
