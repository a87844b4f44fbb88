"""Winograd's convolution for windows of 3 by 3 elements: 2.25 times fewer multiplications than the definition.

Threads take lines of squares: x is turned to channels last and transformed, 16 products of matrices follow,
and their results are transformed back. For the gradient by w, the squares are summed over. Where an infinity, a NaN or
an overflow comes out, the result is computed again by the definition: a transform would spread these.
"""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.windows.conv_tasks import flag, is_raised
from funcgrad.compiler.llvm.windows.winograd_forward import Forward
from funcgrad.compiler.llvm.windows.winograd_gradient import Gradient
from funcgrad.compiler.llvm.windows.winograd_layout import layout_of
from funcgrad.compiler.lowering.conv_spec import ConvSpec


def write_winograd(module: Module, name: str, spec: ConvSpec, f: Function, direct: str) -> None:
    """Write the body of a convolution that `pays`; the function `direct` computes it by the definition."""
    assert spec.planes is not None
    failed = flag(f)
    kind = Gradient if spec.planes.sums_examples else Forward
    kind(module, name, spec.planes, layout_of(spec, spec.planes)).write(f, failed)
    with f.when(is_raised(f, failed)):
        f.call(direct, "void", f.arguments)
