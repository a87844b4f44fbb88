"""CuPy's kernel objects over NumPy: types come from CuPy's own parser, the C text is run as Python where it can be."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.gpu.strict_cupy import device, host, module, real_cupy


class ElementwiseKernel:
    """An elementwise kernel whose operation is also a Python statement, such as `z = x * y`."""

    __module__ = "cupy._core._kernel"

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel"):
        real = real_cupy.ElementwiseKernel(in_params, out_params, operation, name)
        self.in_params, self.out_params = real.in_params, real.out_params
        self.nin, self.nout, self.name, self.operation = real.nin, real.nout, name, operation
        self.preamble = ""
        self.calls = 0

    def __call__(self, *args: Any, size: int | None = None) -> Any:
        for arg in args:
            if hasattr(arg, "__cupy_override_elementwise_kernel__"):
                options = {} if size is None else {"size": size}
                return arg.__cupy_override_elementwise_kernel__(self, *args, **options)
        self.calls += 1
        names = dict(zip([param.name for param in self.in_params], host(args), strict=True))
        dtype = next(x.dtype for x in args if hasattr(x, "dtype"))
        exec(self.operation, {"i": np.arange(size or 0)}, names)
        outs = [device(np.asarray(names[p.name], p.dtype or dtype)) for p in self.out_params]
        return outs[0] if self.nout == 1 else tuple(outs)


class ReductionKernel:
    """A reduction kernel whose map expression is also a Python expression; it sums."""

    __module__ = "cupy._core._reduction"

    def __init__(self, in_params: str, out_params: str, map_expr: str, name: str = "kernel"):
        real = real_cupy.ReductionKernel(
            in_params, out_params, map_expr, "a + b", "y = a", "0", name
        )
        self.in_params, self.out_params = real.in_params, real.out_params
        self.nin, self.nout, self.name, self.map_expr = real.nin, real.nout, name, map_expr

    def __call__(self, *args: Any, axis: Any = None, keepdims: bool = False) -> Any:
        names = dict(zip([param.name for param in self.in_params], host(args), strict=True))
        values = np.asarray(eval(self.map_expr, {}, names))
        return device(values.sum(axis=axis, keepdims=keepdims, dtype=values.dtype))


class RawKernel:
    """A raw kernel whose body is a Python function of (grid, block, *arrays of the host)."""

    __module__ = "cupy._core.raw"

    def __init__(self, body: Any, name: str):
        self.body, self.name = body, name
        self.launches: list[tuple] = []

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        assert isinstance(args, tuple) and all(hasattr(x, "dtype") for x in args)
        self.launches.append((grid, block, shared_mem))
        self.body(grid, block, *map(host, args))


for kernel in (ElementwiseKernel, ReductionKernel, RawKernel):
    setattr(module, kernel.__name__, kernel)
