"""Rare lanes: a scalar helper function of the module redoes those that the branch-free code cannot."""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compiler.llvm.mathlib.number import Number
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
        redone = function.load(result.type, slots[-1], 64)
        inside = function.block
    text = f"phi {result.type} [{result.value.text}, %{before.label}], [{redone.text}, %{inside.label}]"
    return Number(function, function.emit(result.type, text))


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
