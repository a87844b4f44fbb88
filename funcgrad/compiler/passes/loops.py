"""Loops and branches rewritten from the inside out: constant operands, work that need not be in the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.compiler.lowering.ragged import is_ragged
from funcgrad.compiler.passes.absorb import absorb_producers
from funcgrad.compiler.passes.algebra import splat_value, strong_literal
from funcgrad.compiler.passes.dead_code import as_simplified, with_parts
from funcgrad.compiler.passes.fission import split_scan
from funcgrad.compiler.passes.hoist import hoist_from_scan, hoist_from_while
from funcgrad.compiler.passes.loop_parts import Outer, ScanParts, WhileParts, substituted
from funcgrad.compiler.passes.recompute import recompute_residuals
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ops.create import FULL
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.shape import BROADCAST_TO, RESHAPE

Simplify = Callable[[Program], Program]


def rewrite_loops(program: Program, simplify: Simplify) -> Program:
    """Simplify the Programs of loops, branches and remat calls, and move out of them what can be outside.

    Args:
        program: any Program.
        simplify: all stages of simplification, for the Programs inside.
    """
    if not any(equation.primitive.name in REWRITES for equation in program.equations):
        return program
    outer = Outer(program)
    for equation in program.equations:
        equation = substituted(equation, outer.known)
        rewrite = REWRITES.get(equation.primitive.name)
        if rewrite is None:
            outer.append(equation)
        else:
            rewrite(outer, equation, simplify)
    outputs = [outer.known.get(atom, atom) for atom in program.outputs]
    return Program(program.inputs, outer.equations, outputs, program.name)


# --- scan ---


def rewrite_scan(outer: Outer, equation: Equation, simplify: Simplify) -> None:
    """Every way to do less in a `scan`."""
    parts = ScanParts(equation)
    if parts.length in (0, 1) and is_unrollable(parts):
        unroll(outer, parts, simplify)
        return
    merge_operands(outer, parts)
    if parts.length is not None:
        absorb_producers(outer, parts)
        recompute_residuals(outer, parts)
    parts.set_body(simplify(parts.body))
    drop_constant_carries(outer, parts)
    hoist_from_scan(outer, parts)
    if parts.length is not None:
        drop_known_stacks(outer, parts)
    finish = split_scan(outer, parts)
    if parts.length is not None:
        drop_known_stacks(outer, parts)
    made = parts.rebuilt()
    as_simplified(made.params["body"])
    outer.append(made)
    finish()


def is_unrollable(parts: ScanParts) -> bool:
    """Whether the types of carried values stay, and all stacks have known lengths inside."""
    stacks = [stack for _, stack in (*parts.xs, *parts.ys)]
    return all(map(keeps_type, parts.carries)) and not any(
        is_ragged(stack.type.shape) for stack in stacks
    )


def keeps_type(carry: Any) -> bool:
    """Whether a carried value may stand for its start, and its end for it, in every type rule."""
    return carry.start.type == carry.variable.type == carry.result.type == carry.final.type


def unroll(outer: Outer, parts: ScanParts, simplify: Simplify) -> None:
    """A `scan` of no or one iteration, without the loop."""
    like = parts.equation
    if parts.length == 0:
        for carry in parts.carries:
            outer.replace(carry.final, carry.start)
        for _, stack in parts.ys:
            params = {"shape": stack.type.shape, "value": 0, "dtype": stack.type.dtype}
            outer.replace(stack, outer.apply(FULL, like=like, **params))
        return
    elements = []
    for variable, stack in parts.xs:
        spec = (0, *((0, n, 1) for n in variable.type.shape))
        elements.append(outer.apply(STATIC_SLICE, stack, like=like, spec=spec))
    inputs = [*[x for _, x in parts.consts], *[c.start for c in parts.carries], *elements]
    results = outer.inline(simplify(parts.body), inputs, like.is_quiet)
    count = len(parts.carries)
    for carry, result in zip(parts.carries, results[:count], strict=True):
        outer.replace(carry.final, result)
    for (_, stack), result in zip(parts.ys, results[count:], strict=True):
        outer.replace(stack, outer.apply(RESHAPE, result, like=like, shape=stack.type.shape))


def merge_operands(outer: Outer, parts: ScanParts) -> None:
    """Constant operands go into the body; what is passed twice, or is equal in all iterations, is passed once."""
    like = parts.equation
    known: dict[Any, Atom] = {}
    consts: dict[Any, Variable] = {}
    stacks: dict[Any, Variable] = {}
    made: list[Equation] = []

    def read_constant(variable: Variable, atom: Atom) -> None:
        """Let the body read `atom`, stretched to the type of `variable`, as that."""
        if isinstance(atom, Variable):
            inner = consts.setdefault((atom, atom.type), Variable(atom.type))
        else:
            inner = atom
        if atom.type == variable.type:
            known[variable] = inner
            return
        known[variable] = stretched = Variable(variable.type)
        params = {"shape": variable.type.shape}
        made.append(with_parts(like, [inner], [stretched], params, BROADCAST_TO))

    for variable, atom in parts.consts:
        value = atom if isinstance(atom, Literal) else splat_value(outer.makers.get(atom))
        if value is not None and (value.type == variable.type or not variable.type.weak):
            read_constant(variable, value)
        elif atom.type == variable.type:
            read_constant(variable, atom)
        elif (atom, variable.type) in consts:
            known[variable] = consts[atom, variable.type]
        else:
            consts[atom, variable.type] = variable
    for variable, stack in parts.xs:
        element = repeated_element(outer, stack, like)
        if element is not None:
            read_constant(variable, element)
        elif stack in stacks:
            known[variable] = stacks[stack]
        else:
            stacks[stack] = variable
    parts.consts = [(variable, atom) for (atom, _), variable in consts.items()]
    parts.xs = [(variable, stack) for stack, variable in stacks.items()]
    parts.equations = [*made, *parts.equations]
    parts.substitute(known)


def repeated_element(outer: Outer, stack: Atom, like: Equation) -> Atom | None:
    """What stretches to each element of a stack of equal elements; None if they may differ."""
    maker = outer.makers.get(stack)
    value = splat_value(maker)
    if value is not None or maker is None or maker.primitive is not BROADCAST_TO:
        return value
    source = strong_literal(maker.inputs[0])
    if source is None or source.type.ndim < stack.type.ndim:
        return source
    if source.type.shape[0] != 1:
        return None
    return outer.apply(RESHAPE, source, like=like, shape=source.type.shape[1:])


def drop_constant_carries(outer: Outer, parts: ScanParts | WhileParts) -> None:
    """Carried values that the body returns as they are become constants."""
    carries: list[Any] = []
    carry: Any
    for carry in parts.carries:
        if carry.result is not carry.variable or not keeps_type(carry):
            carries.append(carry)
            continue
        outer.replace(carry.final, carry.start)
        parts.consts.append((carry.variable, carry.start))
        if isinstance(parts, WhileParts):
            parts.tests.append((carry.tested, carry.start))
    parts.carries = carries


def drop_known_stacks(outer: Outer, parts: ScanParts) -> None:
    """Stacks that exist already, or whose elements are all equal, are not written by the loop."""
    consts: dict[Any, Atom] = dict(parts.consts)
    xs: dict[Any, Atom] = dict(parts.xs)
    kept: dict[Atom, Variable] = {}
    for y, stack in parts.ys:
        known = None
        if isinstance(y, Literal) or y in consts:
            known = repeated(outer, consts.get(y, y), stack, parts.equation)
        elif y in xs and xs[y].type == stack.type:
            known = xs[y]
        elif y in kept:
            known = kept[y]
        if known is None:
            kept[y] = stack
        else:
            outer.replace(stack, known)
    parts.ys = list(kept.items())


def repeated(outer: Outer, atom: Atom, stack: Variable, like: Equation) -> Atom | None:
    source = strong_literal(atom)
    if source is None or source.type.dtype != stack.type.dtype:
        return None
    return outer.apply(BROADCAST_TO, source, like=like, shape=stack.type.shape)


# --- while, cond, remat ---


def rewrite_while(outer: Outer, equation: Equation, simplify: Simplify) -> None:
    """Simplify both Programs, and move out what does not change."""
    parts = WhileParts(equation)
    parts.set_body(simplify(parts.body))
    parts.set_test(simplify(parts.test))
    drop_constant_carries(outer, parts)
    hoist_from_while(outer, parts)
    made = parts.rebuilt()
    as_simplified(made.params["body"])
    as_simplified(made.params["cond"])
    outer.append(made)


def rewrite_cond(outer: Outer, equation: Equation, simplify: Simplify) -> None:
    """Only the branch that runs, if that is known; constant operands go into the branches."""
    index, *operands = equation.inputs
    branches: tuple[Program, ...] = equation.params["branches"]
    if isinstance(index, Literal):
        results = outer.inline(simplify(branches[int(index.value)]), operands, equation.is_quiet)
        for variable, result in zip(equation.outputs, results, strict=True):
            outer.replace(variable, result)
        return
    programs = tuple(simplify(with_constants(branch, operands)) for branch in branches)
    outer.append(with_parts(equation, equation.inputs, equation.outputs, {"branches": programs}))


def with_constants(program: Program, operands: list[Atom]) -> Program:
    """The Program with the operands that are constants in place of its inputs; it reads these no more."""
    known: dict[Atom, Atom] = {
        variable: atom
        for variable, atom in zip(program.inputs, operands, strict=True)
        if isinstance(atom, Literal) and atom.type == variable.type
    }
    if not known:
        return program
    equations = [substituted(equation, known) for equation in program.equations]
    outputs = [known.get(atom, atom) for atom in program.outputs]
    return Program(program.inputs, equations, outputs, program.name)


def rewrite_call(outer: Outer, equation: Equation, simplify: Simplify) -> None:
    """Simplify the Program of a call that is not inlined."""
    params = {**equation.params, "program": simplify(equation.params["program"])}
    outer.append(with_parts(equation, equation.inputs, equation.outputs, params))


# By the names of the primitives.
REWRITES: dict[str, Callable[[Outer, Equation, Simplify], None]] = {
    "scan": rewrite_scan,
    "while": rewrite_while,
    "cond": rewrite_cond,
    "remat": rewrite_call,
}
