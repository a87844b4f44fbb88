"""Stands for the Python frontend of cuDNN: graphs of one operation, run by NumPy on host memory."""

import enum
import itertools
import math

import ml_dtypes
import numpy as np

from funcgrad.ops.convolution import CONVOLVE
from funcgrad.ops.sliding import Sliding
from tests.gpu.emulator import fake_attention
from tests.gpu.emulator.memory import host_view


class data_type(enum.Enum):  # noqa: N801 - the names are cuDNN's
    HALF = np.dtype(np.float16)
    BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
    FLOAT = np.dtype(np.float32)


diagonal_alignment = enum.Enum("diagonal_alignment", "TOP_LEFT BOTTOM_RIGHT")
heur_mode = enum.Enum("heur_mode", "A B FALLBACK")
build_plan_policy = enum.Enum("build_plan_policy", "HEURISTICS_CHOICE ALL")
numerical_note = enum.Enum(
    "numerical_note",
    "TENSOR_CORE DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION FFT NONDETERMINISTIC WINOGRAD",
)
handles = itertools.count(1)
ran: list[tuple] = []  # what was executed, and what it left out


class cudnnGraphNotSupportedError(Exception):  # noqa: N801
    pass


def create_handle():
    return next(handles)


def set_stream(handle, stream):
    assert handle and isinstance(stream, int)


class Tensor:
    def __init__(self, dim=None, stride=None, data_type=None):
        self.dim, self.stride, self.type = dim, stride, data_type
        self.is_output = False

    def set_output(self, value):
        self.is_output = value
        return self

    def set_data_type(self, value):
        self.type = value
        return self

    def set_dim(self, value):
        self.dim = value
        return self

    def set_stride(self, value):
        self.stride = value
        return self

    def array(self, address):
        dtype = self.type.value
        return host_view(
            address, tuple(self.dim), dtype, tuple(n * dtype.itemsize for n in self.stride)
        )


class pygraph:  # noqa: N801
    def __init__(self, name, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert name and handle and intermediate_data_type == compute_data_type == data_type.FLOAT
        self.left_out, self.stage = [], 0

    def tensor(self, name, dim, stride, data_type):
        return Tensor(dim, stride, data_type)

    def conv_fprop(self, image, weight, pre_padding, post_padding, stride, dilation):
        self.kind, self.operands = "fprop", (image, weight)
        return self.result(pre_padding, post_padding, stride, dilation)

    def conv_wgrad(self, image, loss, pre_padding, post_padding, stride, dilation):
        self.kind, self.operands = "wgrad", (image, loss)
        return self.result(pre_padding, post_padding, stride, dilation)

    def sdpa(self, q, k, v, generate_stats, **options):
        self.kind, self.operands, self.options = "sdpa", (q, k, v), options
        out, stats = Tensor(), Tensor() if generate_stats else None
        bias = options.get("bias")
        self.by_role = {"q": q, "k": k, "v": v, "o": out, "stats": stats, "bias": bias}
        return out, stats

    def sdpa_backward(self, q, k, v, o, dO, stats, use_deterministic_algorithm, **options):  # noqa: N803
        assert use_deterministic_algorithm
        self.kind, self.operands, self.options = "sdpa_backward", (q, k, v), options
        found = Tensor(), Tensor(), Tensor()
        self.by_role = {"q": q, "k": k, "v": v, "o": o, "dO": dO, "stats": stats}
        self.by_role |= dict(zip(("dq", "dk", "dv"), found, strict=True))
        self.by_role["bias"] = options.get("bias")
        return found

    def result(self, *window):
        self.window, self.out = list(zip(*window, strict=True)), Tensor()
        return self.out

    def validate(self):
        """The lengths fit: each place of the window lies within the padded image."""
        self.stage = 1
        if self.kind.startswith("sdpa"):
            self.by_role = {role: x for role, x in self.by_role.items() if x is not None}
            fake_attention.check(self.by_role, self.options, cudnnGraphNotSupportedError)
            return
        image, other = self.operands
        w, y = (other, self.out) if self.kind == "fprop" else (self.out, other)
        assert self.out.is_output
        assert (image.dim[0], w.dim[0], image.dim[1]) == (y.dim[0], y.dim[1], w.dim[1])
        for n, size, places, (low, high, stride, dilation) in zip(
            image.dim[2:], w.dim[2:], y.dim[2:], self.window, strict=True
        ):
            assert low >= 0 and high >= 0
            assert (n + low + high - dilation * (size - 1) - 1) // stride + 1 == places

    def build_operation_graph(self):
        self.stage += 1

    def create_execution_plans(self, modes):
        assert modes and self.stage == 2
        self.stage = 3

    def deselect_numeric_notes(self, notes):
        assert self.stage == 3
        self.left_out = [note.name for note in notes]

    def deselect_workspace_greater_than(self, nbytes):
        assert self.stage == 3 and nbytes > 0

    def check_support(self):
        if (
            math.prod(self.operands[0].dim) == 7 * 7 * 7 * 7
        ):  # for tests: there are always some that it lacks
            raise cudnnGraphNotSupportedError("no engine")

    def build_plans(self, policy):
        assert policy == build_plan_policy.HEURISTICS_CHOICE
        self.stage = 4

    def get_workspace_size(self):
        return fake_attention.WORKSPACE_BYTES

    def execute(self, pointers, workspace, handle):
        assert self.stage == 4 and handle and isinstance(workspace, int)
        if self.kind.startswith("sdpa"):
            host_view(workspace, (fake_attention.WORKSPACE_BYTES,), np.dtype(np.uint8))[...] = 255
            arrays = {role: x.array(pointers[x]) for role, x in self.by_role.items()}
            run = fake_attention.forward if self.kind == "sdpa" else fake_attention.backward
            run(arrays, self.options)
            ran.append((self.kind, tuple(sorted(self.by_role))))
            return
        x, other = (tensor.array(pointers[tensor]) for tensor in self.operands)
        out = self.out.array(pointers[self.out])
        axes = "01234"[: x.ndim - 2]
        if self.kind == "fprop":
            labels = ("nc" + axes, "oc" + axes, "no" + axes)
            sizes = other.shape[2:]
            window = [
                Sliding(k, s, low, high, 1, d)
                for k, (low, high, s, d) in zip(sizes, self.window, strict=True)
            ]
        else:
            labels = ("nc" + axes, "no" + axes, "oc" + axes)
            sizes = other.shape[2:]
            window = [
                Sliding(k, d, low, high, 1, s)
                for k, (low, high, s, d) in zip(sizes, self.window, strict=True)
            ]
        found = CONVOLVE.numpy(np, x, other, labels=labels, window=tuple(window))
        # A gradient may have places that the window of weights does not reach.
        out[...] = found[tuple(slice(0, n) for n in out.shape)]
        ran.append((self.kind, tuple(self.left_out)))
