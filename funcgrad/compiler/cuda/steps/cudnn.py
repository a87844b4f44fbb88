"""Convolutions by cuDNN, where its Python frontend is installed: a graph of one operation for each plan."""

from __future__ import annotations

import functools
import threading
from typing import Any

from funcgrad.compiler.cuda.steps.convolution_plan import ConvolutionPlan, TensorLayout

WORKSPACE_BYTES = 32 << 20  # that its algorithms may use
DATA_TYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT"}
# What its algorithms may not do: results shall not depend on which thread comes first, nor have fewer digits.
ALWAYS_LEFT_OUT = ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION")
LEFT_OUT_OF_FLOAT32 = ("TENSOR_CORE", "DOWN_CONVERT_INPUTS")


def installed() -> Convolutions | None:
    """cuDNN on the current device, or None where it is not installed."""
    try:
        import cudnn
    except ImportError:
        return None
    return Convolutions(cudnn)


class Convolutions:
    """cuDNN on one device.

    Args:
        bindings: the module `cudnn`, or what stands for it in tests.
    """

    def __init__(self, bindings: Any) -> None:
        self.bindings = bindings
        self.lock = threading.Lock()

    @functools.cached_property
    def handle(self) -> int:
        return self.bindings.create_handle()

    def prepare(self, plan: ConvolutionPlan) -> PreparedConvolution | None:
        """What runs a plan; None if the library cannot."""
        refusals = (self.bindings.cudnnGraphNotSupportedError, RuntimeError, ValueError)
        try:
            return PreparedConvolution(self, plan)
        except refusals:  # it says so in several ways
            return None


class PreparedConvolution:
    """The graph of a plan, with the algorithm that the library expects to be fastest."""

    def __init__(self, library: Convolutions, plan: ConvolutionPlan) -> None:
        cudnn = library.bindings
        self.library = library
        self.plan = plan
        self.type = getattr(cudnn.data_type, DATA_TYPES[plan.dtype.name])
        wide = cudnn.data_type.FLOAT
        self.graph = cudnn.pygraph(
            name="convolution",
            io_data_type=self.type,
            intermediate_data_type=wide,
            compute_data_type=wide,
            handle=library.handle,
        )
        self.tensors = self.build()
        self.choose()

    def build(self) -> dict[str, Any]:
        """The one operation; its tensors by role."""
        plan, graph = self.plan, self.graph
        window = {
            "pre_padding": list(plan.before),
            "post_padding": list(plan.after),
            "stride": list(plan.stride),
            "dilation": list(plan.dilation),
        }
        x = self.tensor("x", plan.x)
        if plan.result == "y":
            w = self.tensor("w", plan.w)
            y = self.finished(graph.conv_fprop(image=x, weight=w, **window), plan.y)
        else:
            y = self.tensor("y", plan.y)
            w = self.finished(graph.conv_wgrad(image=x, loss=y, **window), plan.w)
        return {"x": x, "w": w, "y": y}

    def tensor(self, name: str, layout: TensorLayout) -> Any:
        lengths, strides = list(layout.lengths), list(layout.strides)
        return self.graph.tensor(name=name, dim=lengths, stride=strides, data_type=self.type)

    def finished(self, tensor: Any, layout: TensorLayout) -> Any:
        """The result, with its layout."""
        tensor.set_output(True).set_data_type(self.type)
        tensor.set_dim(list(layout.lengths)).set_stride(list(layout.strides))
        return tensor

    def choose(self) -> None:
        """Find an algorithm; raises if there is none."""
        cudnn, graph, plan = self.library.bindings, self.graph, self.plan
        left_out: list[str] = [*ALWAYS_LEFT_OUT]
        if plan.dtype.name == "float32" and plan.precision == "highest":
            left_out += LEFT_OUT_OF_FLOAT32
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        graph.deselect_numeric_notes([getattr(cudnn.numerical_note, name) for name in left_out])
        graph.deselect_workspace_greater_than(WORKSPACE_BYTES)
        graph.check_support()
        graph.build_plans(cudnn.build_plan_policy.HEURISTICS_CHOICE)

    def run(
        self, pointers: dict[str, int], workspace: int, workspace_bytes: int, stream: int
    ) -> None:
        """Queue the convolution on a stream.

        Args:
            pointers: addresses of "x", "w" and "y".
            workspace, workspace_bytes: memory that only this stream uses.
            stream: address of the stream.
        """
        assert self.graph.get_workspace_size() <= workspace_bytes
        cudnn, library = self.library.bindings, self.library
        given = {tensor: pointers[role] for role, tensor in self.tensors.items()}
        with library.lock:  # the stream is a property of the handle
            cudnn.set_stream(handle=library.handle, stream=stream)
            self.graph.execute(given, workspace, handle=library.handle)
