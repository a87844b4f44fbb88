"""Rare lanes: redone one by one where the branch-free code cannot do them; or outside of a function's domain."""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.mathlib.number import Number, select, sqrt
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant

Scalar = Callable[..., Number]


def redo(
    name: str, is_rare: Callable[..., Number], formula: Scalar, result: Number, *inputs: Number
) -> Number:
    """`result`, but `formula` of the inputs in the lanes where `is_rare` of the inputs holds.

    Args:
        name: of the helper function; with the type of an element it names one formula in all programs.
        is_rare: from Numbers to a condition, for vectors and scalars.
        formula: from scalar Numbers to a Number; may branch.
        result: what the branch-free code made of the inputs.

    Returns:
        The result of all lanes.
    """
    function = result.function
    element = result.element
    symbol = f"fg_{name}_{element}"
    if not function.module.defines(symbol):
        write_helper(function.module, symbol, element, is_rare, formula, len(inputs))
    before = function.block
    slots = [function.alloca(x.type) for x in (*inputs, result)]
    with function.when(is_rare(*inputs).is_any().value):
        for x, slot in zip((*inputs, result), slots, strict=True):
            function.store(x.value, slot, 64)
        lanes = constant("i64", max(result.lanes, 1))
        function.call(symbol, "void", [*slots, lanes])
        redone = Number(function, function.load(result.type, slots[-1], 64))
        inside = function.block
    return merged(result, before, redone, inside)


def outside_of_domain(
    x: Number, result: Number, is_invalid: Number, is_pole: Number | None = None
) -> Number:
    """`result`, but NaN in some lanes and -inf in others, where the CPU notes that so that NumPy's warnings are given.

    Args:
        x: any number; 0 where there is a pole.
        result: what the branch-free code made of it.
        is_invalid: where there is no value.
        is_pole: where the value is infinite.
    """
    if not host().triple.startswith("x86_64"):  # nobody looks for events there
        result = select(is_invalid, math.nan, result)
        return result if is_pole is None else select(is_pole, -math.inf, result)
    function = result.function
    before, is_outside = function.block, is_invalid if is_pole is None else is_invalid | is_pole
    with function.when(is_outside.is_any().value):
        # Of numbers that LLVM does not know, for it would work out what it knows and leave no event.
        replaced = select(is_invalid, sqrt(select(is_invalid, -1.0 - abs(x), 1.0)), result)
        if is_pole is not None:
            replaced = select(is_pole, -1.0 / select(is_pole, abs(x), 1.0), replaced)
        inside = function.block
    return merged(result, before, replaced, inside)


def merged(usual: Number, before: Block, rare: Number, inside: Block) -> Number:
    """What comes out of a branch that is mostly passed by."""
    text = f"phi {usual.type} [{usual.value.text}, %{before.label}], [{rare.value.text}, %{inside.label}]"
    return Number(usual.function, usual.function.emit(usual.type, text))


def write_helper(
    module, symbol: str, element: str, is_rare: Callable[..., Number], formula: Scalar, count: int
) -> None:
    """`void symbol(ptr inputs..., ptr result, i64 lanes)`."""
    helper = module.function(symbol, "void", ["ptr"] * (count + 1) + ["i64"], "internal")
    helper.attributes += " noinline cold"
    *slots, lanes = helper.arguments
    with helper.loop(Value("i64", "0"), lanes) as loop:
        addresses = [helper.gep(slot, loop.index, element) for slot in slots]
        values = [Number(helper, helper.load(element, address)) for address in addresses[:-1]]
        with helper.when(is_rare(*values).value):
            helper.store(formula(*values).value, addresses[-1])
    helper.ret()
