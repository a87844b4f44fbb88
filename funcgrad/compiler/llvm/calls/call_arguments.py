"""The part of a plan that recognises a call: its arguments, and what was assumed about the world outside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import CellType
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compiler.llvm.calls.call_plan import Op, Plan, Unsupported
from funcgrad.compiler.llvm.calls.cpython import number_inside
from funcgrad.ir.types import ArrayType
from funcgrad.tree.flatten_code import checked_split, is_dict_with_text_keys
from funcgrad.tree.node_types import AttributeNode
from funcgrad.tree.nodes import LEAF, Node, Structure, Tie
from funcgrad.tree.treedef import PyTreeDef

# How many references an array may have that belongs to nobody but the caller: one in a variable of his, and one more on
# the stack of the interpreter, which since 3.14 does not need it where the variable is local; for an array in a
# container, one in that and one in its slot.
ARGUMENT_REFERENCES = 2 if sys.version_info < (3, 14) else 1
ITEM_REFERENCES = 2

PLAIN = (str, int, bool, bytes)  # static values that are equal if == says so
MAX_DEPTH = 20


class ArraySlot(NamedTuple):
    """An argument that is an array.

    Attributes:
        slot: where it is.
        number: which input of the program it is.
        references: how many it has if nobody but the caller has any.
    """

    slot: int
    number: int
    references: int


def check_tree(
    plan: Plan,
    slot: int,
    treedef: PyTreeDef,
    leaves: list[Any],
    inputs: Mapping[int, int],
    test: Callable[[Any], Callable[[Any], bool] | None],
) -> list[ArraySlot]:
    """Check one argument and find its arrays.

    Args:
        plan: where to write.
        slot: where the argument is.
        treedef: its structure.
        leaves: those of an example.
        inputs: leaf number -> input of the program; the other leaves are static.
        test: for a static leaf, a function that tells whether another value is equal; None for identity.

    Returns:
        Those arrays.
    """
    reader = _TreeReader(plan)
    reader.visit(treedef.root, slot, ARGUMENT_REFERENCES)
    found = []
    for index, (leaf, place) in enumerate(zip(leaves, reader.leaves, strict=True)):
        if index not in inputs:
            check_static(plan, place, leaf, test)
            continue
        check_array(plan, place, leaf, inputs[index])
        if type(leaf) is np.ndarray:
            found.append(ArraySlot(place, inputs[index], reader.references[index]))
    arrays = [s for s, leaf in zip(reader.leaves, leaves, strict=True) if type(leaf) is np.ndarray]
    _check_distinct(plan, arrays)
    _check_distinct(plan, reader.instances)
    return found


class _TreeReader:
    """Takes a tree apart into slots."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.leaves: list[int] = []
        self.references: list[int] = []
        self.instances: list[int] = []

    def visit(self, part: Structure, slot: int, references: int) -> None:
        plan = self.plan
        if part is LEAF:
            self.leaves.append(slot)
            self.references.append(references)
        elif isinstance(part, Tie):
            plan.write(Op.SAME, slot, self.leaves[part.index])
            self.references[part.index] += references
        elif isinstance(part, Node):
            if part.same_as is not None:
                plan.write(Op.SAME, slot, self.instances[part.same_as])
                return
            if part.kind.identity:
                self.instances.append(slot)
            places, references = self.children(part, slot)
            for child, place in zip(part.children, places, strict=True):
                self.visit(child, place, references)

    def children(self, node: Node, slot: int) -> tuple[Sequence[int], int]:
        """Check the container itself; the slots of its children, and how many references each of them has then."""
        plan, kind, count = self.plan, node.kind, len(node.children)
        references = ITEM_REFERENCES
        if kind.access == "none":
            plan.write(Op.IS, slot, plan.reference(None))
            return [], references
        plan.write(Op.TYPE, slot, plan.reference(kind.cls))
        if kind.access == "sequence":
            plan.write(Op.LIST if kind.cls is list else Op.TUPLE, slot, count)
        elif is_dict_with_text_keys(node):
            plan.write(Op.DICT, slot, count, *map(plan.reference, node.aux))
        elif isinstance(kind, AttributeNode):
            return self.attributes(node, kind, slot), references
        else:
            plan.write(Op.CALL, slot, plan.reference(checked_split(node)))
            parts = plan.append()
            plan.write(Op.TYPE, parts, plan.reference(tuple))
            plan.write(Op.TUPLE, parts, count)
            references += 1  # from the tuple, which lives as long as its slot
        first = plan.append(count)
        return range(first, first + count), references

    def attributes(self, node: Node, kind: AttributeNode, slot: int) -> list[int]:
        plan = self.plan
        if isinstance(kind.aux_of, attrgetter):
            plan.write(Op.ATTRIBUTE, slot, plan.reference(_attribute_name(kind.aux_of)))
        else:
            plan.write(Op.CALL, slot, plan.reference(kind.aux_of))
        plan.write(Op.DATA, plan.append(), plan.reference(node.aux))
        places = []
        for name in kind.names_of(node.aux):
            plan.write(Op.ATTRIBUTE, slot, plan.reference(name))
            places.append(plan.append())
        return places


def _attribute_name(getter: attrgetter) -> str:
    names = getter.__reduce__()[1]
    if len(names) != 1 or "." in names[0]:
        raise Unsupported("static data that are several attributes")
    return names[0]


def _check_distinct(plan: Plan, slots: list[int]) -> None:
    if len(slots) > 1:
        bits = (2 * len(slots) - 1).bit_length()
        plan.write(Op.DISTINCT, len(slots), bits, plan.reserve(1 << bits), *slots)


def check_donated(plan: Plan, given: Sequence[ArraySlot], others: Sequence[ArraySlot]) -> None:
    """Arrays own the memory that is given up with them, and share it with no other argument."""
    for array in given:
        plan.write(Op.OWNED, array.slot)
    slots = [array.slot for array in (*given, *others)]
    if len(slots) > 1:
        bits = (2 * len(given)).bit_length()
        plan.write(Op.APART, len(given), len(others), bits, plan.reserve(1 << bits), *slots)


def check_array(plan: Plan, slot: int, example: Any, number: int) -> None:
    """The value is an array or number of the type of this input of the program."""
    cls, type_ = type(example), plan.program.input_types[number]
    if cls is np.ndarray:
        plan.write(Op.ARRAY, slot, number, *described(plan, type_))
    elif cls is int or cls is bool:
        op = Op.INTEGER if cls is int else Op.BOOLEAN
        plan.write(op, slot, number, plan.reserve(1))
    elif (isinstance(example, np.generic) or cls in (float, complex)) and number_inside(example):
        plan.write(Op.NUMBER, slot, number, plan.reference(cls))
    else:
        raise Unsupported(f"argument of type {cls.__name__}")


def described(plan: Plan, type_: ArrayType) -> list[int]:
    """An array type as operands: dtype, number of dimensions, shape."""
    if not all(isinstance(length, int) for length in type_.shape):
        raise Unsupported("length known at run time")
    return [plan.reference(type_.dtype), len(type_.shape), *type_.shape]


def check_static(
    plan: Plan, slot: int, value: Any, test: Callable[[Any], Callable[[Any], bool] | None]
) -> None:
    """The value is static and equal to this one."""
    if type(value) in PLAIN:
        plan.write(Op.EQUAL, slot, plan.reference(value))
        return
    is_equal = test(value)
    if is_equal is None:
        plan.write(Op.IS, slot, plan.reference(value))
    else:
        _check_that(plan, slot, is_equal)


def _check_that(plan: Plan, slot: int, test: Callable[[Any], bool]) -> None:
    """A Python function of the value returns True."""
    plan.write(Op.CALL, slot, plan.reference(test))
    plan.write(Op.IS, plan.append(), plan.reference(True))


def check_outside(plan: Plan, value: Any, test: Callable[[Any], bool]) -> None:
    """A Python function of an object that is no argument returns True."""
    _check_that(plan, _constant(plan, value), test)


def _constant(plan: Plan, value: Any) -> int:
    plan.write(Op.CONSTANT, plan.reference(value))
    return plan.append()


def check_captured(plan: Plan, array: Any, number: int) -> None:
    """An array that is an input of the program without being an argument; its data may have moved."""
    check_array(plan, _constant(plan, array), array, number)


def check_name(plan: Plan, cell: CellType | None, namespace: dict, name: str, value: Any) -> None:
    """A closure cell or global still means the same object."""
    if cell is not None:
        plan.write(Op.CELL, plan.reference(cell), plan.reference(value))
        return
    where = (plan.reference(namespace), plan.reference(name))
    plan.write(Op.GLOBAL, *where, plan.reference(value))


def check_contents(plan: Plan, container: Any, arrays: frozenset[int]) -> bool:
    """The arrays with these ids are still at their places in nested dicts, lists and tuples.

    Returns:
        False if they are not all found in such a container; then nothing is checked.
    """
    paths: dict[int, tuple[Path, Any]] = {}
    _find(container, arrays, (), paths, set())
    if len(paths) < len(arrays):
        return False
    root = _constant(plan, container)
    for path, array in paths.values():
        slot = root
        for parent, key in path:
            slot = _step(plan, slot, parent, key)
        plan.write(Op.IS, slot, plan.reference(array))
    return True


Path = tuple[tuple[Any, Any], ...]  # of containers and the keys of what they hold


def _find(
    value: Any, arrays: frozenset[int], path: Path, found: dict[int, Any], seen: set[int]
) -> None:
    """Paths to the arrays with these ids."""
    if id(value) in arrays:
        found.setdefault(id(value), (path, value))
    elif type(value) in (dict, list, tuple) and id(value) not in seen and len(path) < MAX_DEPTH:
        seen.add(id(value))
        for key, child in value.items() if type(value) is dict else enumerate(value):
            if type(value) is not dict or type(key) is str:
                _find(child, arrays, (*path, (value, key)), found, seen)


def _step(plan: Plan, slot: int, parent: Any, key: Any) -> int:
    plan.write(Op.TYPE, slot, plan.reference(type(parent)))
    if type(parent) is dict:
        plan.write(Op.ITEM, slot, plan.reference(key))
    elif type(parent) is list:
        plan.write(Op.ELEMENT, slot, key)
    else:
        plan.write(Op.TUPLE, slot, len(parent))
        return plan.append(len(parent)) + key
    return plan.append()
