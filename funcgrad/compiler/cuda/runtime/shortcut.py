"""The short way to a graph: a call like the one before it, with addresses that are known."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cupy import ndarray

from funcgrad.compiler.cuda.runtime.call import Call
from funcgrad.compiler.cuda.runtime.outputs import free_set
from funcgrad.compiler.cuda.runtime.staging import BYTES, PACKING

if TYPE_CHECKING:
    from funcgrad.compiler.cuda.runtime.replay import Replay


class Shortcut:
    """Checks of a call, and what is left to do if it passes them; whatever it does not recognise takes the long way.

    Args:
        replay: whose graphs it uses.
        call: one that was replayed.
    """

    def __init__(self, replay: Replay, call: Call) -> None:
        self.replay = replay
        self.stream = call.stream
        self.sets = replay.sets[tuple(call.outputs_in_place)]
        self.in_place = list(call.outputs_in_place.items())
        self.is_array = [i not in call.numbers for i in range(len(call.inputs))]
        self.numbers = [(i, type(call.inputs[i])) for i in call.numbers]
        self.target = replay.memory_of_numbers(call) if call.numbers else 0
        self.copied = [
            (i, memory.ptr, replay.sizes[i])
            for i, memory in replay.copied.items()
            if self.is_array[i]
        ]
        self.variable = [
            i for i in range(len(call.inputs)) if i in replay.copied or i in call.numbers
        ]
        codes = [PACKING.get((kind, replay.types[i].dtype.char)) for i, kind in self.numbers]
        self.packer = struct.Struct("<" + "".join(map(str, codes))) if all(codes) else None
        self.is_usable = self.packer is not None and 16 * len(codes) <= BYTES

    def run(self, inputs: Sequence[Any], stream: Any) -> list[Any] | None:
        """The results of a call; None if it is not like the one that is known."""
        if not self.is_usable or stream.ptr != self.stream.ptr:
            return None
        addresses = []
        for x, is_array in zip(inputs, self.is_array, strict=True):
            if not is_array:
                addresses.append(0)
            elif isinstance(x, ndarray) and x._c_contiguous:
                addresses.append(x.data.ptr)
            else:
                return None
        for i, kind in self.numbers:
            if type(inputs[i]) is not kind:
                return None
        for _, i in self.in_place:
            if inputs[i].base is not None:
                return None
        return self.known(inputs, addresses)

    def known(self, inputs: Sequence[Any], addresses: list[int]) -> list[Any] | None:
        """Replay the graph for these addresses, if there is one."""
        replay = self.replay
        fresh = free_set(self.sets)
        if fresh is None:
            return None
        moves = [(target, addresses[i], size) for i, target, size in self.copied]
        for i in self.variable:
            addresses[i] = 0
        key = (*addresses, *[i for i, _ in self.numbers], id(fresh))
        found = replay.graphs.get(key)
        if found is None:
            return None
        if replay.executable.has_products:
            replay.device.claim_workspace(self.stream)
        stream = self.stream.ptr
        if moves or self.numbers:
            # Numbers that change come with a packer.
            numbers = self.packer.pack(*[inputs[i] for i, _ in self.numbers])  # type: ignore[union-attr]
            replay.stage(moves, numbers, self.target, stream)
        replay.hits += 1
        outs = fresh.lease()
        found.run(replay.device, stream)
        for output, number in self.in_place:
            outs[output] = inputs[number]
        return outs
