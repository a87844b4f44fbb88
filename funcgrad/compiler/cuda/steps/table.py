"""Steps as launches: which module writes which kind."""

from __future__ import annotations

from funcgrad.compiler.lowering.ragged import keeps_stacks
from funcgrad.compiler.lowering.step_table import StepTable

STEPS = StepTable(
    __name__,
    {
        "library": ("library", "takes", "write"),
        "dot": ("products", "takes", "write"),
        "scan": ("loops", None, "write_scan"),
        "while": ("loops", None, "write_while"),
        "cond": ("loops", None, "write_cond"),
        "attention": ("attention", None, "write"),
        "convolution": ("convolutions", "takes", "write"),
        "dynamic_update": ("updates", "takes", "write"),
        "dynamic_update_in_full": ("updates", "takes", "write"),
        "cumulative": ("cumulatives", "takes_cumulative", "write_cumulative"),
        "recurrence": ("cumulatives", "takes_recurrence", "write_recurrence"),
        "scatter": ("scatters", "takes", "write"),
        "scatter_in_full": ("scatters", "takes", "write"),
        "windows": ("windows", "takes", "write"),
        "positive_bits": ("positive_bits", "takes", "write"),
    },
    keeps_stacks,
)
