"""Graphs: when calls are replayed, that results are never written to while somebody holds them, donation, memory."""

import gc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import funcgrad as fg
from tests.gpu.emulator.available import require_emulator

require_emulator()

import cupy  # noqa: E402

from funcgrad.compiler.cuda import stages  # noqa: E402
from funcgrad.compiler.cuda.runtime import memory as device_memory, replay  # noqa: E402
from tests.gpu.emulator.device import Stream, emulated  # noqa: E402
from tests.gpu.emulator.memory import host, host_view, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


@pytest.fixture(autouse=True)
def one_launch_for_each_unit(monkeypatch):
    """The arrays here are small, but there shall be enough launches for graphs."""
    monkeypatch.setattr(stages, "groups", lambda plan: [[unit] for unit in plan.units])


def long_function(x, y, scale=1.0):
    """Several products, so that there are enough launches for a graph."""
    for _ in range(3):
        x = np.tanh(x @ y)
    return x * scale, np.sum(x, 0)


def square(seed=0, n=4):
    return np.random.default_rng(seed).standard_normal((n, n)).astype(np.float32)


def expected(*args):
    return [np.asarray(out) for out in long_function(*args)]


def check(found, *args):
    for out, want in zip(found, expected(*args), strict=True):
        np.testing.assert_allclose(host(out), want, rtol=1e-5, atol=1e-5)


def test_the_second_call_makes_a_graph_and_later_ones_replay_it():
    f = fg.jit(long_function)
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        for call, (captures, replays) in enumerate([(0, 0), (1, 1), (1, 2), (1, 3)]):
            check(f(x, y), square(0), square(1))
            assert (device.captures, device.replays) == (captures, replays), call


def test_few_launches_make_no_graph():
    f = fg.jit(lambda x: np.sin(x) + 1)
    with emulated() as device:
        x = put(square())
        for _ in range(4):
            f(x)
        assert device.captures == 0


def test_new_contents_of_the_same_memory_are_read():
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        for seed in range(4):
            host_view(x.data.ptr, x.shape, x.dtype)[...] = square(seed)
            check(f(x, y), square(seed), square(1))


def test_results_that_somebody_holds_are_not_written_to():
    f = fg.jit(long_function)
    with emulated() as device:
        y, held = put(square(1)), []
        x = put(square(0))
        for seed in range(8):
            host_view(x.data.ptr, x.shape, x.dtype)[...] = square(seed)
            held.append(f(x, y))
        for seed, outs in enumerate(held):
            check(outs, square(seed), square(1))
        assert device.replays == replay.SETS


@pytest.mark.parametrize(
    "keep", [lambda out: out[1:, ::2], lambda out: out.T, lambda out: out.data]
)
def test_views_and_pointers_hold_results_too(keep):
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        for _ in range(2):
            f(x, y)
        out = f(x, y)[0]
        address, kept = out.data.ptr, keep(out)
        del out
        gc.collect()
        now = host_view(address, (4, 4), np.float32).copy()
        host_view(x.data.ptr, x.shape, x.dtype)[...] = square(7)
        for _ in range(5):
            f(x, y)
        np.testing.assert_array_equal(host_view(address, (4, 4), np.float32), now)
        assert kept is not None


def test_memory_of_results_is_used_again():
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        seen = {f(x, y)[0].data.ptr for _ in range(12)}
        assert len(seen) <= 3


def test_results_outlive_the_function():
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        for _ in range(3):
            outs = f(x, y)
        del f
        gc.collect()
        check(outs, square(0), square(1))


def test_small_arguments_that_move_are_copied():
    f = fg.jit(long_function)
    with emulated() as device:
        y = put(square(1))
        for seed in range(20):
            check(f(put(square(seed)), y), square(seed), square(1))
        assert device.captures <= 4
        assert device.replays >= 18


def test_large_arguments_that_move_get_graphs_until_there_are_enough(monkeypatch):
    monkeypatch.setattr(replay, "SMALL", 0)
    f = fg.jit(long_function)
    with emulated() as device:
        y = put(square(1))
        kept = [put(square(seed)) for seed in range(40)]
        for seed, x in enumerate(kept):
            check(f(x, y), square(seed), square(1))
        assert device.captures <= replay.GRAPHS + 3
        assert device.replays >= 36


def test_a_few_places_in_turn_are_a_few_graphs(monkeypatch):
    monkeypatch.setattr(replay, "SMALL", 0)
    f = fg.jit(long_function)
    with emulated() as device:
        y, xs = put(square(1)), [put(square(seed)) for seed in range(3)]
        for turn in range(12):
            check(f(xs[turn % 3], y), square(turn % 3), square(1))
        assert device.captures == 3
        assert device.replays == 11


def test_what_cannot_be_copied_or_kept_runs_without_graphs(monkeypatch):
    monkeypatch.setattr(replay, "SMALL", 0)
    monkeypatch.setattr(replay, "LARGE", 0)
    f = fg.jit(long_function)
    with emulated() as device:
        y = put(square(1))
        kept = [put(square(seed)) for seed in range(60)]
        for seed, x in enumerate(kept):
            check(f(x, y), square(seed), square(1))
        assert device.captures <= replay.TRIES


def test_numbers_of_the_host_change_between_replays():
    f = fg.jit(long_function)
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        for k in range(6):
            check(f(x, y, 0.5 * k), square(0), square(1), 0.5 * k)
            check(f(x, y, np.float32(k)), square(0), square(1), np.float32(k))
        assert device.captures == 2
        assert device.replays == 10


def test_other_views_of_the_same_memory_are_not_taken_for_it():
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        for _ in range(3):
            check(f(x, y), square(0), square(1))
            check(f(x.T, y), square(0).T, square(1))
            check(f(x, y.T), square(0), square(1).T)


def test_numbers_of_other_types_take_the_long_way():
    f = fg.jit(lambda x, y, k: long_function(x, y, k)[0])
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        for k in [2.0] * 4 + [put(np.float64(3)), np.float64(4), 5.0, put(np.float64(6))]:
            scale = float(host(k)) if isinstance(k, cupy.ndarray) else k
            expected = f(square(0), square(1), scale)
            np.testing.assert_allclose(host(f(x, y, k)), expected, rtol=1e-4, atol=1e-5)
        assert device.replays >= 4


def test_two_threads_call_the_same_function():
    f = fg.jit(long_function)
    arguments = [(square(2 * k), square(2 * k + 1)) for k in range(4)]
    with emulated(), ThreadPoolExecutor(4) as pool:
        arrays = [(put(x), put(y)) for x, y in arguments]

        def work(k):
            with cupy.cuda.using_allocator(device_allocator):
                return [f(*arrays[k]) for _ in range(6)]

        device_allocator = cupy.cuda.get_allocator()
        for k, calls in enumerate(pool.map(work, range(4))):
            for outs in calls:
                check(outs, *arguments[k])


# --- donation ---


def step(state, x):
    w, count = state["w"], state["count"]
    for _ in range(3):
        w = w - 0.01 * np.tanh(x @ w)
    return {"w": w, "count": count + 1}, np.sum(w)


def test_donated_arrays_are_replaced_where_they_are():
    f = fg.jit(step, donate_argnums=0)
    plain = {"w": square(0), "count": np.arange(3.0)}
    with emulated() as device:
        x = put(square(1))
        state = {"w": put(plain["w"]), "count": put(plain["count"])}
        for _ in range(6):
            before = dict(state)
            state, loss = f(state, x)
            plain, wanted = step(plain, square(1))
            assert state["w"] is before["w"] and state["count"] is before["count"]
            np.testing.assert_allclose(host(state["w"]), plain["w"], rtol=1e-5)
            np.testing.assert_allclose(host(loss), wanted, rtol=1e-4)
        assert device.captures == 2  # the loss before is held during each call
        assert device.replays == 5


def test_a_donated_view_is_left_alone():
    f = fg.jit(step, donate_argnums=0)
    with emulated():
        base = put(np.stack([square(0), square(2)]))
        for _ in range(4):
            state, _ = f({"w": base[1], "count": put(np.arange(3.0))}, put(square(1)))
            wanted, _ = step({"w": square(2), "count": np.arange(3.0)}, square(1))
            np.testing.assert_allclose(host(state["w"]), wanted["w"], rtol=1e-5)
        np.testing.assert_array_equal(host(base), np.stack([square(0), square(2)]))


@pytest.mark.parametrize("other", [lambda x: x, lambda x: x[:]])
def test_a_donated_array_that_is_passed_twice_is_refused(other):
    f = fg.jit(lambda x, y: x + y, donate_argnums=0)
    with emulated():
        x = put(square())
        for _ in range(4):
            with pytest.raises(ValueError, match=r"shares memory.*x\.copy\(\)"):
                f(x, other(x))


# --- what goes wrong ---


def test_a_graph_that_cannot_be_made_is_done_without():
    f = fg.jit(long_function)
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        f(x, y)
        device.failure = RuntimeError("no graphs today")
        with pytest.warns(UserWarning, match="no graphs today"):
            check(f(x, y), square(0), square(1))
        for _ in range(3):
            check(f(x, y), square(0), square(1))
        assert device.captures == 0


def test_too_little_memory_is_reported_and_leaves_everything_usable(monkeypatch):
    f = fg.jit(long_function)
    with emulated():
        x, y = put(square(0)), put(square(1))
        for _ in range(3):
            f(x, y)

        def nothing(size):
            raise cupy.cuda.memory.OutOfMemoryError(size, 0)

        z = put(square(2, 5))
        with monkeypatch.context() as patched:
            patched.setattr(cupy.cuda, "alloc", nothing)
            patched.setattr(device_memory, "give_back", lambda: None)
            with pytest.raises(device_memory.DeviceMemoryError, match="not enough memory") as info:
                f(z, z)
        for part in ("intermediates", "long_function", "donate", "float32[5,5]"):
            assert part in str(info.value)
        check(f(x, y), square(0), square(1))
        check(f(z, z), square(2, 5), square(2, 5))


# --- streams ---


def test_graphs_of_another_stream_wait():
    f = fg.jit(long_function)
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        for stream in (0, 0, 7, 7, 0):
            device.stream = Stream(stream)
            check(f(x, y), square(0), square(1))
        assert device.orders >= 2


# --- parts that no graph can hold ---


def mixed(x, y):
    """Enough launches in front of and behind a library call."""
    before = np.tanh(np.tanh(np.tanh(x @ y) @ y) @ y)
    values = np.sort(before, axis=-1)
    after = np.tanh(np.tanh(np.tanh(values @ y) @ y) @ y)
    return after, before


def test_graphs_lie_around_library_calls():
    f = fg.jit(mixed)
    with emulated() as device:
        x, y = put(square(0)), put(square(1))
        for _ in range(3):
            for out, want in zip(f(x, y), mixed(square(0), square(1)), strict=True):
                np.testing.assert_allclose(host(out), want, rtol=1e-4, atol=1e-5)
        assert device.captures == 4  # two each, for two sets of results
        assert device.replays == 4


def test_no_warnings_in_a_training_loop():
    f = fg.jit(step, donate_argnums=0)
    with emulated(), warnings.catch_warnings():
        warnings.simplefilter("error")
        state = {"w": put(square(0)), "count": put(np.arange(3.0))}
        for seed in range(5):
            state, _ = f(state, put(square(seed)))
