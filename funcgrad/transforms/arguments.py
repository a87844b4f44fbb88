"""The calling convention of all transformations: which leaves are arrays, argnums, wrapped names."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.tracer import Tracer
from funcgrad.ops.operands import as_operand

ARRAY_CLASSES = (np.ndarray, Tracer)
PLAIN_DTYPES = frozenset(map(np.dtype, "?bhilqBHILQefdFD"))  # of arrays that need no further check


def is_array_leaf(leaf: Any) -> bool:
    """Whether a leaf is traced: arrays, tracers, NumPy and Python numbers. Everything else is static."""
    if isinstance(leaf, ARRAY_CLASSES) or type(leaf) in (float, int, bool, complex):
        return True
    if isinstance(leaf, np.generic):
        return leaf.dtype.kind not in "USOMm"
    return is_cupy_array(leaf)


def check_leaf(leaf: Any, what: str) -> Any:
    """The leaf as an array that funcgrad computes with; refuses object, string, record and masked arrays."""
    if type(leaf) is np.ndarray and leaf.dtype.kind in "biufc":
        return leaf if leaf.dtype.isnative else leaf.astype(leaf.dtype.newbyteorder("="))
    if isinstance(leaf, np.ndarray) and (leaf.dtype.kind in "OUSMm" or leaf.dtype.names):
        raise TypeError(
            f"{what} is an array of dtype {leaf.dtype}; funcgrad computes with numeric and bool arrays. "
            "Convert it first, for example np.stack(list_of_arrays) or x.astype(float)."
        )
    try:
        return as_operand(leaf)
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None


def wrap_like(
    fun: Callable[..., Any], prefix: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a transformed function the name, documentation and signature of `fun`."""

    def decorate(wrapper: Callable[..., Any]) -> Callable[..., Any]:
        wrapper = functools.wraps(fun)(wrapper)
        wrapper.__name__ = wrapper.__qualname__ = f"{prefix}_{name_of(fun)}"
        return wrapper

    return decorate


def name_of(fun: Any) -> str:
    if isinstance(fun, functools.partial):
        return name_of(fun.func)
    name = getattr(fun, "__name__", None) or type(fun).__name__
    return "lambda" if name == "<lambda>" else name


def check_callable(fun: Any, transform: str) -> None:
    if not callable(fun):
        fix = f"Write funcgrad.{transform}(fun)(x), not funcgrad.{transform}(fun(x))."
        if "." in transform or transform == "pure_callback":  # these take more than a function
            fix = "Pass the function itself, as `lambda x: 2 * x`, not a value or its result."
        raise TypeError(
            f"[{transform}] expected a function, got {type(fun).__name__}: {fun!r:.60}. {fix}"
        )


def bind_static(
    fun: Callable[..., Any], args: tuple, static_argnums: int | Sequence[int]
) -> tuple[Callable[..., Any], list[Any]]:
    """`fun` with the static positional arguments filled in, and the other arguments."""
    static = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
    positions = {i % len(args) for i in static} if args else set()

    def partial(*given: Any, **named: Any) -> Any:
        rest = iter(given)
        return fun(*[a if i in positions else next(rest) for i, a in enumerate(args)], **named)

    partial.__name__ = name_of(fun)
    return partial, [arg for i, arg in enumerate(args) if i not in positions]


def split_aux(out: Any, has_aux: bool, transform: str) -> tuple[Any, Any]:
    """The output and the auxiliary data of a function's result."""
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            f"[{transform}] has_aux=True needs a function that returns (output, aux), but it returned "
            f"{out!r:.60}. Write `return loss, aux`."
        )
    return out


def normalize_argnums(argnums: Any, count: int, transform: str) -> tuple[int, ...]:
    """Non-negative positions of the differentiated arguments."""
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,)
    wanted = tuple(argnums) if isinstance(argnums, tuple | list) else (argnums,)
    for number in wanted:
        if not isinstance(number, int):
            raise TypeError(
                f"[{transform}] argnums must be an int or a tuple of ints, but is {argnums!r}."
            )
        if not -count <= number < count:
            raise ValueError(
                f"[{transform}] argnums={argnums!r} needs positional argument {number}, but the function "
                f"was called with {count}. Pass the differentiated arguments by position."
            )
    return tuple(number % count for number in wanted)


def argument_name(fun: Any, index: int) -> str:
    """'x' for the argument at this position, for error messages."""
    code = getattr(fun, "__code__", None)
    if code is not None and index < code.co_argcount:
        return repr(code.co_varnames[index])
    return str(index)


def describe_argument(fun: Any, index: int) -> str:
    """ "argument 'x' of loss", for error messages."""
    return f"argument {argument_name(fun, index)} of {name_of(fun)}"


class Flat:
    """A tree taken apart into array leaves and static ones.

    Attributes:
        arrays: the array leaves.
        treedef: structure of the whole tree.
        leaves: all leaves; array leaves at `places`.
    """

    __slots__ = ("arrays", "leaves", "places", "treedef")

    def __init__(
        self, value: Any, what: str | Callable[[], str] = "argument", tie: bool = True
    ) -> None:
        self.leaves, self.treedef = tree.flatten(value, tie=tie)
        self.places: list[int] = []
        self.arrays: list[Any] = []
        try:
            for place, leaf in enumerate(self.leaves):
                if type(leaf) is np.ndarray and leaf.dtype in PLAIN_DTYPES:
                    self.places.append(place)
                    self.arrays.append(leaf)
                elif is_array_leaf(leaf):
                    self.places.append(place)
                    self.arrays.append(check_leaf(leaf, ""))
        except TypeError:
            what = what if isinstance(what, str) else what()
            for index, place in enumerate(self.places):  # once more, now with the path
                path = self.path(index)
                check_leaf(self.leaves[place], f"{what} at {path}" if path else what)
            raise

    @property
    def constants(self) -> frozenset[int] | set[int]:
        """Numbers of the arrays that derivatives treat as constant."""
        constant = self.treedef.constants
        return (
            {i for i, place in enumerate(self.places) if place in constant}
            if constant
            else constant
        )

    def rebuild(self, arrays: Sequence[Any]) -> Any:
        """The tree with other arrays; static leaves stay."""
        if len(self.places) == len(self.leaves):
            return self.treedef.unflatten(arrays)
        leaves = list(self.leaves)
        for place, array in zip(self.places, arrays, strict=True):
            leaves[place] = array
        return self.treedef.unflatten(leaves)

    def detach(self) -> list[Any]:
        """Give the arrays away and keep the structure, so that no tracer outlives its trace."""
        arrays, self.arrays = self.arrays, []
        for place in self.places:
            self.leaves[place] = None
        return arrays

    def rebuild_only(self, arrays: Sequence[Any]) -> Any:
        """The tree with None in place of static leaves."""
        if len(self.places) == len(self.leaves):
            return self.treedef.unflatten(arrays)
        leaves: list[Any] = [None] * len(self.leaves)
        for place, array in zip(self.places, arrays, strict=True):
            leaves[place] = array
        return self.treedef.unflatten(leaves)

    def path(self, index: int) -> str:
        """The path of the array leaf at this position."""
        return tree.path_string(self.treedef.paths()[self.places[index]])


def output_flat(out: Any, what: str, inputs: Sequence[Flat]) -> Flat:
    """A result taken apart. A value that occurs twice is two leaves, unless the arguments had tied leaves."""
    return Flat(out, what, tie=any(flat.treedef.has_ties for flat in inputs))


def fresh_outputs(outputs: Sequence[Any], inputs: Sequence[Any] = ()) -> list[Any]:
    """Arrays that share memory with nothing: views, inputs and repeated arrays are copied."""
    taken = {id(x) for x in inputs}
    result = []
    for out in outputs:
        if type(out) is np.ndarray:
            out = fresh_array(out, taken)
            taken.add(id(out))
        elif type(out) in (float, int, bool, complex):
            out = np.asarray(out)[()]
        elif is_cupy_array(out):
            out = fresh_on_gpu(out, taken)
            taken.add(id(out))
        result.append(out)
    return result


def fresh_aux(aux: Any, lower: Callable[[Any], Any], inputs: Sequence[Any]) -> Any:
    """Auxiliary results: `lower` gives the value behind a tracer, and arrays share memory with nothing."""
    taken = {id(x) for x in inputs}

    def leaf(value: Any) -> Any:
        found = lower(value)
        is_host = type(found) is np.ndarray
        if not is_host and not is_cupy_array(found):
            return found
        if found is value:  # an array that the function did not compute here
            taken.add(id(found))
        found = fresh_array(found, taken) if is_host else fresh_on_gpu(found, taken)
        taken.add(id(found))
        return found

    return tree.map(leaf, aux)


def fresh_tree(value: Any, inputs: Sequence[Any] = ()) -> Any:
    """A tree whose arrays share memory with nothing; see `fresh_outputs`."""
    leaves, treedef = tree.flatten(value)
    return treedef.unflatten(fresh_outputs(leaves, inputs))


def fresh_array(array: np.ndarray, taken: set[int]) -> np.ndarray:
    flags = array.flags
    if id(array) in taken or not (flags.c_contiguous and flags.writeable):
        return np.array(array, order="C")
    base = array.base
    if base is None:
        return array
    # A reshaped result whose buffer nobody else holds (here: the view, the local name, the call) is as good.
    if (
        type(base) is np.ndarray
        and base.base is None
        and base.nbytes == array.nbytes
        and sys.getrefcount(base) <= 3
    ):
        return array
    return np.array(array, order="C")


def fresh_on_gpu(array: Any, taken: set[int]) -> Any:
    """A CuPy array that is no view, and not one of those that are taken."""
    is_own = array.base is None and array.flags.c_contiguous
    return array if is_own and id(array) not in taken else array.copy()
