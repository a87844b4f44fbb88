"""The generated Python: its text, its constants, and where errors point."""

import linecache
import traceback
import tracemalloc

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler import codegen
from funcgrad.compiler.codegen import python_source
from funcgrad.compiler.pipeline import compiled
from funcgrad.config import config

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])


@pytest.fixture(autouse=True)
def generated_python():
    """No machine code in its place."""
    with config.override(native=False):
        yield


def source(f, *args):
    return python_source(fg.make_jaxpr(f)(*args), np)[0]


def test_one_line_per_equation_with_the_users_line():
    lines = source(lambda x: np.sin(x) * 2.0, X).splitlines()
    assert lines[0] == "def run_lambda(v0):"
    assert "sin" in lines[1] and "# test_codegen.py:" in lines[1]
    assert lines[-1].startswith("    return [v")


def test_intermediates_are_freed_after_their_last_use():
    text = source(lambda x: np.sum(np.exp(np.sin(x)) + x), X)
    assert text.count("del ") == 3
    assert "v0" not in [line.strip() for line in text.splitlines() if "del" in line]


def test_memory_of_a_long_chain_is_bounded():
    """At most two large arrays live at a time."""

    def f(x):
        for _ in range(20):
            x = np.sin(x)
        return x

    x = np.ones(200_000)
    g = fg.jit(f)
    g(x)
    tracemalloc.start()
    g(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * x.nbytes


@pytest.mark.parametrize(
    "value",
    [0.1, -0.0, float("inf"), float("nan"), 2**62, -5, True, 1e-320, 1 + 2j, np.float32(0.1)],
)
def test_constants_keep_their_value_and_type(value):
    found = fg.jit(lambda x: (np.full(2, value, like=x), x + value if np.isfinite(value) else x))(X)
    np.testing.assert_array_equal(found[0], np.full(2, value))
    assert found[0].dtype == np.asarray(value).dtype
    assert np.signbit(found[0][0].real) == np.signbit(np.real(value))


def test_names_that_are_no_identifiers():
    def f(x):
        return x + 1

    f.__name__ = "a b-c.<d>é"
    assert fg.jit(f)(1.0) == 2.0


def test_errors_at_run_time_show_the_generated_and_the_users_line():
    f = fg.jit(lambda x, i: fg.numpy.take(x, i))
    assert f(X, 1) == 1.0
    with pytest.raises(IndexError) as raised:
        f(X, 7)
    text = "".join(traceback.format_exception(raised.value))
    assert "test_codegen.py" in text and "<funcgrad lambda" in text


def test_texts_of_generated_functions_are_bounded(monkeypatch):
    monkeypatch.setattr(codegen, "KEPT_TEXTS", 3)
    for scale in range(6):
        fg.jit(lambda x, scale=scale: x * scale)(np.ones(2))
    assert len([name for name in linecache.cache if name.startswith("<funcgrad")]) <= 3


def test_compiled_is_remembered_per_program():
    program = fg.make_jaxpr(lambda x: x + 1)(X)
    assert compiled(program, np) is compiled(program, np)


def test_debug_nans_in_compiled_code_names_operation_and_line():
    f = fg.jit(lambda x: np.log(x) * 2)
    f(X)
    with config.override(debug_nans=True), np.errstate(all="ignore"):
        with pytest.raises(FloatingPointError, match=r"(?s)log.*test_codegen\.py"):
            f(np.array([-1.0]))
        f(X)


def test_many_results_and_no_results():
    found = fg.jit(lambda x: [x * i for i in range(300)])(1.0)
    assert found[299] == 299.0
    assert fg.jit(lambda x: ())(1.0) == ()


def test_program_of_thousands_of_equations():
    def f(x):
        for i in range(3000):
            x = x + i
        return x

    assert fg.jit(f)(0.0) == 3000 * 2999 / 2
