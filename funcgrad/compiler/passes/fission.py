"""Loop distribution: parts of a `scan` that no iteration needs from the one before run for all iterations at once.

`x_t @ W` becomes one product before the loop, `h_t @ W` and weight gradients (sums of products over the iterations)
one product after it. What crosses the border is stacked, within a budget of memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from funcgrad.compiler.passes.algebra import splat_value
from funcgrad.compiler.passes.batching import Batch, as_in, batched_program
from funcgrad.compiler.passes.cost import bytes_of
from funcgrad.compiler.passes.dead_code import eliminate_dead_code
from funcgrad.compiler.passes.hoist import ancestors
from funcgrad.compiler.passes.loop_parts import Outer, ScanParts
from funcgrad.compiler.passes.sums import Sum, SumFinder
from funcgrad.ir.program import Atom, Equation, Literal, Variable, has_effect
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import ADD, NEGATIVE, SUBTRACT
from funcgrad.ops.families import Multilinear
from funcgrad.ops.reduce import reduce_sum

# With fewer iterations there is nothing to gain.
SHORTEST = 4
# How many bytes the new stacks may hold: this, and a multiple of what the loop stacks anyway.
SPARE_BYTES = 64 << 20
SPARE_FACTOR = 2


class Flow:
    """What depends on what in the body of a `scan`.

    Attributes:
        carried: variables that an earlier iteration has a part in, or that must stay for other reasons.
        varying: those that differ between iterations.
        feeding: variables that the next iteration needs.
        free: equations that need nothing carried.
    """

    def __init__(self, parts: ScanParts) -> None:
        self.consts = dict(parts.consts)
        self.xs = dict(parts.xs)
        self.stacks = dict(parts.ys)
        self.carried: set[Atom] = {carry.variable for carry in parts.carries}
        self.carried.update(v for v, atom in parts.consts if v.type != atom.type)
        self.varying: set[Atom] = {*self.xs, *self.carried}
        self.free: list[Equation] = []
        for equation in parts.equations:
            if not self.varying.isdisjoint(equation.inputs):
                self.varying.update(equation.outputs)
            if is_batchable(equation) and self.carried.isdisjoint(equation.inputs):
                self.free.append(equation)
            else:
                self.carried.update(equation.outputs)
        self.feeding: set[Atom] = {carry.result for carry in parts.carries}
        for equation in reversed(parts.equations):
            if not self.feeding.isdisjoint(equation.outputs) or has_effect(equation):
                self.feeding.update(equation.inputs)
        used = [atom for equation in parts.equations for atom in equation.inputs]
        results = [carry.result for carry in parts.carries]
        self.uses: Counter[Atom] = Counter([*used, *results, *[y for y, _ in parts.ys]])

    def is_stacked(self, atom: Atom) -> bool:
        """Whether all iterations of a value are at hand after the loop."""
        return isinstance(atom, Literal) or atom not in self.carried or atom in self.stacks


def is_batchable(equation: Equation) -> bool:
    """Whether an equation may run for all iterations at once: stacks are never weak."""
    if equation.primitive.kind == "higher_order" or has_effect(equation):
        return False
    return not any(isinstance(atom, Variable) and atom.type.weak for atom in equation.inputs)


def has_constant_factor(equation: Equation, flow: Flow) -> bool:
    """Whether an equation is a product of something that varies and something that does not."""
    varies = [atom in flow.varying for atom in equation.inputs]
    return isinstance(equation.primitive, Multilinear) and any(varies) and not all(varies)


class Budget:
    """How many more bytes may be stacked."""

    def __init__(self, parts: ScanParts) -> None:
        stacks = [atom.type for _, atom in (*parts.xs, *parts.ys)]
        self.left = SPARE_BYTES + SPARE_FACTOR * sum(map(bytes_of, stacks))
        self.length = parts.length or 0

    def spend(self, atoms: Iterable[Atom], freed: Iterable[Atom] = ()) -> bool:
        """Whether there is room for stacks of these atoms of the body once others are gone; it is taken then."""
        cost = sum(bytes_of(a.type) for a in atoms) - sum(bytes_of(a.type) for a in freed)
        if cost * self.length > self.left:
            return False
        self.left -= cost * self.length
        return True


def split_scan(outer: Outer, parts: ScanParts) -> Callable[[], None]:
    """Move work of a `scan` of known length before it, and take out what is to come after it.

    Returns:
        What appends the equations that come after the loop.
    """
    if parts.length is None or parts.length < SHORTEST:
        return lambda: None
    budget = Budget(parts)
    batch_before(outer, parts, budget)
    sums = take_sums(outer, parts, budget)
    products = take_products(outer, parts, budget)

    def finish() -> None:
        products()
        sums()

    return finish


class AllAtOnce:
    """A Program of all iterations of some equations.

    Args:
        parts, flow: the loop.
        wanted: equations that are to be run, with those they need.
        values: further values that `compute` takes.
        given: stacks that exist, by the variables of the body.
        compute: makes the results from a `Batch`, and from the equations that are to be run.
    """

    def __init__(
        self,
        parts: ScanParts,
        flow: Flow,
        wanted: list[Equation],
        values: Iterable[Atom],
        given: Mapping[Any, Atom],
        compute: Callable[[Batch, list[Equation]], list[Any]],
    ) -> None:
        chosen = set(map(id, (*flow.free, *wanted)))
        candidates = [equation for equation in parts.equations if id(equation) in chosen]
        outputs = [v for equation in wanted for v in equation.outputs]
        others = [atom for atom in values if atom not in given]
        equations = ancestors(candidates, [*outputs, *others], given)
        made = {v for equation in equations for v in equation.outputs}
        used = [*values, *[atom for equation in equations for atom in equation.inputs]]
        read: dict[Any, None] = dict.fromkeys(atom for atom in used if atom not in made)
        stacks = {**flow.xs, **given}
        self.operands = [flow.consts[v] for v in read if v in flow.consts]
        self.operands += [stacks[v] for v in read if v in stacks]
        self.is_quiet = parts.equation.is_quiet
        self.program = batched_program(
            parts.length or 0,
            [v for v in read if v in flow.consts],
            [v for v in read if v in stacks],
            lambda batch: compute(batch, equations),
        )

    def append(self, outer: Outer) -> list[Atom]:
        """Append the equations; their results."""
        operands = [outer.known.get(atom, atom) for atom in self.operands]
        return outer.inline(self.program, operands, self.is_quiet)


def stacks_of(variables: list[Variable]) -> Callable[[Batch, list[Equation]], list[Any]]:
    """Runs all equations and returns the stacks of these variables."""

    def compute(batch: Batch, equations: list[Equation]) -> list[Any]:
        for equation in equations:
            batch.run(equation)
        return [batch.stack(variable) for variable in variables]

    return compute


def without(equations: list[Equation], gone: list[Equation]) -> list[Equation]:
    dropped = set(map(id, gone))
    return [equation for equation in equations if id(equation) not in dropped]


# --- products before the loop ---


def batch_before(outer: Outer, parts: ScanParts, budget: Budget) -> None:
    """Products of the elements of xs with constants become one product each."""
    flow = Flow(parts)
    moved = products_of_xs(flow, budget)
    if not moved:
        return
    rest = without(parts.equations, moved)
    read = {atom for equation in rest for atom in equation.inputs}
    read.update([c.result for c in parts.carries], [y for y, _ in parts.ys])
    crossing = [v for equation in moved for v in equation.outputs if v in read]
    try:
        stacks = AllAtOnce(parts, flow, moved, (), {}, stacks_of(crossing)).append(outer)
    except NotImplementedError:  # a primitive without a batch rule
        return
    parts.equations = rest
    parts.xs += list(zip(crossing, stacks, strict=True))


def products_of_xs(flow: Flow, budget: Budget) -> list[Equation]:
    """The products to compute before the loop, and elementwise operations on their results alone."""
    moved: list[Equation] = []
    made: set[Atom] = set()
    for equation in flow.free:
        out = equation.outputs[0]
        if has_constant_factor(equation, flow):
            takes = budget.spend([out])
        else:
            replaced = [a for a in equation.inputs if a in made and flow.uses[a] == 1]
            is_small = any(bytes_of(a.type) >= bytes_of(out.type) for a in replaced)
            takes = equation.primitive.kind == "elementwise" and is_small
        if takes:
            moved.append(equation)
            made.update(equation.outputs)
    return moved


# --- sums of products after the loop ---


def take_sums(outer: Outer, parts: ScanParts, budget: Budget) -> Callable[[], None]:
    """Stack the factors of products that are only added up, in place of adding them up."""
    flow = Flow(parts)
    finder = SumFinder(parts.equations, flow.uses)
    found = [total for carry in parts.carries if (total := finder.find(carry)) is not None]
    # Products may be summed in any order; other sums that the user wrote keep theirs.
    found = [total for total in found if parts.equation.is_quiet or is_all_products(total)]
    # Sums of what is stacked anyway cost nothing, so those come last.
    found.sort(key=lambda total: not any(is_product(term.base) for term in total.terms))
    new: dict[Atom, Variable] = {}
    sums = [total for total in found if is_worth_stacking(total, flow, new, budget)]
    if not sums:
        return lambda: None
    given = {**flow.stacks, **new}
    terms = [term for total in sums for term in total.terms]
    operands = [atom for term in terms for atom in term.operands]

    def compute(batch: Batch, equations: list[Equation]) -> list[Any]:
        for equation in equations:
            batch.run(equation)
        return [sum_of_terms(batch, total, parts.equation) for total in sums]

    try:
        plan = AllAtOnce(parts, flow, [], operands, given, compute)
    except NotImplementedError:  # a primitive without a batch rule
        return lambda: None
    parts.ys += list(new.items())
    gone = {total.carry.variable for total in sums}
    parts.carries = [carry for carry in parts.carries if carry.variable not in gone]
    parts.set_body(eliminate_dead_code(parts.body))

    def finish() -> None:
        for (carry, _), result in zip(sums, plan.append(outer), strict=True):
            outer.replace(carry.final, added(outer, carry.start, result, parts.equation))

    return finish


def is_product(equation: Equation | None) -> bool:
    return equation is not None and isinstance(equation.primitive, Multilinear)


def is_all_products(total: Sum) -> bool:
    return all(is_product(term.base) for term in total.terms)


def is_worth_stacking(total: Sum, flow: Flow, new: dict[Atom, Variable], budget: Budget) -> bool:
    """Whether to stack what a sum is made of; if so, the stacks are added to `new`.

    An addition in the loop reads and writes the sum: to stack the factors must not move more than that.
    """
    if total.carry.start.type != total.carry.final.type:
        return False
    missing: dict[Atom, Variable] = {}
    for term in total.terms:
        if any(atom not in flow.varying for atom in term.operands):
            return False
        others = [a for a in term.operands if not flow.is_stacked(a) and a not in new]
        if others and not is_product(term.base):
            return False
        missing.update((a, Variable(stacked(a.type, budget.length))) for a in others)
    moved = sum(bytes_of(atom.type) for atom in missing)
    if moved > 2 * bytes_of(total.carry.final.type) or not budget.spend(missing):
        return False
    new.update(missing)
    return True


def stacked(type: ArrayType, length: int) -> ArrayType:
    return type.update(shape=(length, *type.shape))


def sum_of_terms(batch: Batch, total: Sum, like: Equation) -> Any:
    """What all iterations add together."""
    result = None
    for term in total.terms:
        if term.base is None:
            value = reduce_sum(batch.stack(term.value), 0)
        else:
            value = batch.sum(term.base)
        with as_in(like):
            for equation in term.maps:
                value = equation.primitive(value, **equation.params)
            if result is None:
                result = NEGATIVE(value) if term.is_negative else value
            else:
                result = (SUBTRACT if term.is_negative else ADD)(result, value)
    return result


def added(outer: Outer, start: Atom, total: Atom, like: Equation) -> Atom:
    """Where a sum ends; zeros at its start are no addend."""
    value = start if isinstance(start, Literal) else splat_value(outer.makers.get(start))
    if isinstance(value, Literal) and value.value == 0:
        return total
    return outer.apply(ADD, start, total, like=like)


# --- products after the loop ---


def take_products(outer: Outer, parts: ScanParts, budget: Budget) -> Callable[[], None]:
    """Products with constants that only ys need, and what is made of them, leave the loop."""
    flow = Flow(parts)
    moved = products_for_ys(parts, flow, budget)
    if not moved:
        return lambda: None
    made = {v for equation in moved for v in equation.outputs}
    leaving = [(y, stack) for y, stack in parts.ys if y in made]
    staying = {y: stack for y, stack in parts.ys if y not in made}
    for atom in border(moved, flow):
        staying.setdefault(atom, Variable(stacked(atom.type, budget.length)))
    variables: Any = [y for y, _ in leaving]
    try:
        plan = AllAtOnce(parts, flow, moved, (), staying, stacks_of(variables))
    except NotImplementedError:  # a primitive without a batch rule
        return lambda: None
    parts.ys = list(staying.items())
    parts.set_body(eliminate_dead_code(parts.body))

    def finish() -> None:
        results = plan.append(outer)
        for (_, stack), result in zip(leaving, results, strict=True):
            outer.replace(stack, result)

    return finish


def products_for_ys(parts: ScanParts, flow: Flow, budget: Budget) -> list[Equation]:
    """The equations to run after the loop: products, and all that is made of them."""
    late: list[Equation] = []
    made: set[Atom] = set()
    for equation in parts.equations:
        is_late = flow.feeding.isdisjoint(equation.outputs)
        is_carried = not flow.carried.isdisjoint(equation.outputs)
        is_product = is_late and is_carried and has_constant_factor(equation, flow)
        if is_product or not made.isdisjoint(equation.inputs):
            late.append(equation)
            made.update(equation.outputs)
    if not all(map(is_batchable, late)):
        return []
    freed = [y for y in flow.stacks if y in made]
    missing = [atom for atom in border(late, flow) if atom not in flow.stacks]
    return late if late and budget.spend(missing, freed) else []


def border(equations: list[Equation], flow: Flow) -> list[Any]:
    """What these equations read that others make in the loop."""
    made = {v for equation in equations for v in equation.outputs}
    read = dict.fromkeys(a for equation in equations for a in equation.inputs)
    return [atom for atom in read if atom in flow.carried and atom not in made]
