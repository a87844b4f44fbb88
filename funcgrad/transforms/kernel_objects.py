"""What is behind `funcgrad.primitive`: Python functions and CuPy's kernel objects, each asked for result types and run.

CuPy's kernels are recognised by the names of their classes, so that nothing here imports CuPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType, ShapeDtypeStruct
from funcgrad.ops.operands import broadcast_shapes
from funcgrad.transforms.arguments import name_of
from funcgrad.transforms.kernel_expressions import expression_of

LaunchNumber = int | tuple[int, ...] | Callable[..., Any] | None


class FunctionKernel:
    """A function of arrays; the other classes say what differs.

    Attributes:
        vmap: how it is batched if the user does not say: see `funcgrad.primitive`.
        module: the only array module it computes with; None for any.
    """

    vmap = "sequential"
    module: str | None = None

    def __init__(self, kernel: Any, name: str | None, out_shape: Any) -> None:
        self.kernel = kernel
        self.name = name or self.own_name()
        self.out_shape = out_shape

    def own_name(self) -> str:
        return name_of(self.kernel)

    def result(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """The tree of ShapeDtypeStructs of the results."""
        if self.out_shape is None:
            return self.inferred(args, options)
        return self.out_shape(*args, **options) if callable(self.out_shape) else self.out_shape

    def inferred(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        del args, options
        raise TypeError(
            f"[primitive] the shape and dtype of the result of {self.name} cannot be found out. Give out_shape: a "
            "funcgrad.ShapeDtypeStruct, or a function of the arguments such as `lambda x: x` for one like x."
        )

    def expression(self) -> Callable[..., Any] | None:
        """What it computes, by operations of funcgrad, where that is known."""
        return None

    def run(self, xp: Any, args: Sequence[Any], types: Sequence[ArrayType], options: dict) -> Any:
        """The results for arrays of the module `xp`."""
        del xp, types
        return self.kernel(*args, **options)


class CupyKernel(FunctionKernel):
    """A kernel of CuPy."""

    module = "cupy"

    def own_name(self) -> str:
        return self.kernel.name


class ElementwiseKernel(CupyKernel):
    """A `cupy.ElementwiseKernel`."""

    def __init__(self, kernel: Any, name: str | None, out_shape: Any) -> None:
        super().__init__(kernel, name, out_shape)
        if not any(param.raw for param in kernel.in_params):
            self.vmap = "elementwise"

    def inferred(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        params = self.kernel.in_params
        self.check_count(args)
        shapes = [arg.shape for arg, param in zip(args, params, strict=True) if not param.raw]
        if "size" in options:
            shapes = [(options["size"],)]
        shape = broadcast_shapes(self.name, shapes) if shapes else ()
        return as_results(self.kernel, shape, self.result_dtypes(args))

    def expression(self) -> Callable[..., Any] | None:
        return expression_of(self.kernel)

    def check_count(self, args: Sequence[Any]) -> None:
        count = len(self.kernel.in_params)
        if len(args) != count:
            raise TypeError(
                f"[{self.name}] takes {count} input arrays, but got {len(args)}. Inside transformed functions results "
                "are returned; arrays to write them into cannot be given."
            )

    def result_dtypes(self, args: Sequence[Any]) -> list[np.dtype]:
        """The dtypes of the results: fixed ones, and those that a letter such as T shares with an input."""
        letters: dict[str, np.dtype] = {}
        for param, arg in zip(self.kernel.in_params, args, strict=True):
            if param.dtype is not None:
                continue
            known = letters.setdefault(param.ctype, arg.dtype)
            if known != arg.dtype:
                raise TypeError(
                    f"[{self.name}] {param.ctype} stands for {known} and for {arg.dtype} (argument {param.name!r}). "
                    "Cast one of them: x.astype(...)."
                )
        return [
            np.dtype(param.dtype if param.dtype is not None else letters[param.ctype])
            for param in self.kernel.out_params
        ]


class ReductionKernel(ElementwiseKernel):
    """A `cupy.ReductionKernel`; `axis` and `keepdims` are options of the call."""

    vmap = "sequential"

    def __init__(self, kernel: Any, name: str | None, out_shape: Any) -> None:
        super().__init__(kernel, name, out_shape)
        self.vmap = "sequential"

    def expression(self) -> None:
        return None

    def inferred(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        self.check_count(args)
        shape = broadcast_shapes(self.name, [arg.shape for arg in args])
        axis = options.get("axis")
        axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
        reduced = {a % len(shape) for a in axes}
        if options.get("keepdims"):
            shape = tuple(1 if i in reduced else n for i, n in enumerate(shape))
        else:
            shape = tuple(n for i, n in enumerate(shape) if i not in reduced)
        return as_results(self.kernel, shape, self.result_dtypes(args))


class RawKernel(CupyKernel):
    """A `cupy.RawKernel`: gets pointers to the inputs, pointers to the outputs, and numbers, in this order."""

    def __init__(
        self,
        kernel: Any,
        name: str | None,
        out_shape: Any,
        grid: LaunchNumber = None,
        block: LaunchNumber = 256,
        scalars: Any = (),
        shared_mem: int = 0,
    ) -> None:
        super().__init__(kernel, name, out_shape)
        self.grid = grid
        self.block = block
        self.scalars = scalars
        self.shared_mem = shared_mem

    def run(self, xp: Any, args: Sequence[Any], types: Sequence[ArrayType], options: dict) -> Any:
        outs = [xp.empty(type.shape, type.dtype) for type in types]
        inputs = [xp.ascontiguousarray(arg) for arg in args]
        structs = [ShapeDtypeStruct(arg.shape, arg.dtype) for arg in args]

        def value(given: Any) -> Any:
            return given(*structs, **options) if callable(given) else given

        block = as_dimensions(value(self.block))
        grid = value(self.grid)
        if grid is None:
            grid = -(-types[0].size // math.prod(block))
        if all(type.size for type in types):
            launch = {"shared_mem": self.shared_mem} if self.shared_mem else {}
            numbers = tuple(value(self.scalars))
            self.kernel(as_dimensions(grid), block, (*inputs, *outs, *numbers), **launch)
        return outs[0] if len(outs) == 1 else tuple(outs)


def as_dimensions(given: Any) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def as_results(kernel: Any, shape: Any, dtypes: Sequence[np.dtype]) -> Any:
    """One struct, or a tuple of them for a kernel with several results."""
    structs = [ShapeDtypeStruct(shape, dtype) for dtype in dtypes]
    return structs[0] if kernel.nout == 1 else tuple(structs)


CUPY_KERNELS: dict[str, type[FunctionKernel]] = {
    "ElementwiseKernel": ElementwiseKernel,
    "ReductionKernel": ReductionKernel,
    "RawKernel": RawKernel,
}


def kernel_class(kernel: Any) -> type[FunctionKernel]:
    """The class here for a kernel object of CuPy, or for any other callable."""
    cls = type(kernel)
    is_cupy = cls.__module__.partition(".")[0] == "cupy"
    return CUPY_KERNELS.get(cls.__name__, FunctionKernel) if is_cupy else FunctionKernel
