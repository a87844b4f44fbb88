"""Attention as graphs of cuDNN: its forward operation, and the one that gives the gradients of query, key and value."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.cuda.steps.attention_plan import FORWARD, contiguous_layout
from funcgrad.compiler.cuda.steps.cudnn_graph import PreparedGraph

WORKSPACE_BYTES = 4 << 30  # that its algorithms may use: gradients are summed in float32


class PreparedAttention(PreparedGraph):
    """The graph of an `AttentionPlan`."""

    name = "attention"

    def build(self) -> dict[str, Any]:
        plan = self.plan
        roles = {"query": plan.query, "key": plan.key, "value": plan.value}
        if plan.bias is not None:
            roles["bias"] = plan.bias
        if plan.kind != FORWARD:
            roles |= {"out": plan.out, "cotangent": plan.out}
        given = {role: self.tensor(role, layout) for role, layout in roles.items()}
        build = self.forward if plan.kind == FORWARD else self.backward
        return build(given, self.options(given))

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What both operations are told besides their tensors."""
        plan = self.plan
        found: dict[str, Any] = {"attn_scale": plan.scale}
        if plan.bias is not None:
            found["bias"] = given["bias"]
        if plan.before is not None or plan.after is not None:
            found["diagonal_alignment"] = self.library.bindings.diagonal_alignment.TOP_LEFT
        if plan.before is not None:  # counts the query's own time too
            found["diagonal_band_left_bound"] = plan.before + 1
        if plan.after is not None:
            found["diagonal_band_right_bound"] = plan.after
        return found

    def forward(self, given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        plan = self.plan
        out, totals = self.graph.sdpa(
            q=given["query"],
            k=given["key"],
            v=given["value"],
            generate_stats=plan.has_totals,
            **options,
        )
        given["out"] = self.finished(out, plan.out)
        if plan.has_totals:
            given["totals"] = self.finished(totals, plan.totals, self.wide)
        return given

    def backward(self, given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        plan = self.plan
        given["totals"] = self.tensor("totals", plan.totals, self.wide)
        found = self.graph.sdpa_backward(
            q=given["query"],
            k=given["key"],
            v=given["value"],
            o=given["out"],
            dO=given["cotangent"],
            stats=given["totals"],
            use_deterministic_algorithm=True,
            **options,
        )
        layouts = {"query": plan.query, "key": plan.key, "value": plan.value}
        for (name, layout), tensor in zip(layouts.items(), found, strict=True):
            given["gradient_" + name] = self.finished(tensor, contiguous_layout(layout))
        return given

    def restrain(self) -> None:
        self.graph.deselect_workspace_greater_than(WORKSPACE_BYTES)
