"""Kernels of gradients that the library can do beside a matrix product: a pass over units.

`where(y <= 0, 0, dh @ w.T)` and the sums of its columns are one call of the library, which reads a bit for each
element of `y`. So are `x.T @ dy` and the sums of the columns of `dy`, which are the gradient of a bias.
"""

from __future__ import annotations

import math
from typing import Any

from funcgrad.compiler.cuda.steps.blocks import products_of
from funcgrad.compiler.cuda.steps.gates import Gate, gate_of, is_sum_of_columns
from funcgrad.compiler.cuda.steps.positive_bits import positive_bits, row_bits, takes
from funcgrad.compiler.cuda.steps.products import fused_plan
from funcgrad.compiler.cuda.steps.reading import ProductPass, is_whole, whole_base
from funcgrad.compiler.cuda.steps.splitting import without_sums
from funcgrad.compiler.lowering.dot_spec import dot_spec, simplified
from funcgrad.compiler.lowering.graph import Node, Reduce, Step
from funcgrad.compiler.lowering.kernels import Kernel, Partition, Unit
from funcgrad.compiler.lowering.plan import memory_of

PLAIN = {"alpha": 1.0, "beta": 0.0, "added": None}


def with_gradients(partition: Partition, products: Any, least: int = 0) -> Partition:
    """The same work with fewer units that follow each other.

    Args:
        partition: kernels and steps.
        products: the library of matrix products; None leaves everything as it is.
        least: multiplications of the products that are left to smaller kernels.
    """
    if products is None:
        return partition
    gated = GatedProducts(partition, products, least).run()
    return SummedOperands(gated, products, least).run()


class Pass(ProductPass):
    """What both passes ask."""

    def large_products(self) -> list[Step]:
        """The plain products for the library."""
        found = [unit for unit in self.partition.units if isinstance(unit, Step)]
        plain = [unit for unit in found if unit.how == "dot" and "epilogue" not in unit.params]
        return [
            unit for unit in plain if not unit.params["batch"] and products_of(unit) > self.least
        ]

    def has_algorithm(self, step: Step, in_memory: set[Node]) -> bool:
        """Whether the library can do a step; sums of one term it cannot, whatever it says."""
        plan = fused_plan(step, in_memory)
        return (
            plan is not None
            and min(plan.m, plan.n, plan.k) > 1
            and self.products.has_algorithm(plan)
        )


def changed(product: Step, results: list[Node], operands: tuple[Node, ...], params: dict) -> Step:
    """A product that also does something else."""
    params = {**product.params, **PLAIN, **params}
    types = [node.type for node in results]
    step = Step("dot", (*product.operands, *operands), types, params, product.equation)
    step.number = product.number
    step.results = results
    return step


# --- where a relu lets nothing through ---


class GatedProducts(Pass):
    """Products whose results go through a gate.

    Attributes:
        bits: the steps that make bits, by what they are made of.
        rest: what is left of kernels that products have taken over.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.bits: dict[tuple, Step] = {}
        self.rest: list[Kernel] = []

    def run(self) -> Partition:
        replaced: dict[Unit, Step | None] = {}
        stored = set(self.partition.stored)
        for product in self.large_products():
            found = self.gated(product)
            if found is not None:
                kernel, step = found
                replaced[product], replaced[kernel] = None, step
                stored.discard(product.results[0])
                stored.update(step.results)
        if not replaced:
            return self.partition
        for step in self.bits.values():
            stored.update(step.results)
        units = self.ordered(replaced)
        return Partition(self.partition.graph, units, stored, self.partition.inlined)

    def gated(self, product: Step) -> tuple[Kernel, Step] | None:
        """The kernel that a product can take over, and the step that does both."""
        kernel = self.only_reader(product.results[0])
        gate = None if kernel is None else gate_of(kernel)
        if kernel is None or gate is None:
            return None
        columns = math.prod(product.operands[1].shape[product.params["contract"] :])
        source = self.source_of(gate, product.results[0], columns)
        if source is None:
            return None
        key = (source, columns, gate.test)
        mask = self.bits.get(key) or positive_bits(source, columns, gate.test)
        step = gated_step(product, gate, mask.results[0], row_bits(columns))
        if not self.has_algorithm(step, {*self.in_memory, *mask.results}):
            return None
        if gate.rest:
            rest = gate.sums and without_sums(kernel, gate.sums, gate.rest, self.in_memory)
            if rest is None:
                return None
            self.rest.append(rest)
        self.bits[key] = mask
        return kernel, step

    def only_reader(self, array: Node) -> Kernel | None:
        """The kernel that reads an array, if nobody else does."""
        readers = self.readers.get(array, [])
        is_only = len(readers) == 1 and array not in self.partition.graph.outputs
        return readers[0] if is_only and isinstance(readers[0], Kernel) else None

    def source_of(self, gate: Gate, array: Node, columns: int) -> Node | None:
        """The array in memory that is compared with 0, if the library can do what a gate does with a product."""
        source = whole_base(gate.source, self.in_memory)
        if source in (None, array) or whole_base(gate.passed, self.in_memory) is not array:
            return None
        if len({(node.type.size, node.dtype) for node in (source, array, gate.result)}) > 1:
            return None
        fits = gate.sums is None or gate.sums.type.size == columns
        return source if fits and takes((source,), {"test": gate.test}) else None

    def ordered(self, replaced: dict[Unit, Step | None]) -> list[Unit]:
        """The units. Bits are made as soon as they can be, so that nothing waits for them; the rest of kernels as late
        as it can be, where it meets others of its kind.
        """
        writer: dict[Node, Unit] = {}
        for unit in self.partition.units:
            nodes = unit.results if isinstance(unit, Step) else [s.owner for s in unit.stores]
            writer.update(dict.fromkeys(nodes, unit))
        early, late = list(self.bits.values()), list(self.rest)
        units: list[Unit] = [step for step in early if step.operands[0] not in writer]
        for unit in self.partition.units:
            needed = [
                k for k in late if any(unit in self.readers.get(s.owner, []) for s in k.stores)
            ]
            late = [kernel for kernel in late if kernel not in needed]
            found = replaced.get(unit, unit)
            units += needed if found is None else [*needed, found]
            units += [step for step in early if writer.get(step.operands[0]) is unit]
        return units + late


def gated_step(product: Step, gate: Gate, mask: Node, row: int) -> Step:
    """The product that asks a mask which of its elements count."""
    results = [gate.result, *([gate.sums] if gate.sums else [])]
    name = "drelu_bgrad" if gate.sums else "drelu"
    return changed(product, results, (mask,), {"epilogue": name, "auxiliary": row})


# --- sums of an operand ---


class SummedOperands(Pass):
    """Products beside kernels that sum the columns of what they read."""

    def run(self) -> Partition:
        replaced: dict[Unit, Step | None] = {}
        times = {unit: time for time, unit in enumerate(self.partition.units)}
        large = self.large_products()
        for unit in self.partition.units:
            found = sums_of(unit, self.in_memory)
            if found is None:
                continue
            sums, base = found
            needed = min(
                [times[reader] for reader in self.readers.get(sums, [])], default=len(times)
            )
            for product in large:
                if product in replaced or times[product] >= needed:
                    continue
                step = self.summed(product, sums, base)
                if step is not None:
                    replaced[product], replaced[unit] = step, None
                    break
        units = [replaced.get(unit, unit) for unit in self.partition.units]
        kept = [unit for unit in units if unit is not None]
        return Partition(self.partition.graph, kept, self.partition.stored, self.partition.inlined)

    def summed(self, product: Step, sums: Reduce, base: Node) -> Step | None:
        """The product that also sums the columns of an operand; None if it cannot."""
        places = [memory_of(product, operand, self.in_memory) for operand in product.operands]
        spec, columns = simplified(dot_spec(product, *places)), sums.type.size
        if spec.k * columns != base.type.size:
            return None
        sides = (
            ("bgrada", places[1], spec.n, spec.y_strides),
            ("bgradb", places[0], spec.m, spec.x_strides[::-1]),
        )
        for name, place, count, strides in sides:
            if (
                place.base is base
                and not place.offset
                and (count, strides) == (columns, (columns, 1))
            ):
                step = changed(product, [product.results[0], sums], (), {"epilogue": name})
                if self.has_algorithm(step, self.in_memory):
                    return step
        return None


def sums_of(unit: Unit, in_memory: set[Node]) -> tuple[Reduce, Node] | None:
    """The sums that are all that a kernel computes, and the array in memory whose columns they add."""
    if not isinstance(unit, Kernel) or len(unit.stores) != 1 or not is_whole(unit.stores[0]):
        return None
    sums = unit.stores[0].node
    if not isinstance(sums, Reduce) or not is_sum_of_columns(sums):
        return None
    base = whole_base(sums.operands[0], in_memory)
    return None if base is None or base.dtype != sums.dtype else (sums, base)
