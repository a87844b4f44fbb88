"""Convolutions as graphs of cuDNN."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.cuda.steps.cudnn_graph import PreparedGraph

WORKSPACE_BYTES = 32 << 20  # that its algorithms may use
# What its algorithms may not do: results shall not depend on which thread comes first, nor have fewer digits.
ALWAYS_LEFT_OUT = ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION")
LEFT_OUT_OF_FLOAT32 = ("TENSOR_CORE", "DOWN_CONVERT_INPUTS")


class PreparedConvolution(PreparedGraph):
    """The graph of a `ConvolutionPlan`."""

    name = "convolution"

    def build(self) -> dict[str, Any]:
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

    def restrain(self) -> None:
        left_out: list[str] = [*ALWAYS_LEFT_OUT]
        if self.plan.dtype.name == "float32" and self.plan.precision == "highest":
            left_out += LEFT_OUT_OF_FLOAT32
        notes = self.library.bindings.numerical_note
        self.graph.deselect_numeric_notes([getattr(notes, name) for name in left_out])
        self.graph.deselect_workspace_greater_than(WORKSPACE_BYTES)
