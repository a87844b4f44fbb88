"""Fourier transforms as functions: stage by stage along one axis each."""

from __future__ import annotations

import hashlib

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.fourier.spec import FourierSpec
from funcgrad.compiler.llvm.fourier.stage import StageWriter
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.windows.conv_tasks import flag


def transform(module: Module, spec: FourierSpec) -> str:
    """The name of a function `void (ptr x, ptr out, ptr failure)` that computes a transform.

    Large ones run in several threads, whose number does not change the result and whose floating point events go to
    the record in `failure`. Ctrl-C ends it early: poll after large ones.

    Args:
        module: gets the function, once for each spec.
        spec: the transform, which must be one that `supports`.
    """
    name = "fg_fourier_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:20]
    if module.defines(name):
        return name
    f = module.function(name, "void", ["ptr"] * 3, "internal")
    source, out, failure = f.arguments
    stages = spec.stages()
    between = out
    needs_memory = spec.transform == "irfft" and len(stages) > 1
    if needs_memory:
        first = stages[0]
        size = 2 * first.outer * first.inner * first.length * spec.dtype.itemsize
        between = f.external("fg_allocate", "ptr", [index(size)])
    stopped = flag(f)
    for number, stage in enumerate(stages):
        is_last = number == len(stages) - 1
        target = out if is_last else between
        factor = 1 / spec.points if is_last and spec.is_inverse else 1.0
        StageWriter(module, f"{name}_{number}", spec, stage, factor).write(
            f, [source, target, stopped, failure]
        )
        source = target
    if needs_memory:
        f.external("fg_free", "void", [between])
    f.ret()
    return name
