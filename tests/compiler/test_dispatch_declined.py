"""What the native dispatcher leaves to Python: unusual calls, and what changed in the world outside of a function."""

import threading
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.calls.call_plan import MAX_WORDS
from funcgrad.config import restraints
from tests.compiler.dispatched import MARKS, Pair, X, assert_trees_equal, warm, watched

pytestmark = MARKS


class TestLeftToPython:
    @pytest.mark.parametrize(
        "other",
        [
            *(
                X.astype(np.float64),
                X[:2],
                X.reshape(3, 1),
                np.array(X[0]),
                X[::-1],
                X.astype(">f4"),
            ),
            *(np.asfortranarray(np.ones((3, 3), np.float32))[0], np.float32(1), 1.0, 2**70),
            np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32),
            np.broadcast_to(np.float32(2), 3),
            X.view(type("Sub", (np.ndarray,), {})),
        ],
        ids=repr,
    )
    def test_other_arguments(self, other):
        f, calls = warm(lambda x: x, X)
        try:
            found = f(other)
        except (TypeError, OverflowError):
            assert isinstance(other, int) or type(other) is not np.ndarray
        else:
            np.testing.assert_array_equal(found, np.asarray(other))
        assert len(calls) == 1
        np.testing.assert_array_equal(f(X), X)
        assert len(calls) == 1

    def test_large_python_integer(self):
        f, _ = warm(lambda x: x, 5)
        with pytest.raises(OverflowError):
            f(2**63)
        assert f(-(2**63)) == -(2**63)

    def test_other_structures(self):
        f, calls = warm(lambda p: fg.tree.leaves(p), {"a": X, "b": [X + 1, (X + 2,)]})
        for other in (
            {"a": X, "c": [X + 1, (X + 2,)]},
            {"a": X, "b": [X + 1, (X + 2,)], "c": X},
            {"a": X},
            {"a": X, "b": [X + 1, [X + 2]]},
            {"a": X, "b": [X + 1, (X + 2, X)]},
            {"a": X, "b": [X + 1, Pair(X, X + 2)]},
            {"a": X, "b": None},
            OrderedDict(a=X, b=[X + 1, (X + 2,)]),
            [X],
            X,
        ):
            before = len(calls)
            assert_trees_equal(f(other), fg.tree.leaves(other))
            assert len(calls) == before + 1

    def test_wrong_calls_are_python_errors(self):
        f, _ = warm(lambda x, *, k: x, X, k=1.0)
        for args, kwargs in [
            ((), {}),
            ((X, X), {"k": 1.0}),
            ((X,), {}),
            ((X,), {"k": 1.0, "j": 2}),
        ]:
            with pytest.raises(TypeError, match="argument"):
                f(*args, **kwargs)

    def test_traces(self):
        f, calls = warm(lambda x: x * x, X)
        g = fg.jit(lambda x: f(x) + f(X))
        np.testing.assert_array_equal(g(X), 2 * X * X)
        np.testing.assert_array_equal(fg.grad(lambda x: np.sum(f(x)))(X), 2 * X)
        np.testing.assert_array_equal(fg.vmap(f)(np.stack([X, X])), [X * X] * 2)
        assert "call" in str(fg.make_jaxpr(lambda x: f(x) + f(X))(X))

    def test_trace_in_another_thread(self):
        f, calls = warm(lambda x: x + 1, X)
        inside, done = threading.Event(), threading.Event()

        def slow(x):
            inside.set()
            done.wait(10)
            return x

        thread = threading.Thread(target=fg.jit(slow), args=(X,))
        thread.start()
        assert inside.wait(10) and restraints
        np.testing.assert_array_equal(f(X), X + 1)
        assert calls == []  # the other thread's business
        done.set()
        thread.join()
        assert not restraints

    def test_disabled(self):
        f, calls = warm(lambda x: x if isinstance(x, np.ndarray) else x + 1, X)
        with fg.disable_jit():
            assert f(X) is X
            with fg.disable_jit(False):
                np.testing.assert_array_equal(f(X), X + 1)
        assert not restraints

    @pytest.mark.filterwarnings("ignore:invalid value")
    def test_debug_nans(self):
        f, _ = warm(lambda x: np.log(x), X)
        with fg.debug_nans(), pytest.raises(FloatingPointError, match="log made a NaN"):
            f(-X)
        assert not restraints

    def test_tracing_error_leaves_no_restraint(self):
        with pytest.raises(KeyError):
            fg.jit(lambda x: {}[0])(X)
        assert not restraints

    def test_too_many_values(self):
        values = [1.0] * MAX_WORDS
        f, calls = watched(lambda values: values[0] + values[-1])
        assert [f(values) for _ in range(3)] == [2.0] * 3

    def test_donated_views(self):
        f, calls = watched(lambda x: x * 2, donate_argnums=0)
        for _ in range(4):
            with pytest.warns(UserWarning, match="view"):
                f(X.copy()[:])
        assert len(calls) == 4

    def test_static_objects_that_change(self):
        options = SimpleNamespace(scale=2.0)
        hashed = type("Options", (), {"scale": 2.0})()
        for value in (options, hashed):
            f, _ = watched(lambda x, o: x * o.scale, static_argnums=1)
            try:
                assert [f(3.0, value) for _ in range(4)] == [6.0] * 4
            except ValueError:
                continue  # not hashable
            value.scale = 5.0
            assert f(3.0, value) == 15.0

    def test_static_leaf_that_changes(self):
        holder = type("Holder", (), {})()
        holder.scale = 2.0
        f, _ = warm(lambda p: p["x"] * p["o"].scale, {"x": 3.0, "o": holder})
        holder.scale = 5.0
        assert f({"x": 3.0, "o": holder}) == 15.0


SCALE = 2.0
PARAMETERS = {"w": [np.ones(3, np.float32), (np.full(3, 2.0, np.float32),)]}


class TestWorldOutside:
    def test_globals(self, monkeypatch):
        f, calls = warm(lambda x: x * SCALE, X)
        monkeypatch.setitem(globals(), "SCALE", 3.0)
        np.testing.assert_array_equal(f(X), 3 * X)
        monkeypatch.setitem(globals(), "SCALE", 2.0)
        np.testing.assert_array_equal(f(X), 2 * X)
        monkeypatch.delitem(globals(), "SCALE")
        with pytest.raises(NameError):
            fg.jit(lambda x: x * SCALE)(X)

    def test_equal_value_is_learned_again(self, monkeypatch):
        f, calls = warm(lambda x: x * SCALE, X)
        monkeypatch.setitem(globals(), "SCALE", float("2.0"))
        f(X)
        del calls[:]
        np.testing.assert_array_equal(f(X), 2 * X)
        assert calls == [] and f.trace_count() == 1

    def test_closure(self):
        n = 2.0
        f, calls = watched(lambda x: x * n)
        found = []
        for value in (2.0, 2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 3.0):
            n = value
            found.append(f(1.0))
        assert found == [2.0, 2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 3.0]

    def test_closure_that_is_deleted(self):
        def make():
            n = 2.0
            f, _ = warm(lambda x: x * n, 1.0)  # noqa: F821
            del n
            return f

        with pytest.raises(NameError):
            make()(1.0)

    def test_captured_array_is_read_anew(self):
        w = np.ones(3, np.float32)
        f, calls = warm(lambda x: x * w, X)
        w[:] = 4.0
        np.testing.assert_array_equal(f(X), 4 * X)
        assert calls == []
        w.resize(1, refcheck=False)
        np.testing.assert_array_equal(f(X), 4 * X)
        assert len(calls) == 1 and "captured array" in f.explain_recompiles()
        w = np.full(3, 5.0, np.float32)
        np.testing.assert_array_equal(f(X), 5 * X)

    def test_captured_arrays_in_containers(self):
        saved = PARAMETERS["w"][:]
        f, calls = warm(lambda x: x * PARAMETERS["w"][0] + PARAMETERS["w"][1][0], X)
        PARAMETERS["w"].append("ignored")
        np.testing.assert_array_equal(f(X), X + 2)
        assert calls == []
        PARAMETERS["w"][0] = np.full(3, 10.0, np.float32)
        np.testing.assert_array_equal(f(X), 10 * X + 2)
        PARAMETERS["w"][1] = (np.full(3, 3.0, np.float32),)
        np.testing.assert_array_equal(f(X), 10 * X + 3)
        PARAMETERS["w"][:] = saved

    def test_captured_arrays_in_other_containers(self):
        layers = OrderedDict(w=X.copy())
        holder = [layers]
        f, calls = warm(lambda x: x * holder[0]["w"], X)
        np.testing.assert_array_equal(f(X), X * X)
        layers["w"] = X + 1
        np.testing.assert_array_equal(f(X), X * (X + 1))

    def test_captured_array_that_is_not_contiguous(self):
        w = np.ones((3, 2), np.float32)[:, 0]
        f, _ = watched(lambda x: x * w)
        for _ in range(3):
            np.testing.assert_array_equal(f(X), X)
