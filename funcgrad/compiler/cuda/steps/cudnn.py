"""Convolutions and attention by cuDNN, where its Python frontend is installed: a graph for each plan."""

from __future__ import annotations

import functools
import threading
from typing import Any

from funcgrad.compiler.cuda.steps.attention_graph import PreparedAttention
from funcgrad.compiler.cuda.steps.attention_plan import AttentionPlan
from funcgrad.compiler.cuda.steps.convolution_graph import PreparedConvolution
from funcgrad.compiler.cuda.steps.convolution_plan import ConvolutionPlan
from funcgrad.compiler.cuda.steps.cudnn_graph import PreparedGraph


def installed() -> Graphs | None:
    """cuDNN on the current device, or None where it is not installed."""
    try:
        import cudnn
    except ImportError:
        return None
    return Graphs(cudnn)


class Graphs:
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

    def prepare(self, plan: ConvolutionPlan | AttentionPlan) -> PreparedGraph | None:
        """What runs a plan; None if the library cannot."""
        kind = PreparedAttention if isinstance(plan, AttentionPlan) else PreparedConvolution
        refusals = (self.bindings.cudnnGraphNotSupportedError, RuntimeError, ValueError)
        try:
            return kind(self, plan)
        except refusals:  # it says so in several ways
            return None
