"""`jit`: record a function once per signature, and run the compiled Program from then on."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.collector import collector_paused
from funcgrad.compiler.executable import executable, native, on_cuda
from funcgrad.compiler.llvm.calls.callable import NativeCallable, let_enter_natively
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.report import Compilation, CompileReport, recording, resuming, timed
from funcgrad.config import config
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.devices import CPU, Device, beside_arguments, module_of, near, using
from funcgrad.ir.mixing import on_one_device
from funcgrad.ir.program import Program
from funcgrad.ir.tracer import Tracer, state, type_of
from funcgrad.transforms.arguments import (
    Flat,
    check_callable,
    fresh_outputs,
    name_of,
    output_flat,
)
from funcgrad.transforms.call import axis_names, call_program
from funcgrad.transforms.dispatch import FastCalls
from funcgrad.transforms.donation import check_alone, check_not_donated, donate, warn_unused
from funcgrad.transforms.guards import collect_guards
from funcgrad.transforms.recompile import count_trace, explain_difference
from funcgrad.transforms.signature import Signature, has_state, object_state


class Compiled:
    """One signature of a jitted function: its Program and how results are put together.

    Attributes:
        captured: arrays from outside, the first inputs of the Program.
        donated: numbers of the inputs that the caller gives up.
        device: where the arrays are.
        calls, ways: see `dispatch.FastCalls`.
    """

    __slots__ = (
        "calls",
        "captured",
        "compilation",
        "device",
        "donated",
        "guards",
        "is_on_gpu",
        "may_alias",
        "outputs",
        "program",
        "ways",
    )

    def __init__(
        self,
        program: Program,
        captured: list[Any],
        outputs: Flat,
        guards: list,
        compilation: Compilation,
        donated: tuple[int, ...] = (),
        device: Device = CPU,
    ) -> None:
        self.compilation = compilation
        self.device = device
        self.is_on_gpu = device != CPU
        self.donated = donated
        self.program = program
        self.captured = captured
        self.outputs = outputs
        self.guards = guards
        self.may_alias: bool | None = None
        self.calls = self.ways = 0

    @property
    def is_reusable(self) -> bool:
        """Whether nothing of an outer trace was captured."""
        return not any(isinstance(value, Tracer) for value in self.captured)

    @property
    def is_staged(self) -> bool:
        """Whether the call must be seen by a surrounding trace even if no argument is traced."""
        return not self.is_reusable or bool(axis_names(self.program))

    def guards_hold(self) -> bool:
        return all(guard.holds() for guard in self.guards) and self.captured_types_hold()

    def captured_types_hold(self) -> bool:
        """Whether the captured arrays still have their shapes and dtypes, which can be set in place."""
        return all(
            isinstance(x, Tracer) or type_of(x) == variable.type
            for x, variable in zip(self.captured, self.program.inputs, strict=False)
        )

    def native(self) -> Any:
        """The machine code, or None where there is none."""
        return None if self.is_on_gpu else native(self.program, self.donated)

    def run(self, arrays: list[Any]) -> Any:
        """Execute on concrete arrays."""
        inputs: Sequence[Any] = [*self.captured, *arrays]
        if self.is_on_gpu:
            launches = on_cuda(self.program, self.device.id, self.donated, self.compilation)
            if launches is not None:
                return self.finish(launches(*inputs))
            _, inputs = on_one_device(inputs, f"jit({self.program.name})")
        with using(self.device):
            with resuming(self.compilation):
                run = executable(self.program, module_of(self.device), self.donated)
            outs = run(*inputs)
        if getattr(run, "has_fresh_results", False):
            return self.finish(outs)
        if self.may_alias is None:
            self.may_alias = may_alias(simplified(self.program))
        outs = fresh_outputs(outs, inputs if self.may_alias else ())
        return self.finish([number_of(out) for out in outs])

    def finish(self, outs: list[Any]) -> Any:
        return self.outputs.rebuild(outs)


def number_of(out: Any) -> Any:
    """A NumPy number for an array without axes: what most NumPy functions return, but not `where` or `reshape`."""
    return out[()] if type(out) is np.ndarray and not out.ndim else out


def may_alias(program: Program) -> bool:
    """Whether an output may be an input, or two outputs the same array: not if each is made elementwise."""
    elementwise = [e for e in program.equations if e.primitive.kind == "elementwise"]
    made = {variable for equation in elementwise for variable in equation.outputs}
    outputs = program.outputs
    return len(set(outputs)) < len(outputs) or not all(atom in made for atom in outputs)


class JitFunction(NativeCallable):
    """A function that is compiled at the first call of each signature.

    Calls that are known may be made by native code alone; `__call__` is for all others.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        static_argnums: Any = None,
        static_argnames: Any = None,
        donate_argnums: Any = None,
        donate_argnames: Any = None,
        fast_math: bool = False,
    ) -> None:
        check_callable(fun, "jit")
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.name = name_of(fun)
        self.parameters = _parameter_names(fun)
        self.static = _chosen(self, static_argnums, static_argnames, "static")
        self.donated = _chosen(self, donate_argnums, donate_argnames, "donate")
        if self.static & self.donated:
            both = sorted(map(str, self.static & self.donated))
            raise ValueError(
                f"[jit] arguments of {self.name} are both static and donated: {', '.join(both)}. "
                "Only arrays can be given up; leave them out of donate_argnums or of static_argnums."
            )
        self.fast_math = fast_math
        self.entries: dict[tuple, Compiled] = {}
        self.fast = FastCalls()
        self.lock = threading.RLock()
        self.compilations: list[Compilation] = []
        self.is_counted = False

    def parameter(self, position: int) -> str:
        return self.parameters[position] if position < len(self.parameters) else str(position)

    def is_static(self, position: int | None, name: str) -> bool:
        return name in self.static or position in self.static

    def is_donated(self, position: int | None, name: str) -> bool:
        return name in self.donated or position in self.donated

    def owner_state(self) -> list[Any]:
        """What a bound method or callable object reads besides its arguments, as part of the cache key."""
        owner = getattr(self.fun, "__self__", self.fun)
        return [object_state(owner)] if has_state(owner) else []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if config.disable_jit:
            return beside_arguments(self.fun)(*args, **kwargs)
        if state.ambient is None:
            for dispatch, entry in self.fast.portable:
                arrays = dispatch(args, kwargs)
                if arrays is not None:
                    check_not_donated(arrays, self.name)
                    return entry.run(arrays)
        return self._call_slowly(args, kwargs)

    def _call_slowly(self, args: tuple, kwargs: dict) -> Any:
        signature = Signature(self, args, kwargs)
        check_not_donated(signature.arrays, self.name)
        if signature.donated:
            check_alone(signature.arrays, signature.donated, self.name)
        entry = self._entry(signature, len(args))
        traced = any(isinstance(x, Tracer) for x in signature.arrays)
        if state.ambient is not None or traced or entry.is_staged:
            return entry.finish(call_program(entry.program, [*entry.captured, *signature.arrays]))
        with self.lock, resuming(entry.compilation), timed("dispatcher"):
            self.fast.learn(self, signature, args, kwargs, entry)
        result = entry.run(signature.arrays)
        if signature.donated:
            donate(signature.donated, self.name)
        return result

    def entry(self, *args: Any, **kwargs: Any) -> Compiled:
        """What is recorded for a call like this; nothing is executed."""
        return self._entry(Signature(self, args, kwargs), len(args))

    def _entry(self, signature: Signature, args_count: int) -> Compiled:
        entry = self.entries.get(signature.key)
        if entry is not None and entry.guards_hold():
            return entry
        with self.lock:
            entry = self.entries.get(signature.key)
            if entry is not None and entry.guards_hold():
                return entry
            reason = self._reason(signature, entry)
            if entry is not None:
                self.fast.forget(self, entry)
            with (
                collector_paused(),
                recording(signature.text(), reason) as compilation,
                timed("trace"),
            ):
                entry = self._trace(signature, args_count, compilation)
            self.compilations.append(compilation)
            if entry.is_reusable:
                self.entries[signature.key] = entry
            return entry

    def _reason(self, signature: Signature, stale: Compiled | None) -> str:
        """Why this signature is traced although others are known; "" for the first one."""
        if not self.entries:
            # A call that failed, or one inside the first trace of a recursive function, makes no new function.
            if not self.is_counted:
                count_trace(self.fun, self.name)
            self.is_counted = True
            return ""
        reason = explain_difference(self.name, list(self.entries), signature.key, stale)
        if config.explain_recompiles:
            print(reason, file=sys.stderr)
        return reason

    def _trace(self, signature: Signature, args_count: int, compilation: Compilation) -> Compiled:
        found: list[Flat] = []

        def flat_fun(*tracers: Any) -> list[Any]:
            args, kwargs = signature.rebuild(tracers, args_count)
            out = self.fun(*args, **kwargs)
            inputs = [flat for flat in signature.flats if flat is not None]
            outputs = output_flat(out, f"the result of {self.name}", inputs)
            found.append(outputs)
            return outputs.detach()

        types = [type_of(x) for x in signature.arrays]
        with near(signature.arrays):
            program, captured = trace_flat(flat_fun, types, self.name, signature.labels)
        program.is_fast = self.fast_math
        if signature.donated:
            warn_unused(program, signature.arrays, signature.donated, self.name)
        outputs = found[0]
        guards = collect_guards(self.fun, captured)
        donated = signature.donated_inputs(len(captured))
        return Compiled(program, captured, outputs, guards, compilation, donated, signature.device)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> Any:
        module, qualname = sys.modules.get(self.__module__), str(vars(self).get("__qualname__"))
        if functools.reduce(_attribute, qualname.split("."), module) is self:
            return qualname  # a decorated function is found by its name
        options = (self.static, self.donated)
        chosen = [tuple(sorted(o, key=str)) for o in options]
        return _rebuild_jit, (self.fun, *chosen, self.fast_math)

    def clear_cache(self) -> None:
        """Forget all compiled signatures."""
        self.entries.clear()
        self.fast.clear(self)

    def trace_count(self) -> int:
        """How many signatures have been traced."""
        return len(self.entries)

    def explain_recompiles(self) -> str:
        """Why this function was traced more than once; empty if it was not."""
        return "\n".join([c.reason for c in self.compilations if c.reason])

    def compile_report(self) -> CompileReport:
        """Where the time of each compilation went, whether its code was found on disk, and why it was needed.

        Stages: "trace" records the function, "find" looks for machine code of the same Program in the cache,
        "simplify", "lower", "fuse", "plan" and "emit" make LLVM text of it, "llvm" makes machine code, "load" brings
        code into the process, "import" and "dispatcher" prepare the compiler and later calls.

        Example:
            >>> import numpy as np
            >>> import funcgrad as fg
            >>> f = fg.jit(lambda x: x + 1)
            >>> f(np.ones(3)), f(np.ones(4))
            (array([2., 2., 2.]), array([2., 2., 2., 2.]))
            >>> report = f.compile_report()
            >>> [compilation.signature for compilation in report.compilations]
            ['float64[3]', 'float64[4]']
            >>> print(report.compilations[1].reason)
            [jit] lambda is traced again: float64[3] -> float64[4].
        """
        return CompileReport(self.name, list(self.compilations))

    def __repr__(self) -> str:
        return f"<jit {self.name}: {len(self.entries)} signatures>"


let_enter_natively(JitFunction)


def _parameter_names(fun: Any) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional]


def _chosen(jitted: JitFunction, argnums: Any, argnames: Any, what: str) -> frozenset:
    """Positions and names of the arguments that an option of `jit` names."""
    numbers = () if argnums is None else (argnums,) if isinstance(argnums, int) else tuple(argnums)
    names = (
        () if argnames is None else (argnames,) if isinstance(argnames, str) else tuple(argnames)
    )
    chosen: set[Any] = set(names)
    count = len(jitted.parameters)
    try:
        accepted = inspect.signature(jitted.fun).parameters
    except (TypeError, ValueError):
        accepted = None
    if accepted is not None and all(p.kind is not p.VAR_KEYWORD for p in accepted.values()):
        for name in names:
            if name not in accepted:
                raise ValueError(
                    f"[jit] {what}_argnames names {name!r}, but {jitted.name} has the arguments "
                    f"{list(accepted)}."
                )
    for number in numbers:
        if count and not -count <= number < count and not _has_varargs(accepted):
            raise ValueError(
                f"[jit] {what}_argnums={number}, but {jitted.name} has {count} positional arguments."
            )
        number = number % count if count and number < 0 else number
        chosen.add(number)
        if number < count:
            chosen.add(jitted.parameters[number])
    return frozenset(chosen)


def _has_varargs(accepted: Any) -> bool:
    return accepted is None or any(p.kind is p.VAR_POSITIONAL for p in accepted.values())


def _attribute(owner: Any, name: str) -> Any:
    return getattr(owner, name, None)


def _rebuild_jit(fun: Any, static: tuple, donated: tuple, fast_math: bool) -> JitFunction:
    jitted = JitFunction(fun, fast_math=fast_math)
    jitted.static, jitted.donated = frozenset(static), frozenset(donated)
    return jitted


def jit(
    fun: Callable[..., Any] | None = None,
    /,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    fast_math: bool = False,
    keep_unused: bool = False,
    device: Any = None,
    backend: Any = None,
    inline: bool = False,
) -> Any:
    """Compile a function; usable bare or with options.

    The function is recorded at the first call with new shapes, dtypes or static arguments. Arrays that it
    captures are read anew at every call. Non-array leaves of arguments are static.

    Args:
        fun: a pure function of trees of arrays.
        static_argnums, static_argnames: arguments to compile for; hashable, compared by value and type.
        donate_argnums, donate_argnames: arguments whose arrays the caller gives up. Results may lie in their memory,
            unless views of them are still in use. Afterwards they are read-only and no jitted function takes them.
            On a GPU the donated array itself is returned, with the result that lies in it.
        fast_math: let machine code contract products and sums into fused multiply-adds, and multiply by reciprocals
            in place of divisions: faster where operations wait for each other, and rounded differently from NumPy.
            Infinities and NaN stay what they are.
        keep_unused, inline: accepted for compatibility of calls; they change nothing here.
        device, backend: None, or 'cpu'; arrays decide where they are computed.

    Returns:
        A function with the arguments and results of `fun`.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> @fg.jit
        ... def step(x, lr=0.1):
        ...     return x - lr * np.sin(x)
        >>> step(np.zeros(2))
        array([0., 0.])
    """
    del keep_unused, inline
    for name, value in (("device", device), ("backend", backend)):
        if value not in (None, "cpu", "numpy"):
            raise ValueError(
                f"[jit] {name}={value!r} is not available. Leave it out, and move the arrays, which decide where "
                'they are computed: x = funcgrad.device_put(x, "cuda").'
            )
    options = (static_argnums, static_argnames, donate_argnums, donate_argnames, fast_math)
    if fun is None:
        return lambda function: JitFunction(function, *options)
    return JitFunction(fun, *options)
