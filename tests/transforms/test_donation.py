"""Donated arguments: who owns the memory afterwards, what is refused, and what threads and exceptions do to it."""

import gc
import os
import pickle
import sys
import threading
import tracemalloc
import warnings
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim
from funcgrad.compiler.executable import has_llvm
from funcgrad.compiler.llvm.calls import cpython, donated
from funcgrad.config import config
from funcgrad.transforms import donation
from funcgrad.tree.classes import register_dataclass, register_pytree_node_class

is_native = config.native and cpython.is_supported() and has_llvm()
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
native_only = pytest.mark.skipif(not is_native, reason="memory goes on in native code only")

X = np.array([1.0, 2.0, 3.0], np.float32)
LARGE = np.ones((300, 400), np.float32)


def address(array):
    return array.__array_interface__["data"][0]


def copied(x):
    return x.copy()  # of a scalar a scalar


def warm(fun, *args, **options):
    """A donating function that knows calls like this one."""
    jitted = fg.jit(fun, **({"donate_argnums": 0} | options))
    for _ in range(2):
        jitted(*[fg.tree.map(copied, x) for x in args])
    return jitted


def assert_owner(array):
    assert type(array) is np.ndarray and array.base is None
    assert array.flags.owndata and array.flags.writeable and array.flags.c_contiguous
    assert array.flags.num == np.empty(array.shape, array.dtype).flags.num


def add(x, y):
    return x + y


@native_only
class TestMemory:
    @pytest.mark.parametrize("x", [X, LARGE, np.ones((2, 3, 4)), np.arange(6).reshape(1, 6)])
    def test_goes_on_to_the_result(self, x):
        step = warm(add, x, x)
        x, y = x.copy(), x.copy()
        before = address(x)
        out = step(x, y)
        assert address(out) == before
        assert_owner(out)
        np.testing.assert_array_equal(out, y + y)
        assert not x.flags.owndata and not x.flags.writeable and x.base is out
        np.testing.assert_array_equal(x, out)

    def test_results_outlive_arguments_and_the_other_way_round(self):
        step = warm(add, LARGE, LARGE)
        x = LARGE.copy()
        out = step(x, LARGE)
        del x
        gc.collect()
        np.testing.assert_array_equal(out, 2 * LARGE)
        y = LARGE.copy()
        out = step(y, LARGE)
        del out
        gc.collect()
        np.testing.assert_array_equal(y, 2 * LARGE)

    def test_containers(self):
        params = {"a": X.copy(), "b": [X + 1, (X + 2,)]}
        step = warm(lambda p, x: fg.tree.map(lambda v: v * x, p), params, np.float32(2))
        before = [address(leaf) for leaf in fg.tree.leaves(params)]
        out = step(params, np.float32(2))
        assert [address(leaf) for leaf in fg.tree.leaves(out)] == before
        np.testing.assert_array_equal(out["b"][1][0], 2 * (X + 2))

    def test_classes(self):
        @register_dataclass
        @dataclass
        class Data:
            x: object

        @register_pytree_node_class
        class Own:
            def __init__(self, x):
                self.x = x

            def tree_flatten(self):
                return (self.x,), None

            @classmethod
            def tree_unflatten(cls, aux, children):
                return cls(*children)

        for cls in (Data, Own):
            step = warm(lambda p: type(p)(p.x + 1), cls(X))
            given = cls(X.copy())
            before = address(given.x)
            assert address(step(given).x) == before

    def test_tied_arrays(self):
        step = warm(lambda p: {k: v * 2 for k, v in p.items()}, {"a": X, "b": X})
        shared = X.copy()
        params = {"a": shared, "b": shared}
        out = step(params)
        np.testing.assert_array_equal(out["a"], X * 2)
        np.testing.assert_array_equal(out["b"], X * 2)

    def test_keywords(self):
        step = fg.jit(lambda x, y: x - y, donate_argnames="y")
        for _ in range(2):
            step(X, y=X.copy())
        y = X.copy()
        before = address(y)
        out = step(X, y=y)
        assert address(out) == before and X.flags.writeable

    def test_argument_that_is_returned(self):
        step = warm(lambda x, y: (x, x * y), X, X)
        x = X.copy()
        before = address(x)
        same, product = step(x, X)
        assert address(same) == before != address(product)
        np.testing.assert_array_equal(same, X)
        np.testing.assert_array_equal(product, X * X)
        assert_owner(same)

    def test_new_states_can_be_donated_on_and_on(self):
        step = warm(add, X, X)
        state, y = X.copy(), np.zeros(3, np.float32)
        before = address(state)
        for _ in range(5):
            state = step(state, y)
        assert address(state) == before

    def test_memory_of_other_allocators(self):
        step = warm(lambda x: x + 1, LARGE)
        for make in (lambda: np.frombuffer(bytearray(LARGE.tobytes()), np.float32), lambda: None):
            x = make()
            x = LARGE.copy() if x is None else np.array(x.reshape(300, 400))
            np.testing.assert_array_equal(step(x), LARGE + 1)

    def test_nothing_leaks(self):
        step = warm(lambda p: {k: v * 0.5 for k, v in p.items()}, {"a": X, "b": LARGE})
        params = {"a": X.copy(), "b": LARGE * 0}

        def run(count):
            nonlocal params
            for _ in range(count):
                params = step(params)

        run(2000)
        gc.collect()
        tracemalloc.start()
        run(500)
        first = tracemalloc.get_traced_memory()[0]
        run(500)
        assert tracemalloc.get_traced_memory()[0] - first < 1000
        tracemalloc.stop()
        assert sys.getrefcount(run.__code__) < donated.KEPT + 10

    def test_old_arrays_die(self):
        step = warm(add, X, X)

        class Watched:
            pass

        x = X.copy()
        watched = weakref.ref(x)
        out = step(x, X)
        del x
        assert watched() is None
        out_watched = weakref.ref(out)
        del out
        assert out_watched() is None


@native_only
class TestMemoryThatOthersUse:
    """It stays where it is; the result gets its own."""

    def test_view(self):
        step = warm(add, X, X)
        x = X.copy()
        view = x[1:]
        out = step(x, X)
        np.testing.assert_array_equal(view, X[1:])
        view[:] = 7
        np.testing.assert_array_equal(out, 2 * X)
        assert not x.flags.writeable and x.flags.owndata

    def test_buffer(self):
        step = warm(add, X, X)
        x = X.copy()
        with memoryview(x) as buffer:
            out = step(x, X)
            assert buffer[0] == X[0] and not np.shares_memory(out, np.asarray(buffer))

    def test_second_name(self):
        step = warm(lambda p: {"w": p["w"] * 2}, {"w": X})
        params = {"w": X.copy()}
        kept = params["w"]
        out = step(params)
        np.testing.assert_array_equal(kept, X)
        np.testing.assert_array_equal(out["w"], 2 * X)
        assert not kept.flags.writeable

    def test_captured_array(self):
        w = X.copy()
        step = fg.jit(lambda x: x * w, donate_argnums=0)
        for _ in range(2):
            step(X.copy())
        np.testing.assert_array_equal(step(w), X * X)
        np.testing.assert_array_equal(w, X)

    def test_views_made_later_see_the_new_values_and_keep_them_alive(self):
        step = warm(add, X, X)
        x = X.copy()
        out = step(x, X)
        view = x[1:]
        del out, x
        gc.collect()
        np.testing.assert_array_equal(view, 2 * X[1:])
        assert not view.flags.writeable


class TestRefusals:
    """The same on the first call, by Python code, as on later ones, by native code."""

    @pytest.fixture(params=["first", "later"])
    def step(self, request):
        if request.param == "later":
            return warm(add, X, X)
        return fg.jit(add, donate_argnums=0)

    def test_given_up_before(self, step):
        x = X.copy()
        step(x, X)
        with pytest.raises(
            ValueError, match=r"float32\[3\]\) was donated to add, called at test_donation.py:"
        ):
            step(x, X)
        with pytest.raises(ValueError, match="donated to add"):
            step(X.copy(), x)

    def test_refused_by_other_functions(self, step):
        x = X.copy()
        step(x, X)
        other = fg.jit(lambda x: x * 2)
        for _ in range(3):
            other(X)
        with pytest.raises(ValueError, match="an argument of lambda .* was donated to add"):
            other(x)
        with pytest.raises(ValueError, match="an argument of lambda .* was donated to add"):
            fg.jit(lambda p: p["x"] * 2)({"x": x})

    def test_views_of_it(self, step):
        x = np.array([X, X])[0].copy()
        before = x[:]
        step(x, X)
        for view in (before, x[:], x.reshape(1, 3)[0]):
            with pytest.raises(ValueError, match="donated"):
                step(view, X)
            with pytest.raises(ValueError, match="donated"):
                step(X.copy(), view)

    def test_passed_twice(self, step):
        x = X.copy()
        for other in (x, x[:], x[::-1][::-1], x.view()):
            with pytest.raises(ValueError, match=r"shares memory with another argument.*copy"):
                step(x, other)
            with pytest.raises(ValueError, match="shares memory"):
                step(other, x)
        assert x.flags.writeable
        np.testing.assert_array_equal(step(x, X), 2 * X)

    def test_others_may_share_memory(self, step):
        both = np.ones(6, np.float32)
        np.testing.assert_array_equal(step(X.copy(), both[:3]), X + 1)
        three = warm(lambda x, y, z: x + y + z, X, X, X)
        np.testing.assert_array_equal(three(X.copy(), both[:3], both[:3]), X + 2)

    def test_two_donated_arguments_that_are_one(self):
        step = warm(add, X, X, donate_argnums=(0, 1))
        x = X.copy()
        with pytest.raises(ValueError, match="shares memory"):
            step(x, x)

    def test_views_warn(self, step):
        for _ in range(3):
            with pytest.warns(UserWarning, match="view of another array"):
                step(np.array([X, X])[0], X)

    def test_read_only_arrays(self, step):
        x = X.copy()
        x.flags.writeable = False
        np.testing.assert_array_equal(step(x, X), 2 * X)
        with pytest.raises(ValueError, match="donated"):
            step(x, X)

    def test_pickles_and_copies_are_free(self, step):
        x = X.copy()
        step(x, X)
        for copy in (x.copy(), pickle.loads(pickle.dumps(x)), x + 0):
            step(copy, X)

    def test_debug_nans_fills_with_nan(self, step):
        x = X.copy()
        with fg.debug_nans():
            np.testing.assert_array_equal(step(x, X), 2 * X)
        assert np.isnan(x).all()

    def test_place_of_a_donation_long_ago(self, step, monkeypatch):
        x = X.copy()
        step(x, X)
        monkeypatch.setattr(donation, "_donated", {})
        monkeypatch.setattr(donated, "where_given", lambda array: None)
        if is_native:
            with pytest.raises(ValueError, match="was donated to an earlier call. Use what"):
                step(x, X)

    def test_without_native_code(self, monkeypatch):
        monkeypatch.setattr(cpython, "is_supported", lambda: False)
        step = fg.jit(add, donate_argnums=0)
        x = X.copy()
        for _ in range(4):
            step(X.copy(), X)
        step(x, X)
        with pytest.raises(ValueError, match="donated to add, called at test_donation.py"):
            step(x, X)


@native_only
class TestExceptions:
    def test_index_out_of_bounds(self):
        step = warm(lambda x, i: x.at[i].set(0.0), LARGE, np.int64(1))
        x = LARGE.copy()
        with pytest.raises(IndexError):
            step(x, np.int64(5000))
        assert not x.flags.writeable and x.shape == LARGE.shape
        assert np.isin(x, (0.0, 1.0)).all()  # it can be read
        with pytest.raises(ValueError, match="donated"):
            step(x, np.int64(1))

    def test_exception_in_a_callback(self):
        def fail(value):
            if value > 10:
                raise KeyError("too large")

        def f(x):
            fg.debug.callback(fail, x[0])
            return x + 1

        step = warm(f, X)
        x = X * 100
        with pytest.raises(KeyError):
            step(x)
        with pytest.raises(ValueError, match="donated"):
            step(x)

    def test_calls_that_are_refused_give_nothing_up(self):
        step = warm(add, X, X)
        x = X.copy()
        with pytest.raises(Exception, match="shape|broadcast"):
            step(x, np.ones(2, np.float32))
        assert x.flags.writeable and x.flags.owndata


@native_only
class TestWarnings:
    def test_numpy_warnings_are_not_lost(self):
        step = warm(lambda x, y: x / y, X, X)
        found = []
        for _ in range(4):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                step(X.copy(), X * 0)
            found.append([str(entry.message) for entry in caught])
        assert any("divide by zero" in message for messages in found for message in messages)
        assert all("divide by zero" in message for messages in found for message in messages)

    def test_after_a_while_memory_goes_on_again(self):
        step = warm(lambda x, y: x / y, X, X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step(X.copy(), X * 0)
        taken = []
        for _ in range(40):
            x = X.copy()
            before = address(x)
            taken.append(address(step(x, X)) == before)
        assert not taken[0] and taken[-1]

    def test_unused_arguments_warn_once(self):
        with pytest.warns(UserWarning, match="does not use it"):
            step = warm(lambda x, y: y * 2, X, X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(step(X.copy(), X), 2 * X)


@native_only
class TestThreads:
    def run(self, work, count=6):
        errors = []

        def guarded(number):
            try:
                work(number)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    def test_each_with_its_own_state(self):
        step = warm(lambda p, x: {"w": p["w"] + x}, {"w": LARGE}, LARGE)

        def work(number):
            state = {"w": LARGE * number}
            for _ in range(200):
                state = step(state, LARGE)
            assert (state["w"] == number + 200).all()

        assert self.run(work) == []

    def test_one_array_given_up_by_many(self):
        """Whoever gets through, results are right and own their memory, and nothing crashes."""
        step = warm(lambda p, x: {"w": p["w"] + x}, {"w": LARGE}, LARGE)
        for _ in range(30):
            shared = {"w": LARGE.copy()}
            results = []
            barrier = threading.Barrier(6)

            def work(_, shared=shared, results=results, barrier=barrier):
                barrier.wait()
                results.append(step(shared, LARGE))

            errors = self.run(work)
            assert all("donated" in str(error) for error in errors) and results
            for out in results:
                assert (out["w"] == 2).all()
            assert len({address(out["w"]) for out in results}) == len(results)

    def test_readers_in_other_threads(self):
        """A call that reads an array while another gives it up still sees its values."""
        step = warm(lambda x: x * 0, LARGE)
        read = fg.jit(lambda x: np.sum(np.sin(x) ** 2 + np.cos(x) ** 2))
        expected = read(LARGE)
        shared = [LARGE.copy()]

        def work(number):
            for _ in range(60):
                try:
                    if number:
                        assert abs(read(shared[0]) - expected) < 1
                    else:
                        shared[0] = LARGE.copy()
                        step(shared[0])
                except ValueError as error:
                    assert "donated" in str(error)

        assert self.run(work, 4) == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_fork(self):
        step = warm(add, X, X)
        x = X.copy()
        child = os.fork()
        if not child:
            os._exit(0 if np.array_equal(step(x, X), 2 * X) else 1)
        assert os.waitpid(child, 0)[1] == 0
        np.testing.assert_array_equal(step(x, X), 2 * X)


def test_training_is_the_same_with_donation():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(5, 7)), "b": rng.normal(size=7)}
    optimizer = optim.adam(1e-2)

    def update(params, state, x, y):
        def loss(params):
            return np.mean(
                nn.softmax_cross_entropy_with_integer_labels(x @ params["w"] + params["b"], y)
            )

        gradients = fg.grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optim.apply_updates(params, updates), state

    x, y = rng.normal(size=(16, 5)), rng.integers(0, 7, 16)
    found = []
    for options in ({}, {"donate_argnums": (0, 1)}):
        step = fg.jit(update, **options)
        now = fg.tree.map(np.copy, params)
        state = optimizer.init(now)
        for _ in range(8):
            now, state = step(now, state, x, y)
        found.append(now)
    for a, b in zip(*map(fg.tree.leaves, found), strict=True):
        np.testing.assert_array_equal(a, b)
