"""Loop-invariant code motion: what is the same in every iteration of a loop is computed once, before it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from funcgrad.compiler.passes.cost import bytes_of, is_cheap, size_of
from funcgrad.compiler.passes.loop_parts import Outer, ScanParts, WhileParts
from funcgrad.ir.program import Atom, Equation, Literal, Variable, has_effect
from funcgrad.ops.families import Multilinear
from funcgrad.ops.matmul import DOT_GENERAL
from funcgrad.ops.shape import TRANSPOSE

# A cheap operation on more elements than this stays in the loop, unless its result is smaller than its operands:
# to read the result costs as much as to compute it.
FEW = 4096

LARGE = 4096  # elements of a matrix that is not copied in every iteration
FEW_ROWS = 4  # up to which products read it as it is


def hoist_from_scan(outer: Outer, parts: ScanParts) -> None:
    """Move invariant equations of the body before the loop."""
    _hoist(outer, parts, is_certain=bool(parts.length))
    turn_fixed_operands(outer, parts)


def hoist_from_while(outer: Outer, parts: WhileParts) -> None:
    """Move invariant equations of the body before the loop, if they can neither fail nor warn."""
    _hoist(outer, parts, is_certain=False)


def _hoist(outer: Outer, parts: ScanParts | WhileParts, is_certain: bool) -> None:
    known: dict[Atom, Atom] = {v: atom for v, atom in parts.consts if v.type == atom.type}
    invariant: list[Equation] = []
    made: set[Atom] = set(known)
    for equation in parts.equations:
        is_fixed = all(isinstance(atom, Literal) or atom in made for atom in equation.inputs)
        if is_fixed and may_move(equation, is_certain):
            invariant.append(equation)
            made.update(equation.outputs)
    chosen = [equation for equation in invariant if is_worth_moving(equation)]
    if not chosen:
        return
    for equation in ancestors(invariant, [v for e in chosen for v in e.outputs]):
        outputs = [Variable(variable.type) for variable in equation.outputs]
        inputs = [known.get(atom, atom) for atom in equation.inputs]
        # A `while` might not run at all: then what it would have warned of must not warn.
        outer.append(equation.replace(inputs, outputs, is_quiet=not is_certain))
        known.update(zip(equation.outputs, outputs, strict=True))
    gone = set(map(id, chosen))
    parts.equations = [equation for equation in parts.equations if id(equation) not in gone]
    parts.consts += [(v, known[v]) for equation in chosen for v in equation.outputs]


def turn_fixed_operands(outer: Outer, parts: ScanParts) -> None:
    """Turn large matrices that each iteration multiplies by from the right, and reads along their rows.

    Then they lie as products read them fastest, and not every iteration copies them.
    """
    known = dict(parts.consts)
    turned: dict[Atom, Variable] = {}
    for number, equation in enumerate(parts.equations):
        if equation.primitive is not DOT_GENERAL or not is_turned(equation):
            continue
        x, y = equation.inputs
        if (
            y not in known
            or y.type != known[y].type
            or size_of(x.type) < FEW_ROWS * x.type.shape[-1]
        ):
            continue
        if y not in turned:
            outside = outer.apply(TRANSPOSE, known[y], like=equation, permutation=(1, 0))
            turned[y] = Variable(outside.type)
            parts.consts.append((turned[y], outside))
        params = {**equation.params, "contract": (equation.params["contract"][0], (0,))}
        parts.equations[number] = Equation(
            DOT_GENERAL,
            [x, turned[y]],
            equation.outputs,
            params,
            equation.source,
            equation.is_quiet,
        )


def is_turned(equation: Equation) -> bool:
    """Whether a product reads the whole of a large second matrix along its rows."""
    y, params = equation.inputs[1].type, equation.params
    is_large = len(y.shape) == 2 and size_of(y) >= LARGE
    return is_large and params["contract"][1] == (1,) and not params["batch"][1]


def ancestors(
    equations: list[Equation], wanted: Iterable[Atom], given: Container[Atom] = ()
) -> list[Equation]:
    """Those of the equations that compute the wanted values from what is given, in order."""
    needed = set(wanted)
    found = []
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.outputs):
            found.append(equation)
            needed.update(atom for atom in equation.inputs if atom not in given)
    return found[::-1]


def may_move(equation: Equation, is_certain: bool) -> bool:
    """Whether an equation may run although the loop might not; without effects and, then, without errors."""
    primitive = equation.primitive
    if has_effect(equation):
        return False
    is_total = primitive.kind in ("elementwise", "index_map", "reduction")
    return is_certain or is_total or isinstance(primitive, Multilinear)


def is_worth_moving(equation: Equation) -> bool:
    """Whether to compute an equation once saves more than to read its result in every iteration costs."""
    primitive = equation.primitive
    if primitive.kind == "index_map":
        return False
    if not is_cheap(primitive):
        return True
    made = equation.outputs[0].type
    read = sum(bytes_of(atom.type) for atom in equation.inputs if isinstance(atom, Variable))
    return size_of(made) <= FEW or bytes_of(made) < read
