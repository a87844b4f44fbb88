"""`primitive`: functions and CUDA kernels of the user as operations, with derivatives and batch rules of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, ShapeDtypeStruct
from funcgrad.ops.batching import align_batch
from funcgrad.transforms.arguments import Flat, check_callable
from funcgrad.transforms.callback import VMAP_METHODS, batch_opaque
from funcgrad.transforms.custom import custom_jvp, custom_vjp
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.kernel_expressions import NotUnderstood
from funcgrad.transforms.kernel_objects import FunctionKernel, RawKernel, kernel_class

METHODS = (*VMAP_METHODS, "elementwise")


class UserCall(Primitive):
    """A call of a kernel of the user.

    Params:
        call: the kernel, with the structure of its arguments and results.
        types: of the results.
    """

    multiple = True

    def type_rule(self, *args: ArrayType, call: BoundKernel, types: tuple[ArrayType, ...]) -> list:
        del args, call
        return list(types)

    def numpy(self, xp: Any, *args: Any, call: BoundKernel, types: tuple[ArrayType, ...]) -> list:
        return call.run(xp, args, types)

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        del primals, tangents
        raise TypeError(no_derivative(params["call"].kernel.name, "its text is not understood"))

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        call, types = params["call"], params["types"]
        if callable(call.vmap):
            return call.batched_by_rule(size, args, axes)
        if call.vmap == "elementwise":
            batched = tuple(ArrayType((size, *type.shape), type.dtype) for type in types)
            aligned = align_batch(args, axes)
            return self(*aligned, call=call, types=batched), [0] * len(types)

        def run(given: Sequence[Any], wanted: tuple[ArrayType, ...]) -> list[Any]:
            return self(*given, call=call, types=wanted)

        return batch_opaque(run, call.kernel.name, call.vmap, size, args, axes, types)


USER_CALL = UserCall()


def no_derivative(name: str, why: str) -> str:
    return (
        f"[{name}] has no derivative: funcgrad does not know what it computes ({why}). Give it one: funcgrad.primitive("
        f"{name}, vjp=lambda ct, out, *args: ...) or jvp=..., or pass funcgrad.lax.stop_gradient(x)."
    )


class BoundKernel:
    """A kernel, and what else a call of it needs: the structure of its arguments and results, its options."""

    def __init__(
        self, kernel: FunctionKernel, vmap: Any, inputs: Flat, outputs: Any, options: dict[str, Any]
    ) -> None:
        self.kernel = kernel
        self.vmap = vmap
        self.inputs = inputs
        self.outputs = outputs
        self.options = options

    def run(self, xp: Any, arrays: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
        """The results for arrays of the module `xp`, checked against their types."""
        kernel = self.kernel
        if kernel.module not in (None, xp.__name__):
            raise TypeError(
                f"[{kernel.name}] is a kernel of CuPy, but its arguments are NumPy arrays. Move them first: "
                'x = funcgrad.device_put(x, "cuda").'
            )
        result = kernel.run(xp, self.inputs.rebuild(arrays), types, self.options)
        try:
            outs = self.outputs.flatten_up_to(result)
        except ValueError as error:
            outs = list(result) if isinstance(result, tuple) else []  # a named tuple is as good
            if len(outs) != len(types):
                raise TypeError(
                    f"[{kernel.name}] the result has another structure than out_shape: {error}"
                ) from None
        return [checked(kernel.name, xp, out, type) for out, type in zip(outs, types, strict=True)]

    def batched_by_rule(self, size: int, args: Sequence, axes: Sequence) -> tuple[list, list]:
        """Results and their batch axes, by the rule that the user gave."""
        out, out_axes = self.vmap(
            size, tuple(self.inputs.rebuild(axes)), *self.inputs.rebuild(args)
        )
        outs = self.outputs.flatten_up_to(out)
        if out_axes is None or isinstance(out_axes, int):
            return outs, [out_axes] * len(outs)
        return outs, tree.broadcast_prefix(out_axes, self.outputs, is_leaf=lambda x: x is None)


def checked(name: str, xp: Any, out: Any, type: ArrayType) -> Any:
    """A result that has the shape and dtype that were announced, and is an array of the module `xp`."""
    array = np.asarray(out) if xp is np else out
    is_array = xp is np or isinstance(out, xp.ndarray)
    if not is_array or (array.shape, array.dtype) != (type.shape, type.dtype):
        found = type_of(array) if is_array else f"a {builtin_name(out)}"
        raise TypeError(
            f"[{name}] returned {found}, but out_shape says {type}, as an array of {xp.__name__}. Correct out_shape, "
            "or convert the result: x.astype(...)."
        )
    return array[()] if xp is np and not array.ndim else array


def builtin_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


class UserPrimitive:
    """What `primitive` returns: the kernel as a function of arrays that every transformation understands."""

    def __init__(self, kernel: FunctionKernel, reverse: Any, forward: Any, vmap: Any) -> None:
        self.kernel = kernel
        self.vjp = reverse
        has_rule = reverse is not None or forward is not None
        self.expression = None if has_rule else kernel.expression()
        self.jvp = forward if self.expression is None else self.derived_jvp
        self.vmap = kernel.vmap if vmap is None else vmap
        self.__name__ = kernel.name
        self.__doc__ = getattr(kernel.kernel, "__doc__", None)
        self.with_options = functools.lru_cache(maxsize=256)(self._with_options)

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            function = self.with_options(tuple(sorted(options.items())))
        except TypeError:
            unhashable = [
                name for name, value in options.items() if not isinstance(value, Hashable)
            ]
            if not unhashable:
                raise
            raise TypeError(
                f"[{self.__name__}] keyword arguments are static, so they must be hashable, but {unhashable[0]!r} is a "
                f"{builtin_name(options[unhashable[0]])}. Pass arrays by position."
            ) from None
        return function(*args)

    def derived_jvp(self, primals: tuple, tangents: tuple, **options: Any) -> tuple[Any, Any]:
        """The rule of a kernel whose text is understood: its own value, and the tangent of the expression."""
        assert self.expression is not None
        try:
            _, tangent = jvp(self.expression, primals, tangents)
        except NotUnderstood as error:
            raise TypeError(no_derivative(self.__name__, f"it contains {error}")) from None
        return self(*primals, **options), tangent

    def _with_options(self, items: tuple[tuple[str, Hashable], ...]) -> Callable[..., Any]:
        """The function of arrays for certain options, with its derivative."""
        options = dict(items)

        def call(*args: Any) -> Any:
            return self.call(args, options)

        call.__name__ = self.__name__
        if self.jvp is not None:
            rule = self.jvp
            forward = custom_jvp(call)
            forward.defjvp(lambda primals, tangents: rule(primals, tangents, **options))
            return forward
        if self.vjp is None:
            return call
        reverse = custom_vjp(call)

        def forward_rule(*args: Any) -> tuple[Any, Any]:
            out = reverse(*args)  # not `call`: derivatives of derivatives need the rule again
            return out, (out, args)

        reverse.defvjp(forward_rule, self.backward(options))
        return reverse

    def backward(self, options: dict[str, Any]) -> Callable[..., tuple]:
        def rule(residuals: Any, cotangent: Any) -> tuple:
            out, args = residuals
            pulled = self.vjp(cotangent, out, *args, **options)
            return pulled if isinstance(pulled, tuple) else (pulled,)

        return rule

    def call(self, args: tuple, options: dict[str, Any]) -> Any:
        """The operation itself, without the rule for its derivative."""
        flat = Flat(args, f"an argument of {self.__name__}", tie=False)
        structs = [ShapeDtypeStruct(*shape_and_dtype(x)) for x in flat.arrays]
        leaves, treedef = tree.flatten(self.kernel.result(flat.rebuild(structs), options))
        types = tuple([ArrayType(struct.shape, struct.dtype) for struct in leaves])
        arrays = flat.detach()
        call = BoundKernel(self.kernel, self.vmap, flat, treedef, options)
        return treedef.unflatten(USER_CALL(*arrays, call=call, types=types))

    def __repr__(self) -> str:
        return f"<primitive {self.__name__}>"


def shape_and_dtype(x: Any) -> tuple[Any, np.dtype]:
    found = type_of(x)
    return found.shape, found.dtype


# The primitives of CuPy's kernels, by the identity of the kernel, so that calls of the kernel itself find their rules.
_of_kernels: dict[int, UserPrimitive] = {}


def primitive_of(kernel: Any) -> UserPrimitive:
    """The primitive that stands for a kernel of CuPy; one without a derivative if none was made."""
    known = _of_kernels.get(id(kernel))
    return primitive(kernel) if known is None else known


def primitive(
    kernel: Any = None,
    *,
    out_shape: Any = None,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    vmap: Any = None,
    name: str | None = None,
    grid: Any = None,
    block: Any = 256,
    scalars: Any = (),
    shared_mem: int = 0,
) -> Any:
    """A kernel of CuPy, or a function of plain arrays, as an operation that all transformations understand.

    Inside compiled programs it is called with arrays, as functions of libraries are. Usable as a decorator.

    Args:
        kernel: a `cupy.ElementwiseKernel`, `ReductionKernel` or `RawKernel`, or any pure function of NumPy or CuPy
            arrays. Keyword arguments of calls are static; it, `out_shape`, `vjp` and `jvp` receive them.
        out_shape: a `ShapeDtypeStruct` or a tree of them, or a function from structs of the arguments to it.
            Elementwise and reduction kernels know it themselves.
        vjp: `(cotangent, out, *args) -> cotangents`, one per argument (None for zero); for reverse mode. Elementwise
            kernels of plain expressions (arithmetic, math functions, `?:`) need no rule.
        jvp: `(primals, tangents) -> (out, tangent)`, linear in the tangents; serves both modes.
        vmap: "sequential" calls it once per example, "expand_dims" and "broadcast_all" once with a leading batch
            axis, "elementwise" with axes lined up for NumPy's broadcasting; or a function
            `(size, axes, *args) -> (out, out_axes)`. By default "elementwise" for elementwise kernels, else
            "sequential".
        name: for messages and Programs.
        grid, block: of a `RawKernel`: numbers, or functions of the arguments' structs. By default one thread for
            each element of the first result.
        scalars: what a `RawKernel` takes after its inputs and outputs: a tuple, or a function of the arguments'
            structs.
        shared_mem: bytes of shared memory for each block of a `RawKernel`.

    Returns:
        A function of arrays with the results of the kernel.

    Raises:
        TypeError: what it returns differs from `out_shape`, or it is differentiated and has no rule.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> @fg.primitive(out_shape=lambda x: x, vjp=lambda ct, out, x: ct * (1.0 - out * out))
        ... def my_tanh(x):
        ...     return np.tanh(x)
        >>> float(fg.grad(fg.jit(lambda x: my_tanh(x) * 2.0))(0.0))
        2.0
    """
    if kernel is None:
        return functools.partial(
            primitive, out_shape=out_shape, vjp=vjp, jvp=jvp, vmap=vmap, name=name, grid=grid, block=block,
            scalars=scalars, shared_mem=shared_mem,
        )  # fmt: skip
    check_callable(kernel, "primitive")
    if vjp is not None and jvp is not None:
        raise ValueError("[primitive] give vjp or jvp, not both: jvp serves reverse mode as well.")
    if not (vmap is None or callable(vmap) or vmap in METHODS):
        raise ValueError(f"[primitive] vmap={vmap!r} must be a function or one of {METHODS}.")
    cls: Any = kernel_class(kernel)
    launch: dict[str, Any] = {}
    if cls is RawKernel:
        launch = {"grid": grid, "block": block, "scalars": scalars, "shared_mem": shared_mem}
    made = UserPrimitive(cls(kernel, name, out_shape, **launch), vjp, jvp, vmap)
    if cls is not FunctionKernel:
        _of_kernels[id(kernel)] = made
    return made
