"""CUDA C for the loop nests of `lowering.fusion`: elements, maps, reductions over rows and columns, tiny kernels."""
