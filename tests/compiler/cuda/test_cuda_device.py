"""What a CUDA device is told: CUDA itself is replaced by notes of what it was asked."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

import funcgrad as fg
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda.launches import LibraryCall, Slot, Source  # noqa: E402
from funcgrad.compiler.cuda.runtime import cuda_device, modules  # noqa: E402
from funcgrad.compiler.cuda.runtime.modules import Modules  # noqa: E402


class Notes:
    """Answers every function, and notes its name and arguments."""

    def __init__(self, real, **answers):
        self.real = real
        self.answers = answers
        self.calls = []

    def __getattr__(self, name):
        if (
            name.startswith("CU_")
            or name.startswith("memcpy")
            and name[6].isupper()
            and "To" in name
        ):
            return getattr(self.real, name)

        def function(*args):
            self.calls.append((name, *args))
            return self.answers.get(name)

        return function


@pytest.fixture
def cuda(monkeypatch):
    """A device, and the notes of its driver and of its runtime."""
    driver = Notes(cuda_device.driver, moduleLoadData=7, moduleGetFunction=9)
    runtime = Notes(cuda_device.runtime, getDevice=0)
    monkeypatch.setattr(cuda_device, "driver", driver)
    monkeypatch.setattr(cuda_device, "runtime", runtime)
    device = cuda_device.CudaDevice.__new__(cuda_device.CudaDevice)
    return device, driver, runtime


def test_memory_is_copied_in_order_of_the_stream(cuda):
    device, _, runtime = cuda
    device.copy(100, 200, 8, 5)
    device.fill(100, 8, 1, 5)
    device.write(100, b"12345678", 5)
    assert runtime.calls[0] == (
        "memcpyAsync",
        100,
        200,
        8,
        cuda_device.runtime.memcpyDeviceToDevice,
        5,
    )
    assert runtime.calls[1] == ("memsetAsync", 100, 1, 8, 5)
    name, target, _, size, kind, stream = runtime.calls[2]
    assert (name, target, size, stream) == ("memcpyAsync", 100, 8, 5)
    assert kind == cuda_device.runtime.memcpyHostToDevice


def test_reading_waits(cuda):
    device, _, runtime = cuda
    assert len(device.read(100, 8, 5)) == 8
    assert [call[0] for call in runtime.calls] == ["memcpyAsync", "streamSynchronize"]
    assert runtime.calls[0][4] == cuda_device.runtime.memcpyDeviceToHost


def test_shared_memory_needs_permission_once(cuda, monkeypatch):
    device, driver, _ = cuda
    monkeypatch.setattr(modules.nvrtc, "compiled", lambda text, architecture: b"\x7fELF")
    monkeypatch.setattr(modules.nvrtc, "version", lambda: "0.0")
    device.modules = Modules("sm_90", device.load)
    device.granted = {}
    text = 'extern "C" __global__ void k(Pointers<1> p) { *(float *)p.at[0] = 1; }'
    for shared in (1 << 10, 100 << 10, 90 << 10, 120 << 10):
        assert device.functions([Source("k", text, frozenset({"core"}), shared=shared)]) == [9]
    granted = [call[-1] for call in driver.calls if call[0] == "funcSetAttribute"]
    assert granted == [1 << 10, 100 << 10, 120 << 10]
    (code,) = [call[1] for call in driver.calls if call[0] == "moduleLoadData"]
    assert code[:4] == b"\x7fELF"


class Recorder:
    """A stream that can record."""

    def __init__(self):
        self.steps = []

    def begin_capture(self):
        self.steps.append("begin")

    def end_capture(self):
        self.steps.append("end")
        return self

    def upload(self, stream):
        self.steps.append("upload")

    def synchronize(self):
        self.steps.append("wait")


def test_a_recording_is_ended_whatever_happens(cuda):
    device, _, _ = cuda
    recorder = Recorder()
    device.recording = SimpleNamespace(objects=[recorder], streams=[11], marks=[])
    device.lock = contextlib.nullcontext()
    seen = []
    assert device.capture(seen.append) is recorder
    assert seen == [device.recording] and recorder.steps == ["begin", "end", "upload", "wait"]
    recorder.steps.clear()

    def fail(recording):
        raise RuntimeError("cannot be recorded")

    with pytest.raises(RuntimeError, match="cannot be recorded"):
        device.capture(fail)
    assert recorder.steps == ["begin", "end"]


def test_a_library_call_gets_arrays_over_its_memory(cuda, monkeypatch):
    """NumPy arrays stand for CuPy's."""
    device, _, _ = cuda
    x = np.array([3.0, 1.0, 2.0])
    (equation,) = fg.make_jaxpr(np.sort)(x).equations
    memory = {1: x, 2: np.zeros(3)}
    monkeypatch.setattr(device, "view", lambda address, type: memory[address], raising=False)
    monkeypatch.setattr(cuda_device, "cupy", np)
    type = equation.inputs[0].type
    call = LibraryCall(equation, ((Slot(("input", 0)), type),), ((Slot(("output", 0)), type),))
    device.library(call, [1], [2])
    np.testing.assert_array_equal(memory[2], [1, 2, 3])
