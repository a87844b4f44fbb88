"""`error_if`: raised wherever the code runs, and only then."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

GOOD, BAD = np.array([1.0, 4.0]), np.array([4.0, -1.0])


def roots(x):
    return np.sqrt(nn.error_if(x, x < 0, "roots of negative numbers"))


def total(x):
    return roots(x).sum()


CALLS = {
    "eager": roots,
    "jit": fg.jit(roots),
    "grad": fg.grad(total),
    "jit of grad": fg.jit(fg.grad(total)),
    "vmap": fg.vmap(roots),
    "jit of vmap": fg.jit(fg.vmap(roots)),
    "scan": fg.jit(lambda x: fg.lax.scan(lambda c, x: (c, roots(x)), 0.0, x)[1]),
    "checkpoint": fg.jit(fg.grad(fg.checkpoint(total))),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_values_raise(name):
    assert np.isfinite(CALLS[name](GOOD)).all()
    with pytest.raises(RuntimeError, match="^roots of negative numbers"):
        CALLS[name](BAD)
    assert np.isfinite(CALLS[name](GOOD)).all()


def test_the_branch_that_does_not_run_raises_nothing():
    @fg.jit
    def guarded(x):
        return fg.lax.cond(x.sum() > 4, roots, np.abs, x)

    assert guarded(np.array([5.0, 4.0])).tolist() == [np.sqrt(5.0), 2.0]
    assert guarded(BAD).tolist() == [4.0, 1.0]
    with pytest.raises(RuntimeError, match="negative"):
        guarded(np.array([9.0, -1.0]))


def test_compiled_code_names_the_line():
    with pytest.raises(RuntimeError) as caught:
        fg.jit(roots)(BAD)
    (note,) = caught.value.__notes__
    assert "in roots" in note and "error_if(x, x < 0" in note


def test_a_check_without_a_use_of_its_result_is_made():
    def ignored(x):
        nn.error_if(x, x.sum() < 5, "too small")
        return x

    with pytest.raises(RuntimeError, match="too small"):
        fg.jit(ignored)(GOOD[:1])


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_nan_and_off(wrap):
    tree = {"x": GOOD, "half": np.ones(2, np.float16), "count": np.arange(2)}

    def call(mode):
        return wrap(lambda t: nn.error_if(t, t["x"] > 3, "large", on_error=mode))(tree)

    found = call("nan")
    assert np.isnan(found["x"]).all() and np.isnan(found["half"]).all()
    assert found["half"].dtype == np.float16 and found["count"].tolist() == [0, 1]
    assert call("off")["x"].tolist() == GOOD.tolist()


def test_breakpoint(monkeypatch):
    stops = []
    monkeypatch.setattr("builtins.breakpoint", lambda: stops.append(True))
    with pytest.raises(RuntimeError, match="stop"):
        nn.error_if(GOOD, True, "stop", on_error="breakpoint")
    assert nn.error_if(GOOD, False, "stop", on_error="breakpoint") is GOOD and stops == [True]


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"\[error_if\] on_error must be one of"):
        nn.error_if(GOOD, True, "text", on_error="print")
    with pytest.raises(TypeError, match=r"\[error_if\] pred must be bool"):
        nn.error_if(GOOD, GOOD, "text")
