"""The units of a plan as calls of functions in a kernel of one block, with loops and branches between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcgrad.compiler.cuda.kernels.blocks import block_function
from funcgrad.compiler.cuda.kernels.scalars import memory_type, sections
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.cuda.steps import scatters, updates
from funcgrad.compiler.cuda.steps.block_kernel import BlockKernel
from funcgrad.compiler.cuda.steps.block_loop import BlockLoop
from funcgrad.compiler.cuda.steps.plain_products import block_product
from funcgrad.compiler.cuda.steps.text import each, function
from funcgrad.compiler.lowering.dot_spec import dot_spec, simplified
from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.graph import Node, Result, Step
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan, memory_of, nbytes
from funcgrad.compiler.lowering.ragged import is_ragged
from funcgrad.compiler.lowering.views import located

COUNT_BYTES = 8  # numbers of iterations are int64


def points_of(kernel: Kernel) -> int:
    """How many points the loops of a kernel go through."""
    if kernel.is_tiny:
        return sum(node.type.size for node in kernel.members)
    return math.prod(kernel.domain)


class BlockWriter:
    """Writes the units of one plan into a kernel of one block.

    Args:
        kernel: the kernel.
        plan: what to write.
        inputs, outputs: where the arrays are, as C expressions.
        block: where the statements go.
    """

    def __init__(
        self,
        kernel: BlockKernel,
        plan: Plan,
        inputs: Sequence[str],
        outputs: Sequence[str],
        block: Block,
    ) -> None:
        self.kernel = kernel
        self.plan = plan
        self.inputs = inputs
        self.outputs = outputs
        self.block = block
        self.arena = kernel.room(plan.arena)

    def write(self) -> None:
        """Write everything; afterwards all threads see it."""
        for unit in self.plan.units:
            self.write_unit(unit)
        for number, node in self.plan.copies:
            self.copy(self.outputs[number], self.pointer(node), node)
        if self.plan.copies:
            self.synchronize()

    def write_unit(self, unit: PlannedUnit) -> None:
        with self.kernel.released():
            if isinstance(unit, Kernel):
                self.write_kernel(unit)
            else:
                assert isinstance(unit, Step)
                WRITERS[unit.how](self, unit)
        self.synchronize()

    def synchronize(self) -> None:
        self.block.add("__syncthreads();")

    def copy(self, target: str, source: str, node: Node) -> None:
        self.kernel.copy(self.block, target, source, nbytes(node), node.dtype.itemsize)

    # --- memory ---

    def pointer(self, node: Node) -> str:
        """The memory of a node."""
        if not node.type.size:
            return self.arena
        place = self.plan.places[node]
        if place.kind == "input":
            return self.inputs[place.number]
        if place.kind == "output":
            return self.outputs[place.number]
        return f"({self.arena} + {place.number})"

    def operand(self, node: Node) -> str:
        """The memory of a contiguous operand of a step."""
        if node in self.plan.in_memory:
            return self.pointer(node)
        found = located(node)
        assert found is not None
        return f"({self.pointer(found.base)} + {found.offset * node.dtype.itemsize})"

    def result(self, step: Step, number: int) -> str | None:
        """The memory of a result of a step; None if nobody reads it."""
        node = step.results[number]
        return self.pointer(node) if node in self.plan.places else None

    # --- units ---

    def write_kernel(self, kernel: Kernel) -> None:
        name, text, prelude, keys = block_function(kernel, self.plan.in_memory)
        self.kernel.prelude |= prelude
        self.kernel.want_threads(points_of(kernel))
        parts = {key: self.kernel.room(key[-1]) for key in keys if not isinstance(key, Node)}
        pointers = [parts[key] if key in parts else self.pointer(key) for key in keys]
        self.kernel.call(self.block, (name, text), pointers)

    def write_dot(self, step: Step) -> None:
        places = [memory_of(step, operand, self.plan.in_memory) for operand in step.operands]
        spec = simplified(dot_spec(step, *places))
        out = self.result(step, 0)
        assert out is not None
        if not spec.batches * spec.m * spec.n:
            return
        size = spec.dtype.itemsize
        operands = [f"({self.pointer(found.base)} + {found.offset * size})" for found in places]
        name, text, prelude = block_product(spec)
        self.kernel.prelude |= prelude
        self.kernel.want_threads(min(256, spec.products // 16))
        self.kernel.call(self.block, (name, text), [*operands, out])

    def begin_change(self, step: Step) -> tuple[str, Sequence[Node]]:
        """The result of a step that changes some elements of an array, filled with what they are before, and the
        operands that say how."""
        out, type = self.result(step, 0), step.types[0]
        assert out is not None
        self.kernel.prelude |= sections(type.dtype) | {"combine"}
        self.kernel.want_threads(type.size)
        if "fill" not in step.params:
            self.copy(out, self.operand(step.operands[0]), step.operands[0])
            self.synchronize()
            return out, step.operands[1:]
        body = updates.fill_body(type, step.params["fill"], True)
        found = function("block_fill", (f"{memory_type(type.dtype)}* out",), body)
        self.kernel.call(self.block, found, [out])
        self.synchronize()
        return out, step.operands

    def write_update(self, step: Step) -> None:
        """A window of an array replaced."""
        type, (out, (changed, *starts)) = step.types[0], self.begin_change(step)
        if not changed.type.size:
            return
        types = [node.type for node in starts]
        inside = updates.window_element(type, changed.type, types)
        body = each(changed.type.size, inside, of_block=True)
        found = function("block_update", updates.pointers_of(type, types), body)
        operands = [self.operand(node) for node in (changed, *starts)]
        self.kernel.call(self.block, found, [out, *operands])

    def write_scatter(self, step: Step) -> None:
        """Some rows combined with updates."""
        out, (changed, *indices) = self.begin_change(step)
        rows = scatters.rows_of(step, indices)
        if rows.count * rows.width * rows.total:
            found = rows.block_function(step.params["unique"])
            operands = [self.operand(node) for node in (changed, *indices)]
            self.kernel.call(self.block, found, [out, *operands])

    # --- control flow ---

    def write_scan(self, step: Step) -> None:
        """Iterations with what they carry in two places that change roles."""
        params, (body,) = step.params, self.plan.inner[step]
        start = int(params["length"] is None)
        first = start + params["num_consts"]
        last = first + params["num_carry"]
        count = str(params["length"])
        if start:
            count = f"*(const long long *){self.operand(step.operands[0])}"
        consts = [self.operand(node) for node in step.operands[start:first]]
        loop = BlockLoop(self, step, body, step.operands[first:last], params["num_consts"])
        number, place = self.kernel.names("n"), self.kernel.names("i")
        limit = self.kernel.names("count")
        self.block.add(f"const long long {limit} = {count};")
        head = f"for (long long {number} = 0; {number} < {limit}; {number}++)"
        inside = self.block.open(head)
        at = f"{limit} - 1 - {number}" if params["reverse"] else number
        inside.add(f"const long long {place} = {at};")
        elements = zip(
            step.operands[last:], body.graph.inputs[first - start + last - first :], strict=True
        )
        xs = [self.element(x, nbytes(element), place, inside) for x, element in elements]
        ys = self.stacked(step, body, last - first, place)
        inputs = [*consts, *loop.now, *xs]
        BlockWriter(self.kernel, body, inputs, [*loop.next, *ys], inside).write()
        loop.swap(inside)
        loop.finish()

    def element(self, x: Node, size: int, place: str, inside: Block) -> str:
        """Where an iteration finds its element of a stacked operand."""
        if isinstance(x, Result) and x.step.how == "run_time_iota":
            slot = self.kernel.room(COUNT_BYTES)
            inside.add(f"if (threadIdx.x == 0) *(long long *){slot} = {place};")
            inside.add("__syncthreads();")
            return slot
        base = self.stack(x, size) if is_ragged(x.shape) else self.operand(x)
        return f"({base} + {place} * {size})"

    def stack(self, node: Node, size: int) -> str:
        """The memory of a stack of unknown length; what fills one is no part of a block."""
        raise AssertionError(f"{node}: a stack of elements of {size} bytes inside of a block")

    def stacked(self, step: Step, body: Plan, first: int, place: str) -> list[str]:
        """Where an iteration writes its parts of the stacked results, from a number on."""
        found = []
        for number in range(first, len(body.graph.outputs)):
            size, result = nbytes(body.graph.outputs[number]), self.result(step, number)
            found.append(
                self.kernel.room(size) if result is None else f"({result} + {place} * {size})"
            )
        return found

    def write_while(self, step: Step) -> None:
        """Iterations until a condition fails."""
        params, (test, body) = step.params, self.plan.inner[step]
        num_test, num_body = params["num_cond"], params["num_body"]
        in_test = [self.operand(node) for node in step.operands[:num_test]]
        in_body = [self.operand(node) for node in step.operands[num_test : num_test + num_body]]
        loop = BlockLoop(self, step, body, step.operands[num_test + num_body :], num_body)
        condition, count = self.kernel.room(1), self.kernel.names("count")
        self.block.add(f"long long {count} = 0;")
        inside = self.block.open(f"for (;; {count}++)")
        BlockWriter(self.kernel, test, [*in_test, *loop.now], [condition], inside).write()
        inside.add(f"if (!*(const bool *){condition}) break;")
        BlockWriter(self.kernel, body, [*in_body, *loop.now], loop.next, inside).write()
        loop.swap(inside)
        inside.add("__syncthreads();")
        loop.finish()
        counted = self.result(step, len(step.types) - 1) if params["collect"] else None
        if counted is not None:
            self.block.add(f"if (threadIdx.x == 0) *(long long *){counted} = {count};")

    def write_cond(self, step: Step) -> None:
        """One of the branches, all of which fill the same memory."""
        index, *operands = step.operands
        inputs = [self.operand(node) for node in operands]
        outputs = [
            self.kernel.room(nbytes(node)) if slot is None else slot
            for number, node in enumerate(step.results)
            for slot in [self.result(step, number)]
        ]
        chosen = self.kernel.names("branch")
        read = f"*(const {memory_type(index.dtype)} *){self.operand(index)}"
        self.block.add(f"const long long {chosen} = (long long){read};")
        plans = self.plan.inner[step]
        for number, plan in enumerate(plans):
            tests = [f"{chosen} <= 0"] if number == 0 else [f"{chosen} == {number}"]
            if number == len(plans) - 1:
                tests = [f"{chosen} >= {number}"] if number else ["true"]
            inside = self.block.open(f"if ({tests[0]})")
            with self.kernel.released():
                BlockWriter(self.kernel, plan, inputs, outputs, inside).write()


WRITERS = {
    "dot": BlockWriter.write_dot,
    "dynamic_update": BlockWriter.write_update,
    "dynamic_update_in_full": BlockWriter.write_update,
    "scatter": BlockWriter.write_scatter,
    "scatter_in_full": BlockWriter.write_scatter,
    "scan": BlockWriter.write_scan,
    "while": BlockWriter.write_while,
    "cond": BlockWriter.write_cond,
}
