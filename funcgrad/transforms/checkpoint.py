"""Rematerialization: keep the inputs of a function instead of its intermediates, and compute these again.

The linear half of a checkpointed call contains the primal computation; transposition evaluates it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Equation, Literal, Program, Variable, evaluate
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Linear
from funcgrad.transforms.arguments import Flat, bind_static, check_callable, wrap_like
from funcgrad.transforms.batch import batch_program
from funcgrad.transforms.call import Call, present, spread
from funcgrad.transforms.jvp import JvpTracer
from funcgrad.transforms.linearize import linearize_flat
from funcgrad.transforms.staging import trace_tree

Policy = Callable[..., bool]


class Remat(Call):
    """A call whose intermediates are computed again for the backward pass, but for those that `policy` saves."""

    is_inlined = False

    def linearize(
        self, primals: Sequence, tangents: Sequence, *, program: Program, policy: Policy | None
    ) -> tuple:
        active = tuple(t is not None for t in tangents)
        forward, saved_count = saving_program(program, policy)
        outs = self(*primals, program=forward, policy=policy)
        saved = outs[len(outs) - saved_count :]
        moving, found = tangent_program(program, policy, active)
        moved = self(*primals, *saved, *present(tangents), program=moving, policy=policy)
        return outs[: len(outs) - saved_count], spread(found, moved)

    def jvp(self, primals: Sequence, tangents: Sequence, *, program: Program, policy: Any) -> tuple:
        del policy
        return Call.jvp(self, primals, tangents, program=program)

    def __call__(self, *args: Any, program: Program, policy: Policy | None = None) -> Any:
        return super().__call__(*args, program=program, policy=policy)

    def type_rule(self, *types: ArrayType, program: Program, policy: Any) -> list[ArrayType]:
        del policy
        return super().type_rule(*types, program=program)

    def numpy(self, xp: Any, *args: Any, program: Program, policy: Any) -> list[Any]:
        del policy
        return super().numpy(xp, *args, program=program)

    def transpose(self, cotangent: Sequence, *inputs: Any, program: Program, policy: Any) -> list:
        del policy
        return Call.transpose(self, cotangent, *inputs, program=program)

    def batch(
        self, size: int, args: Sequence, axes: Sequence, *, program: Program, policy: Any
    ) -> tuple:
        batched, out_axes = batch_program(program, size, tuple(axes))
        return self(*args, program=batched, policy=policy), list(out_axes)

    def lower(self, emit: Any, *values: Any, program: Program, policy: Any) -> Any:
        del policy
        return emit.call(program, values)


REMAT = Remat()


def is_saveable(equation: Equation, policy: Policy | None) -> bool:
    if policy is None:
        return False
    types = [atom.type for atom in equation.inputs]
    return bool(policy(equation.primitive, *types, **equation.params))


def saving_program(program: Program, policy: Policy | None) -> tuple[Program, int]:
    """The Program that also returns what the policy saves."""
    key = ("saving", policy)
    if key not in program.memo:
        saved = [v for e in program.equations if is_saveable(e, policy) for v in e.outputs]
        outputs = [*program.outputs, *saved]
        program.memo[key] = (
            Program(program.inputs, program.equations, outputs, program.name),
            len(saved),
        )
    return program.memo[key]


def tangent_program(
    program: Program, policy: Policy | None, active: tuple[bool, ...]
) -> tuple[Program, tuple[bool, ...]]:
    """A Program from (inputs, saved values, active tangents) to the output tangents that are not zero."""
    key = ("tangent", policy, active)
    if key not in program.memo:
        types = program.input_types
        saved = [v.type for e in program.equations if is_saveable(e, policy) for v in e.outputs]
        moving = [t.strong() for t, wanted in zip(types, active, strict=True) if wanted]
        found: list[tuple[bool, ...]] = []

        def forward(*args: Any) -> list[Any]:
            kept = iter(args[len(types) : len(types) + len(saved)])
            given = args[len(types) + len(saved) :]
            # Linearized, not jvp: loops then split into a primal and a linear half that can be transposed.
            _, linearized = linearize_flat(
                lambda *xs: _evaluate_with_saved(program, xs, policy, kept),
                args[: len(types)],
                active,
            )
            found.append(linearized.active)
            return evaluate(linearized.program, *linearized.residuals, *given)

        built = close_program(forward, [*types, *saved, *moving], program.name + "_tangent")
        program.memo[key] = (built, found[0])
    return program.memo[key]


def _evaluate_with_saved(
    program: Program, inputs: Sequence[Any], policy: Policy | None, kept: Any
) -> list[Any]:
    """Evaluate, taking the primal values that were saved instead of the recomputed ones."""
    environment: dict[Variable, Any] = dict(zip(program.inputs, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.value if isinstance(atom, Literal) else environment[atom]

    for equation in program.equations:
        outs = equation.primitive(*map(read, equation.inputs), **equation.params)
        outs = list(outs) if equation.primitive.multiple else [outs]
        if is_saveable(equation, policy):
            outs = [_with_primal(out, next(kept)) for out in outs]
        environment.update(zip(equation.outputs, outs, strict=True))
    return [read(atom) for atom in program.outputs]


def _with_primal(out: Any, primal: Any) -> Any:
    return JvpTracer(out.owner, primal, out.tangent) if isinstance(out, JvpTracer) else primal


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Sequence[int] = (),
) -> Any:
    """Trade time for memory: `fun` is computed again in the backward pass instead of keeping intermediates.

    Args:
        fun: the function.
        prevent_cse: accepted for compatibility of calls; the two computations are never merged.
        policy: `(primitive, *types, **params) -> bool`, which results are kept all the same; see
            `checkpoint_policies`. None keeps nothing but the inputs.
        static_argnums: positional arguments passed as they are.

    Returns:
        A function with the arguments and results of `fun`.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> layer = fg.checkpoint(lambda w, x: np.tanh(x @ w))
        >>> fg.grad(lambda w: np.sum(layer(w, np.ones(2))))(np.zeros((2, 1)))
        array([[1.],
               [1.]])
    """
    if fun is None:
        return lambda function: checkpoint(
            function, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums
        )
    check_callable(fun, "checkpoint")
    if policy is not None and not callable(policy):
        raise TypeError(
            f"[checkpoint] policy must be None or a function, but got {policy!r:.60}. Use one of "
            "funcgrad.checkpoint_policies, for example checkpoint_policies.dots_saveable."
        )

    @wrap_like(fun, "checkpoint")
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        partial, dynamic = bind_static(fun, args, static_argnums)
        program, captured, outputs = trace_tree(partial, dynamic, kwargs, tie=True)
        arrays = [x for part in (*dynamic, *kwargs.values()) for x in Flat(part).arrays]
        return outputs.rebuild(REMAT(*captured, *arrays, program=program, policy=policy))

    return checkpointed


remat = checkpoint


class Name(Linear):
    """The operand itself, with a name that checkpoint policies see."""

    def type_rule(self, x: ArrayType, *, label: str) -> ArrayType:
        del label
        return x.strong()

    def simplify(self, known: Any, x: Any, *, label: str) -> Any:
        del known, label
        return x

    def numpy(self, xp: Any, x: Any, *, label: str) -> Any:
        del label
        return x if hasattr(x, "dtype") else xp.asarray(x)[()]

    def transpose(self, cotangent: Any, x: Any, *, label: str) -> list[Any]:
        del x, label
        return [cotangent]

    def batch(self, size: int, args: Sequence, axes: Sequence, *, label: str) -> tuple:
        del size
        return self(*args, label=label), axes[0]

    def lower(self, emit: Any, x: Any, *, label: str) -> Any:
        del emit, label
        return x


NAME = Name()


def checkpoint_name(x: Any, name: str) -> Any:
    """Give a tree of arrays a name for `checkpoint_policies.save_only_these_names`."""
    return tree.map(lambda leaf: NAME(leaf, label=name), x)


class checkpoint_policies:  # noqa: N801
    """Which results `checkpoint` keeps for the backward pass."""

    @staticmethod
    def everything_saveable(primitive: Any, *types: Any, **params: Any) -> bool:
        """Keep every result: no recomputation."""
        del primitive, types, params
        return True

    @staticmethod
    def nothing_saveable(primitive: Any, *types: Any, **params: Any) -> bool:
        """Keep nothing but the inputs."""
        del primitive, types, params
        return False

    @staticmethod
    def dots_saveable(primitive: Any, *types: Any, **params: Any) -> bool:
        """Keep the results of matrix products."""
        del types, params
        return primitive.name == "dot_general"

    checkpoint_dots = dots_saveable

    @staticmethod
    def dots_with_no_batch_dims_saveable(primitive: Any, *types: Any, **params: Any) -> bool:
        """Keep the results of matrix products without batch axes."""
        del types
        return primitive.name == "dot_general" and not params["batch"][0]

    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names: str) -> Policy:
        """Keep the arrays that `checkpoint_name` gave one of these names."""

        def policy(primitive: Any, *types: Any, **params: Any) -> bool:
            del types
            return primitive.name == "name" and params["label"] in names

        return policy

    @staticmethod
    def save_anything_except_these_names(*names: str) -> Policy:
        """Keep every result but the arrays that `checkpoint_name` gave one of these names."""

        def policy(primitive: Any, *types: Any, **params: Any) -> bool:
            del types
            return primitive.name != "name" or params["label"] not in names

        return policy

    @staticmethod
    def save_any_names_but_these(*names: str) -> Policy:
        """Keep the arrays that `checkpoint_name` gave a name, but for these names."""

        def policy(primitive: Any, *types: Any, **params: Any) -> bool:
            del types
            return primitive.name == "name" and params["label"] not in names

        return policy

    @staticmethod
    def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
        """Keep what either policy keeps."""

        def policy(primitive: Any, *types: Any, **params: Any) -> bool:
            return policy_1(primitive, *types, **params) or policy_2(primitive, *types, **params)

        return policy
