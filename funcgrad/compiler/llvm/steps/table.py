"""Steps as native code: which module writes which kind."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.steps import dots
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.parts import Division
from funcgrad.compiler.lowering.ragged import is_native_body
from funcgrad.compiler.lowering.step_table import StepTable

STEPS = StepTable(
    __name__,
    {
        "library": ("library", "takes", "write"),
        "dot": ("dots", "takes", "write"),
        "scan": ("scan", None, "write"),
        "while": ("while_loop", None, "write"),
        "cond": ("cond", None, "write"),
        "convolution": ("convolutions", "takes", "write"),
        "dynamic_update": ("updates", "takes", "write"),
        "dynamic_update_in_full": ("updates", "takes", "write"),
        "cumulative": ("cumulatives", "takes_cumulative", "write_cumulative"),
        "recurrence": ("cumulatives", "takes_recurrence", "write_recurrence"),
        "scatter": ("scatters", "takes", "write"),
        "scatter_in_full": ("scatters", "takes", "write"),
        "windows": ("convolutions", "takes_windows", "write_windows"),
        "fourier": ("fourier", "takes", "write"),
        "stack": ("stack_operations", None, "write"),
        "lu_factor": ("linear_algebra", "takes", "write_lu_factor"),
        "lu_permutation": ("linear_algebra", "takes_pivots", "write_lu_permutation"),
        "lu_solve": ("linear_algebra", "takes", "write_lu_solve"),
        "triangular_solve": ("linear_algebra", "takes", "write_triangular_solve"),
        "cholesky": ("linear_algebra", "takes", "write_cholesky"),
        "eigh": ("linear_algebra", "takes", "write_eigh"),
        "svd": ("linear_algebra", "takes", "write_svd"),
        "qr": ("linear_algebra", "takes", "write_qr"),
        "run_time_iota": ("stack_operations", None, "write_numbers"),
    },
    is_native_body,
)

# Kinds of steps that can be done in parts, on each of which a kernel runs: the module with the functions `divisions`,
# `prepared`, `write_part` and `work`.
IN_PARTS = {"dot": "dots", "convolution": "convolutions"}


def divisions(step: Step, in_memory: set[Node]) -> Sequence[Division]:
    """How a step divides into parts, the best way first."""
    if step.how not in IN_PARTS:
        return ()
    return STEPS.module(IN_PARTS[step.how]).divisions(step, in_memory)


def functions_of(step: Step, in_memory: set[Node]) -> set[str]:
    """The functions that a step will call, as far as programs share them and they take long to compile."""
    return dots.functions_of(step, in_memory) if step.how == "dot" else set()


def write_fused(writer: ProgramWriter, unit: Fused) -> None:
    """A step in parts, with the kernel that runs on each."""
    STEPS.module("fused").write(writer, unit, STEPS.module(IN_PARTS[unit.step.how]))
