"""`checking_leaks`: find traced values that outlive their trace, at the end of that trace.

Costs a search through all objects per trace, so it is off by default, and then costs nothing.
"""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from funcgrad import errors
from funcgrad.config import config
from funcgrad.ir import source
from funcgrad.ir.tracer import Trace, Tracer, state

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def leak_checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function that runs user code in traces of its own and returns none of their tracers."""

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not config.checking_leaks:
            return function(*args, **kwargs)
        opened: list[weakref.ref] = []
        saved, state.on_enter = state.on_enter, lambda trace: opened.append(watched(trace))
        try:
            result = function(*args, **kwargs)
        finally:
            state.on_enter = saved
        raise_survivors(opened)
        return result

    return call


def watched(trace: Trace) -> weakref.ref:
    """A reference to a trace that from now on notes which line makes each tracer."""
    trace.origins = {}
    vars(trace)["process"] = functools.partial(process_and_note, weakref.ref(trace))
    return weakref.ref(trace)


def process_and_note(ref: weakref.ref, primitive: Any, args: tuple, params: dict) -> Any:
    trace = ref()
    assert trace is not None
    outs = type(trace).process(trace, primitive, args, params)
    for out in outs if primitive.multiple else (outs,):
        if isinstance(out, Tracer) and out.owner is trace:
            made = f"made by {primitive} at {source.where()}"
            trace.origins[id(out)] = (weakref.ref(out), made)
    return outs


def raise_survivors(opened: list[weakref.ref]) -> None:
    """Raise UnexpectedTracerError if a tracer of these traces, which have ended, is still alive."""
    if not any(ref() is not None for ref in opened):  # the usual case: nothing is left of them
        return
    gc.collect()
    traces = [trace for trace in (ref() for ref in opened) if trace is not None]
    if not traces:
        return
    survivors = [x for x in gc.get_objects() if isinstance(x, Tracer)]
    survivors = [x for x in survivors if any(x.owner is trace for trace in traces)]
    if survivors:
        listed = [f"{tracer!r}  {tracer.owner.origin(tracer)}" for tracer in survivors[:5]]
        raise errors.UnexpectedTracerError(
            errors.compose(
                f"{len(survivors)} traced value(s) outlived {survivors[0].owner.describe()}.",
                where="\n".join(listed),
                why="A traced value lives only while its function is traced. These are still held by a "
                "global, an attribute, a cache, a generator or an exception.",
                fix="return the value from the traced function, and use what the transformed function "
                "returns",
                page="leaked-tracer",
            )
        )
