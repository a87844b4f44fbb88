"""The Primitive contract: the questions that every operation answers about itself.

A first-order primitive is one class in `ops/`; the families there answer what is common. Transforms and
backends call only what is declared here, and never ask which primitive they hold.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.config import config, restraints
from funcgrad.ir.devices import computed_on
from funcgrad.ir.finite import check_finite
from funcgrad.ir.mixing import on_one_device
from funcgrad.ir.tracer import Trace, Tracer, check_running, state
from funcgrad.ir.types import ArrayType, dtype_of

if TYPE_CHECKING:
    from funcgrad.ir.program import Program

# Operands for which NumPy itself does all there is to do, where nothing restrains.
CONCRETE = frozenset(
    {np.ndarray, float, int, np.float64, np.float32, np.int64, np.bool_, np.complex128, complex}
)


class LinearInput:
    """Stands in `transpose` for an input that is being transposed: its type is known, its value is not."""

    __slots__ = ("dtype", "shape")

    def __init__(self, like: Any) -> None:
        """Has the shape and dtype of an ArrayType, array, tracer or Python scalar, and keeps nothing else."""
        self.shape: tuple = getattr(like, "shape", ())
        self.dtype: np.dtype = dtype_of(like)

    @property
    def type(self) -> ArrayType:
        return ArrayType(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"LinearInput({self.type})"


def is_linear(value: Any) -> bool:
    return isinstance(value, LinearInput)


class Operation:
    """What a `simplify` rule asks for: a primitive applied to operands that are there or Operations themselves.

    Args:
        origin: the equation whose line it has, and whose warnings; by default the one that is simplified.
        is_quiet: whether it does not warn, whatever its origin.
    """

    __slots__ = ("inputs", "is_quiet", "origin", "params", "primitive")

    def __init__(
        self,
        primitive: Primitive,
        *inputs: Any,
        origin: Any = None,
        is_quiet: bool = False,
        **params: Any,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.origin = origin
        self.is_quiet = is_quiet
        self.params = params


class Primitive:
    """One operation. `multiple` primitives return a list of results; all others return one result.

    Attributes:
        name: how Programs print it; the class name in snake case by default.
        kind: what the compiler must know: 'elementwise', 'reduction', 'index_map', 'library', 'higher_order'.
        multiple: whether it returns a list.
        has_effect: whether it must run even if nobody uses its result.
        keeps_inputs: whether its backward rule needs its inputs (then mutable ones are snapshotted).
        is_inlined: whether the compiler may replace it by the equations of its param `program`.
        masks_cotangents: whether its cotangents are zero where a branch was not taken.
        commutes: whether its two operands may change places.
        operator: the Python operator that computes it on NumPy numbers, if there is one.
        names_axes: whether it may reduce over a named batch axis, so that `outer_trace` decides who sees it.
        transpose_onto: optional `(total, cotangent, *inputs, **params) -> total`: adds what `transpose` gives for
            the first input to a sum of cotangents, where that is less work than for the whole array.
        transpose_onto_carry: the same for what a loop carries; None where it is no less work.
        vjp: optional shortcut `(primals, active, params) -> (outputs, pullback)`, derived by a family.
    """

    name = "primitive"
    kind = "library"
    multiple = False
    has_effect = False
    keeps_inputs = True
    masks_cotangents = False
    is_inlined = False
    commutes = False
    operator = ""
    names_axes = False
    transpose_onto: Callable[..., Any] | None = None
    transpose_onto_carry: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).strip(
                "_"
            )

    def type_rule(self, *types: ArrayType, **params: Any) -> Any:
        """The type (or list of types) of the result."""
        raise NotImplementedError(f"{self.name} has no type rule")

    def numpy(self, xp: Any, *arrays: Any, **params: Any) -> Any:
        """The reference meaning, in terms of the array module `xp` (numpy or cupy)."""
        raise NotImplementedError(f"{self.name} has no implementation")

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        """Output and its tangent; a tangent of None is zero. May use only what is linear in the tangents."""
        raise NotImplementedError(f"{self.name} cannot be differentiated")

    def linearize(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        """Like `jvp`, for tangents that belong to a linear Program. Higher-order primitives split here."""
        return self.jvp(primals, tangents, **params)

    def transpose(self, cotangent: Any, *inputs: Any, **params: Any) -> Sequence[Any]:
        """Cotangents of the inputs that are `LinearInput`, None for the others."""
        raise NotImplementedError(f"{self.name} is not linear, so it has no transpose")

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        """Result and its batch axis, for arguments with batch axes (None: the same for every example)."""
        raise NotImplementedError(f"{self.name} cannot be batched")

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        """Describe the computation to an emitter; NotImplemented makes it a library step."""
        del emit, values, params
        return NotImplemented

    def composition(self, *types: ArrayType, **params: Any) -> Program | None:
        """A Program of simpler operations that means the same, by which the cost is estimated, if there is one."""
        del types, params
        return None

    def simplify(self, known: Any, *inputs: Any, **params: Any) -> Any:
        """A cheaper equal of this operation: an operand, an Operation, or None if there is none.

        The inputs are the atoms of a Program, and `known` (`compiler/passes/algebra.py`) tells what they are. The
        result has equal bits, but for the sign of NaN. It may have a shape that broadcasts to the right one.
        """
        del known, inputs, params
        return None

    def reordered(self, equation: Any, permutation: tuple[int, ...]) -> Operation | None:
        """What makes the result of an equation with its axes in another order, where that is as cheap."""
        del equation, permutation
        return None

    def batch_sum(self, args: Sequence, axes: Sequence, /, **params: Any) -> Any:
        """The sum over the examples of what `batch` makes, where that is one operation; else NotImplemented."""
        del args, axes, params
        return NotImplemented

    def stage(self, args: tuple, params: dict) -> tuple[tuple, dict]:
        """Arguments and params as a Program shall hold them."""
        return args, params

    def reduces_axis(self, params: dict, axis_name: Any) -> bool:
        """Whether this is a collective over the named batch axis."""
        del params, axis_name
        return False

    def uses_axis(self, params: dict, axis_name: Any) -> bool:
        """Whether a Program among the params holds a collective over the named batch axis."""
        del params, axis_name
        return False

    def outer_trace(self, params: dict) -> Trace | None:
        """The trace that must see this operation even without traced operands, if `names_axes`."""
        del params
        return state.ambient

    def implementation(self, xp: Any, **params: Any) -> Callable[..., Any]:
        """A callable of arrays only, for generated code."""
        return functools.partial(self.numpy, xp, **params)

    def __call__(self, *args: Any, **params: Any) -> Any:
        is_plain = not restraints
        owner = self.outer_trace(params) if self.names_axes else state.ambient
        for arg in args:
            if type(arg) in CONCRETE:
                continue
            is_plain = False
            if isinstance(arg, Tracer):
                trace = arg.owner
                if owner is None or trace.level >= owner.level:
                    owner = trace
        if owner is None:
            if is_plain:
                return self.numpy(np, *args, **params)
            return self.execute(*args, **params)
        stack = state.stack
        if owner.level >= len(stack) or stack[owner.level] is not owner:
            check_running(self.name, args)
        return owner.process(self, args, params)

    def execute(self, *args: Any, **params: Any) -> Any:
        """Run on concrete arrays."""
        if "cupy" in sys.modules:
            device, operands = on_one_device(args, self)
            out = computed_on(device, self.numpy, *operands, **params)
        else:
            out = self.numpy(np, *args, **params)
        if config.checks_values:
            check_finite(self.name, args, out if self.multiple else (out,))
        return out

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name
