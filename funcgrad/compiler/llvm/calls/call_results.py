"""The part of a plan that makes results: memory for the outputs of the program, and the tree that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from funcgrad.compiler.llvm.calls.call_arguments import ArraySlot, described
from funcgrad.compiler.llvm.calls.call_plan import NativeProgram, Op, Plan
from funcgrad.tree.node_types import NamedTupleNode
from funcgrad.tree.nodes import LEAF, Node, Structure, Tie
from funcgrad.tree.treedef import PyTreeDef


def run(plan: Plan, donated: Sequence[ArraySlot] = (), name: str = "") -> list[int]:
    """Run the program on new arrays; the slots of its outputs. Those without dimensions become NumPy scalars.

    Args:
        plan: where to write.
        donated: arguments that are given up.
        name: of the function that takes them.
    """
    program = plan.program
    first = len(program.input_types)
    slots: dict[int, int] = {}
    numbers: dict[int, int] = {}
    sources = _sources(program, donated) if donated else {}
    for number, type_ in enumerate(program.output_types):
        if type_.shape:
            dtype, *shape = described(plan, type_)
            operands = [first + number, dtype, type_.size * type_.dtype.itemsize, *shape]
            if number in sources:
                array = sources[number]
                spared = program.spared.ctypes.data
                plan.write(Op.TAKE, array.slot, array.references, spared, *operands)
            else:
                plan.write(Op.ALLOCATE, *operands)
            slots[number] = plan.append()
        else:
            numbers[number] = plan.reserve(-(-type_.dtype.itemsize // 8))
            plan.write(Op.SPACE, first + number, numbers[number])
    if donated:
        given = [array.slot for array in donated]
        note = (plan.reference(name), program.spared.ctypes.data)
        plan.write(Op.GIVE, *note, len(given), *given)
    handler = plan.reference(program.handle)
    plan.need()  # for an error code
    plan.write(Op.RUN, program.address, 0, first, handler, int(program.releases_gil))
    for number, space in numbers.items():
        plan.write(Op.SCALAR, space, plan.reference(program.output_types[number].dtype))
        slots[number] = plan.append()
    return [slots[number] for number in range(len(program.output_types))]


def _sources(program: NativeProgram, donated: Sequence[ArraySlot]) -> dict[int, ArraySlot]:
    """The arrays whose memory outputs may take."""
    known = {array.number: array for array in donated}
    return {output: known[number] for output, number in program.in_place if number in known}


def make_tree(
    plan: Plan, treedef: PyTreeDef, leaves: list[Any], outputs: Mapping[int, int]
) -> None:
    """Build the result and return it.

    Args:
        plan: where to write.
        treedef: structure of the result.
        leaves: its static leaves at their places.
        outputs: leaf number -> slot; the other leaves are static.
    """
    if any(isinstance(part, Node) and part.same_as is not None for part in _parts(treedef.root)):
        _leave_to_python(plan, treedef, leaves, outputs)
    else:
        _TreeMaker(plan, leaves, outputs).visit(treedef.root)
    plan.write(Op.RETURN)


def _parts(part: Structure) -> Any:
    yield part
    if isinstance(part, Node):
        for child in part.children:
            yield from _parts(child)


def _leave_to_python(
    plan: Plan, treedef: PyTreeDef, leaves: list[Any], outputs: Mapping[int, int]
) -> None:
    """Instances that occur twice: the function that trees have for this."""
    maker = _TreeMaker(plan, leaves, outputs)
    for index in range(len(leaves)):
        maker.leaf(index)
    maker.join(Op.MAKE_LIST, len(leaves))
    maker.join(Op.APPLY, 1, plan.reference(treedef.unflatten))


class _TreeMaker:
    """Writes a tree from its leaves upwards."""

    def __init__(self, plan: Plan, leaves: list[Any], outputs: Mapping[int, int]) -> None:
        self.plan = plan
        self.leaves = leaves
        self.outputs = outputs
        self.used = 0

    def visit(self, part: Structure) -> None:
        if part is LEAF:
            self.leaf(self.used)
            self.used += 1
        elif isinstance(part, Tie):
            self.leaf(part.index)
        elif isinstance(part, Node):
            self.container(part)

    def leaf(self, index: int) -> None:
        if index in self.outputs:
            self.plan.write(Op.COPY, self.outputs[index])
            self.plan.append()
        else:
            self.constant(self.leaves[index])

    def constant(self, value: Any) -> None:
        self.plan.write(Op.CONSTANT, self.plan.reference(value))
        self.plan.append()

    def join(self, op: Op, count: int, *operands: int) -> None:
        """Let the last values become one."""
        self.plan.need()
        self.plan.write(op, count, *operands)
        self.plan.remove(count)
        self.plan.append()

    def container(self, node: Node) -> None:
        kind, reference, count = node.kind, self.plan.reference, len(node.children)
        if kind.access == "none":
            self.constant(None)
            return
        is_built_here = kind.cls in (tuple, list, dict) or isinstance(kind, NamedTupleNode)
        if not is_built_here:
            self.constant(node.aux)
        for child in node.children:
            self.visit(child)
        if kind.cls is list:
            self.join(Op.MAKE_LIST, count)
        elif kind.cls is dict:
            names = dict.fromkeys(node.aux)
            self.join(Op.MAKE_DICT, count, reference(names), *map(reference, node.aux))
        elif isinstance(kind, NamedTupleNode):
            self.join(Op.MAKE_NAMED, count, reference(kind.cls))
        else:
            self.join(Op.MAKE_TUPLE, count)
            if not is_built_here:
                self.join(Op.APPLY, 2, reference(kind.unflatten))
