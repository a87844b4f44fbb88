"""What a loop in a block carries from one iteration to the next: two places of each array, which change roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import Plan, nbytes

if TYPE_CHECKING:
    from funcgrad.compiler.cuda.steps.block_writer import BlockWriter


class BlockLoop:
    """What a loop carries, in two places each: what an iteration reads, and what it writes.

    Attributes:
        now, next: these places, as variables.
    """

    def __init__(
        self, writer: BlockWriter, step: Step, body: Plan, carry: Sequence[Node], first: int
    ) -> None:
        self.writer = writer
        self.step = step
        self.carry = carry
        self.now: list[str] = []
        self.next: list[str] = []
        kernel, block = writer.kernel, writer.block
        in_place = body.in_place_carries(first, len(carry))
        for number, node in enumerate(carry):
            start = kernel.room(nbytes(node))
            writer.copy(start, writer.operand(node), node)
            if number in in_place:
                self.now.append(start)
                self.next.append(start)
                continue
            now, following = kernel.names("now"), kernel.names("next")
            block.add(f"char *{now} = {start}, *{following} = {kernel.room(nbytes(node))};")
            self.now.append(now)
            self.next.append(following)
        writer.synchronize()

    def swap(self, inside: Block) -> None:
        """What was written is what the next iteration reads."""
        for now, following in zip(self.now, self.next, strict=True):
            if now != following:
                inside.add(f"{{ char *s = {now}; {now} = {following}; {following} = s; }}")

    def finish(self) -> None:
        """Copy what is carried last to where the results are."""
        for number, node in enumerate(self.carry):
            result = self.writer.result(self.step, number)
            if result is not None:
                self.writer.copy(result, self.now[number], node)
