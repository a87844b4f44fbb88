"""One call: arrays of the caller as addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cupy

from funcgrad.compiler.cuda.program import VECTOR
from funcgrad.compiler.cuda.runtime.staging import number_bytes
from funcgrad.ir.types import ArrayType

ndarray = cupy.ndarray


class Call:
    """The arguments of one call.

    Args:
        inputs: arrays of the device, numbers, and random keys of the host.
        types: theirs.
        contiguous: copies an array into C order.

    Attributes:
        inputs: with copies of arrays that are not contiguous.
        addresses: of the arrays; 0 for what is on the host.
        numbers: what is on the host, as bytes, by the number of the input.
        copies: numbers of the inputs that were copied.
        unaligned: numbers of the inputs that do not allow the widest accesses.
        outputs_in_place: by the number of an output, that of the donated input that it replaces.
        taken: numbers of those inputs.
        stream: of the caller.
        is_begun: whether anything was launched.
    """

    __slots__ = (
        "addresses",
        "copies",
        "inputs",
        "is_begun",
        "numbers",
        "outputs_in_place",
        "stream",
        "taken",
        "unaligned",
    )

    def __init__(
        self,
        inputs: Sequence[Any],
        types: Sequence[ArrayType],
        contiguous: Callable[[Any], Any],
        stream: Any,
    ) -> None:
        self.inputs = list(inputs)
        self.addresses: list[int] = []
        self.numbers: dict[int, bytes] = {}
        self.copies: set[int] = set()
        self.stream = stream
        self.is_begun = False
        unaligned = 0
        for i, x in enumerate(inputs):
            if isinstance(x, ndarray):
                if not x._c_contiguous:
                    self.inputs[i] = x = contiguous(x)
                    self.copies.add(i)
                address = x.data.ptr
                unaligned |= address % VECTOR
            else:
                address = 0
                self.numbers[i] = number_bytes(x, types[i].dtype)
            self.addresses.append(address)
        self.unaligned: tuple[int, ...] = ()
        if unaligned:
            self.unaligned = tuple([i for i, a in enumerate(self.addresses) if a % VECTOR])
        self.outputs_in_place: dict[int, int] = {}
        self.taken: frozenset[int] = frozenset()

    def take_over(self, in_place: dict[int, int]) -> None:
        """Let outputs lie in the memory of inputs: of arrays that own theirs, and are nowhere else in the call."""
        if not in_place:
            return
        self.outputs_in_place = {k: i for k, i in in_place.items() if self.may_be_replaced(i)}
        self.taken = frozenset(self.outputs_in_place.values())
        owners = [x if x.base is None else x.base for x in self.inputs if isinstance(x, ndarray)]
        places = [owner.data.ptr for owner in owners if owner.size]
        if len(set(places)) == len(places):
            return
        for i in self.taken:
            if places.count(self.addresses[i]) > 1:
                raise shared(self.inputs[i])

    def may_be_replaced(self, number: int) -> bool:
        if number in self.numbers or number in self.copies or number in self.unaligned:
            return False
        return self.inputs[number].base is None

    def layout(self) -> tuple[dict[int, int], int]:
        """Where each number lies in the memory of all, and how large that is."""
        places, top = {}, 0
        for i, data in self.numbers.items():
            places[i] = top
            top += len(data)
        return places, top


def shared(array: Any) -> ValueError:
    """The error for a donated array that is passed once more."""
    return ValueError(
        f"[jit] a donated argument ({array.dtype.name}{list(array.shape)}) shares memory with another argument. "
        "Pass a copy: x.copy()."
    )
