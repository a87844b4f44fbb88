"""Python code inside traced functions: `pure_callback`, `debug.callback`, `debug.print`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import all_batched
from funcgrad.ops.create import full
from funcgrad.ops.pieces import index_axis, stack
from funcgrad.ops.shape import expand_dims, moveaxis
from funcgrad.transforms.arguments import Flat, check_callable, name_of

VMAP_METHODS = ("sequential", "expand_dims", "broadcast_all")


class PureCallback(Primitive):
    """Calls a Python function on arrays; `types` are the types of its results."""

    multiple = True

    def type_rule(self, *args: ArrayType, types: tuple[ArrayType, ...], **params: Any) -> list:
        del args, params
        return list(types)

    def numpy(
        self, xp: Any, *args: Any, callback: Any, types: tuple, vmap_method: Any
    ) -> list[Any]:
        del vmap_method
        results = callback(*[np.asarray(a) if xp is np else xp.asnumpy(a) for a in args])
        if len(results) != len(types):
            raise ValueError(
                f"[pure_callback] the callback returned {len(results)} arrays, but result_shape_dtypes "
                f"has {len(types)}."
            )
        return [_checked_result(xp, r, t) for r, t in zip(results, types, strict=True)]

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        del primals, tangents, params
        raise TypeError(
            "[pure_callback] has no derivative: funcgrad cannot see into the callback. Wrap the call in a "
            "function with funcgrad.custom_vjp (or custom_jvp) that gives its derivative, or pass "
            "funcgrad.stop_gradient(x)."
        )

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        def run(given: Sequence[Any], types: tuple[ArrayType, ...]) -> list[Any]:
            return self(*given, **{**params, "types": types})

        method, types = params["vmap_method"], params["types"]
        return batch_opaque(run, self.name, method, size, args, axes, types)


def batch_opaque(
    run: Callable[[Sequence[Any], tuple[ArrayType, ...]], list[Any]],
    name: str,
    method: str | None,
    size: int,
    args: Sequence,
    axes: Sequence,
    types: tuple[ArrayType, ...],
) -> tuple[list[Any], list[int]]:
    """The results for all examples, and their batch axes, of a function that nothing is known about.

    Args:
        run: calls it, for arguments and the types of the results.
        name: of the function, for the error message.
        method: one of VMAP_METHODS, or None.
        size, args, axes: of the batch.
        types: of the results of one example.
    """
    count = len(types)
    if size == 0:
        return [full((0, *t.shape), 0, t.dtype) for t in types], [0] * count
    if method == "sequential":
        columns: list[list[Any]] = [[] for _ in types]
        for i in range(size):
            one = [x if a is None else index_axis(x, a, i) for x, a in zip(args, axes, strict=True)]
            for column, out in zip(columns, run(one, types), strict=True):
                column.append(out)
        return [stack(column) for column in columns], [0] * count
    if method is None:
        raise NotImplementedError(
            f"[{name}] vmap needs vmap_method='sequential' (one call per example), "
            "'expand_dims' or 'broadcast_all' (one call with a leading batch axis)."
        )
    if method == "broadcast_all":
        given = all_batched(size, args, axes)
    else:
        given = [
            expand_dims(x, 0) if a is None else moveaxis(x, a, 0)
            for x, a in zip(args, axes, strict=True)
        ]
    batched = tuple(ArrayType((size, *t.shape), t.dtype) for t in types)
    return run(given, batched), [0] * count


def _checked_result(xp: Any, result: Any, type: ArrayType) -> Any:
    array = np.asarray(result)
    if array.shape != type.shape:
        raise ValueError(
            f"[pure_callback] the callback returned shape {array.shape}, but result_shape_dtypes says "
            f"{type.shape}. Make them agree."
        )
    return xp.asarray(array.astype(type.dtype))


class DebugCallback(Primitive):
    """Calls a Python function for its effect, with the values of this run."""

    multiple = True
    has_effect = True
    keeps_inputs = False

    def type_rule(self, *args: ArrayType, **params: Any) -> list:
        del args, params
        return []

    def numpy(self, xp: Any, *args: Any, callback: Any) -> list[Any]:
        callback(*[a if xp is np else xp.asnumpy(a) for a in args])
        return []

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        del tangents
        return self(*primals, **params), []

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        for i in range(size):
            self(
                *[x if a is None else index_axis(x, a, i) for x, a in zip(args, axes, strict=True)],
                **params,
            )
        return [], []

    def transpose(self, cotangent: Any, *inputs: Any, **params: Any) -> list[Any]:
        del cotangent, params
        return [None] * len(inputs)


PURE_CALLBACK, DEBUG_CALLBACK = PureCallback(), DebugCallback()


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a pure Python function on concrete arrays from inside traced code.

    Args:
        callback: `(*args, **kwargs) -> tree of arrays`; must have no side effects, it may run any number of
            times or not at all.
        result_shape_dtypes: tree of `ShapeDtypeStruct`s (or arrays) that describes its result.
        *args, **kwargs: trees of arrays; may be traced.
        vmap_method: None (error under vmap), 'sequential', 'expand_dims' or 'broadcast_all'.

    Returns:
        A tree of arrays like `result_shape_dtypes`.

    Raises:
        TypeError: when differentiated; wrap it with `custom_vjp` or `custom_jvp`.

    Example:
        >>> import math
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> like = fg.ShapeDtypeStruct((), np.float64)
        >>> f = fg.jit(lambda x: fg.pure_callback(lambda v: math.gamma(v), like, x))
        >>> float(f(5.0))
        24.0
    """
    check_callable(callback, "pure_callback")
    if vmap_method is not None and vmap_method not in VMAP_METHODS:
        raise ValueError(
            f"[pure_callback] vmap_method={vmap_method!r} must be None or one of {VMAP_METHODS}."
        )
    structs, treedef = tree.flatten(result_shape_dtypes)
    types = tuple(ArrayType(s.shape, s.dtype) for s in structs)
    flat = Flat((args, kwargs), f"an argument of {name_of(callback)}")

    def flat_callback(*arrays: Any) -> list[Any]:
        call_args, call_kwargs = flat.rebuild(arrays)
        return treedef.flatten_up_to(callback(*call_args, **call_kwargs))

    outs = PURE_CALLBACK(*flat.arrays, callback=flat_callback, types=types, vmap_method=vmap_method)
    return treedef.unflatten(outs)


def debug_callback(
    callback: Callable[..., None], *args: Any, ordered: bool = False, **kwargs: Any
) -> None:
    """Call a Python function with the values of this run, also from compiled code.

    Args:
        callback: called for its effect; its result is ignored. Under vmap it is called once per example.
        *args, **kwargs: trees of arrays; may be traced.
        ordered: accepted for compatibility of calls; callbacks always run in program order.

    Example:
        >>> import funcgrad as fg
        >>> @fg.jit
        ... def f(x):
        ...     fg.debug.callback(lambda v: print("x is", float(v)), x)
        ...     return 2.0 * x
        >>> y = f(3.0)
        x is 3.0
    """
    del ordered
    check_callable(callback, "debug.callback")
    flat = Flat((args, kwargs), f"an argument of {name_of(callback)}")

    def flat_callback(*arrays: Any) -> None:
        call_args, call_kwargs = flat.rebuild(arrays)
        callback(*call_args, **call_kwargs)

    DEBUG_CALLBACK(*flat.arrays, callback=flat_callback)


def debug_print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Print values from traced or compiled code.

    Args:
        fmt: a `str.format` template.
        *args, **kwargs: what it is filled with; trees of arrays, or anything static.
        ordered: accepted for compatibility of calls; output always comes in program order.

    Example:
        >>> import funcgrad as fg
        >>> f = fg.jit(lambda x: (fg.debug.print("x = {x}", x=x), x + 1.0)[1])
        >>> y = f(3.0)
        x = 3.0
    """
    debug_callback(lambda *a, **k: print(fmt.format(*a, **k)), *args, ordered=ordered, **kwargs)
