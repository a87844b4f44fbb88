"""Operands of batched products that the library cannot read as they lie: written once, for all products that read them.

The heads of an attention are such: neither the products forward nor those backward find them one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from funcgrad.compiler.cuda.steps.cublaslt import DATA_TYPES
from funcgrad.compiler.cuda.steps.products import merges, needs_copies
from funcgrad.compiler.lowering.dot_spec import dot_spec, simplified
from funcgrad.compiler.lowering.graph import Node, Step, View
from funcgrad.compiler.lowering.kernels import Kernel, Partition, Store, Unit, open_loops
from funcgrad.compiler.lowering.plan import memory_of
from funcgrad.compiler.lowering.views import Located
from funcgrad.ir.types import ArrayType


class Gathered(Node):
    """An array in memory that holds the elements of a view, matrix after matrix."""

    __slots__ = ()


def with_shared_operands(partition: Partition) -> Partition:
    """The same work with kernels that gather such operands; products read what these have written."""
    return Sharing(partition).run()


@dataclass(frozen=True)
class Request:
    """An operand that shall be gathered.

    Attributes:
        operand: the view that a product reads.
        place: where its elements lie.
        order: its axes as they shall follow each other: those of the batch, then the others as they are in memory.
    """

    operand: Node
    place: Located
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple([self.operand.shape[axis] for axis in self.order])

    @property
    def key(self) -> tuple:
        """Equal for requests that one array fulfils."""
        strides = tuple([self.place.strides[axis] for axis in self.order])
        return (self.place.base, self.place.offset, self.shape, strides)


class Sharing:
    """The state of one pass.

    Attributes:
        requests: by the node in whose memory they lie: what is read together is gathered together.
        known: the arrays by the keys of requests.
    """

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.in_memory = {*partition.stored, *partition.graph.inputs}
        self.wanted = {unit: self.requests_of(unit) for unit in partition.units}
        self.requests: dict[Node, list[Request]] = {}
        for found in self.wanted.values():
            for request in found.values():
                self.requests.setdefault(request.place.base, []).append(request)
        self.known: dict[tuple, Gathered] = {}
        self.units: list[Unit] = []

    def run(self) -> Partition:
        if not self.requests:
            return self.partition
        for unit in self.partition.units:
            self.units.append(self.changed(unit) if isinstance(unit, Step) else unit)
        stored = {*self.partition.stored, *self.known.values()}
        return Partition(self.partition.graph, self.units, stored, self.partition.inlined)

    def requests_of(self, unit: Unit) -> dict[int, Request]:
        """What a unit wants to be gathered, by the number of its operand."""
        if not isinstance(unit, Step) or unit.how != "dot" or unit.params["batch"] < 2:
            return {}
        if unit.types[0].dtype.name not in DATA_TYPES or not unit.types[0].size:
            return {}
        places = [memory_of(unit, operand, self.in_memory) for operand in unit.operands]
        spec = simplified(dot_spec(unit, *places))
        if not spec.k or not needs_copies(spec):
            return {}
        return {
            number: Request(operand, place, order_of(operand, place, unit.params["batch"]))
            for number, (operand, place) in enumerate(zip(unit.operands, places, strict=True))
            if not merges(spec.batch, number + 1)
        }

    def changed(self, step: Step) -> Step:
        """The step on gathered operands; the step itself if it wants none."""
        wanted = self.wanted[step]
        if not wanted:
            return step
        operands = list(step.operands)
        for number, request in wanted.items():
            operands[number] = self.gathered(request)
        found = Step("dot", operands, step.types, step.params, step.equation)
        found.number, found.results = step.number, step.results
        return found

    def gathered(self, request: Request) -> Node:
        """A view of memory that holds the matrices of an operand."""
        if request.key not in self.known:
            for each in self.requests[request.place.base]:
                if each.key not in self.known:
                    self.known[each.key] = self.add_kernel(each)
        memory, order = self.known[request.key], request.order
        if order == tuple(range(len(order))):
            return memory
        back = tuple([order.index(axis) for axis in range(len(order))])
        return numbered(View(request.operand.type, memory, "transpose", back), request.operand)

    def add_kernel(self, request: Request) -> Gathered:
        """The array, and the kernel in front of the next unit that fills it."""
        operand, type = request.operand, ArrayType(request.shape, request.operand.dtype)
        source = numbered(View(type, operand, "transpose", request.order), operand)
        memory = Gathered(type)
        memory.number = operand.number
        kernel = Kernel()
        axes = open_loops(kernel, type.shape)
        kernel.add(source, axes)
        kernel.stores.append(Store(source, axes, memory))
        self.units.append(kernel)
        return memory


def order_of(operand: Node, place: Located, batch: int) -> tuple[int, ...]:
    """The axes of a batch, then the others as they follow each other in memory."""
    rest = sorted(range(batch, len(operand.shape)), key=lambda axis: -place.strides[axis])
    return (*range(batch), *rest)


def numbered(view: View, like: Node) -> View:
    view.number = like.number
    return view
