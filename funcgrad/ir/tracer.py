"""Tracers and the traces that own them.

A Tracer stands for an array while a function is transformed. Each running transformation is one Trace on a
thread-local stack; an operation goes to the trace of its innermost tracer. This file knows no operation:
`ops/operators.py` and `numpy/protocol.py` fill the tables at its end (the one hook that points upward).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.config import restraints
from funcgrad.ir import source
from funcgrad.ir.conversions import (
    refuse_bool,
    refuse_index,
    refuse_memory,
    refuse_number,
    unmasked,
)
from funcgrad.ir.types import PYTHON_SCALARS, WEAK_TYPES, ArrayType, scalar_type
from funcgrad.tree.registry import add_identity_type


class TraceState(threading.local):
    """The traces that run in this thread, outermost first; the recording one that sees every operation; and
    whether operations belong to a derivative (see `ir/quiet.py`)."""

    def __init__(self) -> None:
        self.stack: list[Trace] = []
        self.ambient: Trace | None = None
        self.quiet = False
        self.location: source.SourceLocation | None = None  # see `ir/attribution.py`
        self.on_enter: Callable[[Trace], Any] | None = None  # see `ir/leaks.py`


state = TraceState()


class Trace:
    """One running transformation; a context manager that lives on the stack of its thread.

    A subclass says what an operation means to it in `process`. An *ambient* trace also receives the
    operations that have no traced operand. One that *differentiates* leaves integers to the traces around it.
    """

    ambient = False
    differentiates = False
    level: int
    name = "a transformation"
    thread = 0
    origins: dict[int, tuple[weakref.ref, str]] = {}  # noqa: RUF012 (filled only while leaks are checked)

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        stack = state.stack
        self.thread = threading.get_ident()
        self.level = len(stack)
        self.saved_ambient = state.ambient
        stack.append(self)
        if self.ambient:
            state.ambient = self
            restraints.append(None)
        if state.on_enter is not None:
            state.on_enter(self)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        state.stack.pop()
        state.ambient = self.saved_ambient
        if self.ambient:
            restraints.pop()
        if error is not None:
            explained = self.explain(error)
            if explained is not error:
                raise explained from error

    def explain(self, error: BaseException) -> BaseException:
        """The error to raise for one that left the user's function."""
        return unmasked(error)

    @property
    def is_running(self) -> bool:
        stack = state.stack
        return self.level < len(stack) and stack[self.level] is self

    def describe(self) -> str:
        return self.name

    def origin(self, tracer: Tracer) -> str:
        """'made by multiply at model.py:41 ...' for a tracer of this trace, where that is known."""
        found = self.origins.get(id(tracer))
        return found[1] if found is not None and found[0]() is tracer else ""

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        """'argument 'x' of loss' for the arguments that a tracer is computed from, where that is known."""
        del tracer
        return []

    def adopt(self, value: Any, target: Tracer | None) -> Tracer:
        """A tracer of this trace that holds `value`, for an in-place write into `target`, None for a new array."""
        raise NotImplementedError


class Tracer:
    """Stands for an array inside a traced function.

    Subclasses hold the payload of their trace in slots, and say how to copy it. The array methods and
    operators are installed by the layers above.
    """

    __slots__ = ("__weakref__", "inplace", "owner")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]  # Python's own way to say: not hashable

    owner: Trace
    inplace: InPlace | None
    payload: tuple[str, ...] = ()

    @property
    def type(self) -> ArrayType:
        raise NotImplementedError

    @property
    def shape(self) -> tuple:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def weak(self) -> bool:
        return self.type.weak

    @property
    def promotion(self) -> Any:
        """What NumPy's promotion depends on: the dtype, and the Python type if the value is weak."""
        dtype = self.dtype
        return (WEAK_TYPES[dtype.kind], dtype) if self.weak else dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.type.size

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    def as_weak(self) -> Any:
        """The same value with the weak type of a Python scalar."""
        raise NotImplementedError

    def concrete(self) -> Any:
        """The concrete array behind this tracer, or None where there is none."""
        return None

    def snapshot(self) -> Tracer:
        """A copy that does not follow later in-place writes to this tracer."""
        copy = object.__new__(type(self))
        copy.owner = self.owner
        copy.inplace = None
        for name in self.payload:
            setattr(copy, name, getattr(self, name))
        return copy

    def new_copy(self) -> Tracer:
        """What `x.copy()` makes: it belongs to the function that is being recorded, which may write to it."""
        ambient = state.ambient
        if ambient is None or ambient.level <= self.owner.level:
            return self.snapshot()
        return ambient.adopt(self, self)

    def assume(self, other: Tracer) -> None:
        """Become `other`: how an in-place write rebinds a tracer."""
        for name in other.payload:
            setattr(self, name, getattr(other, name))

    def __repr__(self) -> str:
        return f"{self.type} traced by {self.owner.describe()}"

    def __bool__(self) -> bool:
        refuse_bool(self)

    def _refuse_scalar(self, function: str) -> Any:
        refuse_number(self, function)

    def __float__(self) -> float:
        return self._refuse_scalar("float")

    def __complex__(self) -> complex:
        return self._refuse_scalar("complex")

    def __int__(self) -> int:
        return self._refuse_scalar("int")

    def item(self, *args: Any) -> Any:
        del args
        return self._refuse_scalar("item")

    def tolist(self) -> Any:
        return self._refuse_scalar("tolist")

    def __index__(self) -> int:
        refuse_index(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        del dtype, copy
        refuse_memory(self)


class InPlace:
    """What an in-place write must know about one tracer: what it is a view of, and its own views."""

    __slots__ = ("base", "derive", "views", "write_back")

    def __init__(self) -> None:
        self.base: Tracer | None = None
        self.derive: Callable[[Any], Any] | None = None
        self.write_back: Callable[[Any, Any], Any] | None = None
        self.views: list[weakref.ref] = []


def inplace_record(tracer: Tracer) -> InPlace:
    if tracer.inplace is None:
        tracer.inplace = InPlace()
    return tracer.inplace


def register_view(
    base: Tracer,
    view: Any,
    derive: Callable[[Any], Any],
    write_back: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Remember that `view = derive(base)`, as NumPy views share memory.

    Args:
        base: the tracer that was indexed or reshaped.
        view: the result.
        derive: computes the view anew after a write to the base.
        write_back: (base, new view) -> new base; None where a write through the view is refused.
    """
    if view is base:
        return view
    if not isinstance(view, Tracer) or view.owner.level < base.owner.level:
        view = base.owner.adopt(view, base)  # so that traced values can be written into it
    record = inplace_record(view)
    record.base, record.derive, record.write_back = base, derive, write_back
    views = inplace_record(base).views
    views.append(weakref.ref(view))
    if len(views) > 32:
        views[:] = [ref for ref in views if ref() is not None]
    return view


def rebind(tracer: Tracer, value: Any) -> None:
    """Give `tracer` a new value, and let its base and its views see the write."""
    record = tracer.inplace
    if record is not None and record.base is not None:
        if record.write_back is None:
            raise ValueError(
                errors.compose(
                    f"In-place write through a reshaped or transposed view: {tracer!r}.",
                    where=source.where(),
                    why="The write would have to reach the array this view was made from.",
                    fix="x[i] = v          # write to the original array, then reshape\n"
                    "v = x.T.copy()    # or write to a copy",
                    page="in-place",
                )
            )
        base = record.base
        rebind(base, record.write_back(base, value))
        return
    _assign(tracer, value)


def _assign(tracer: Tracer, value: Any) -> None:
    _become(tracer, value)
    record = tracer.inplace
    if record is None:
        return
    for ref in list(record.views):
        view = ref()
        if view is not None and view.inplace is not None and view.inplace.derive is not None:
            _assign(view, view.inplace.derive(tracer))


def _become(tracer: Tracer, value: Any) -> None:
    if not isinstance(value, Tracer) or value.owner is not tracer.owner:
        value = tracer.owner.adopt(value, tracer)
    tracer.assume(value)


def refuse_foreign_write(tracer: Tracer | None, value: Any) -> Any:
    """Raise for a write of an inner traced value into an array of an outer trace."""
    raise errors.UnexpectedTracerError(
        errors.compose(
            f"In-place write of {value!r} into {tracer!r}.",
            where=source.where(),
            why="The array on the left belongs to an outer function and must not see values of an inner one.",
            fix="y = x.at[i].set(v)    # make a new array inside the inner function and return it",
            page="in-place",
        )
    )


def type_of(value: Any) -> ArrayType:
    """The ArrayType of an array, tracer or scalar."""
    if isinstance(value, Tracer):
        return value.type
    if type(value) in PYTHON_SCALARS:
        return scalar_type(value)
    if value.dtype.isnative:
        return ArrayType(value.shape, value.dtype)
    return ArrayType(value.shape, value.dtype.newbyteorder("="))


def arguments_behind(value: Any) -> list[str]:
    """The arguments that a value is computed from, as far as its trace knows."""
    return value.owner.arguments_behind(value) if isinstance(value, Tracer) else []


def check_running(user: Any, args: tuple) -> None:
    """Raise if a traced value is used after its trace, or in another thread."""
    for arg in args:
        if isinstance(arg, Tracer) and not arg.owner.is_running:
            raise_leaked(arg, user)


def raise_leaked(tracer: Tracer, user: Any) -> Any:
    trace = tracer.owner
    here = threading.get_ident()
    if trace.thread == here:
        fate = "whose trace has ended"
        why = "It was kept in a global, an attribute, a cache or a generator."
        fix = "return the value from the traced function, and use what the transformed function returns"
    else:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        owner = repr(names[trace.thread]) if trace.thread in names else "that has ended"
        fate = f"which belongs to thread {owner}, in thread {names.get(here)!r}"
        why = "The traces of other threads are not seen here."
        fix = (
            "transform the function inside the thread: Thread(target=funcgrad.grad(fun), args=(x,))"
        )
    origin = trace.origin(tracer) or "call it inside `with funcgrad.checking_leaks():` to see where"
    raise errors.UnexpectedTracerError(
        errors.compose(
            f"{user} got {tracer!r}, {fate}.",
            where=f"{source.where()}\n{origin}",
            why=f"A traced value lives only while its function is traced. {why}",
            fix=fix,
            page="leaked-tracer",
        )
    )


# A traced array that occurs twice in a tree is one leaf, as the array it stands for is.
add_identity_type(Tracer)


# --- tables that the layers above fill -------------------------------------------------------

UFUNCS: dict[Any, Callable[..., Any]] = {}
UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
