"""Kernels as LLVM code: loops, elements in registers, reductions."""
