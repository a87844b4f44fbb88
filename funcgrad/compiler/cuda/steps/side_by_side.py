"""Maps that do not depend on each other as one launch, each on blocks of its own: the updates of many parameters.

The pointers of all lie in one table. Maps of arrays of equal sizes, or of whole numbers of vectors, share their code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.cuda.launches import Slot, Source
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.text import named
from funcgrad.compiler.lowering.epilogues import PlannedUnit
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan, nbytes

MOST_POINTERS = 440  # the parameters of a kernel may have 4 KB
HEAD = re.compile(
    r'extern "C" __global__ void __launch_bounds__\((\d+)\) (\w+)'
    r"\((?:const )?(?:__grid_constant__ )?(?:const )?Pointers<\d+> p\) \{"
)
ALONE = (
    "gridDim",
    "__syncthreads",
    "FG_SHARED",
    "FG_DYNAMIC_SHARED",
)  # what parts of a grid cannot say

Piece = tuple[Source, tuple[Slot, ...]]


def is_map(unit: PlannedUnit) -> bool:
    """Whether a unit computes elements that need nothing of each other."""
    return isinstance(unit, Kernel) and not unit.is_tiny and not unit.reduced


# --- whether units may run at the same time ---


def are_independent(plan: Plan, group: Sequence[PlannedUnit], unit: PlannedUnit) -> bool:
    """Whether a unit neither reads nor writes memory that others write, nor writes what they read."""
    reads, writes = places_of(plan, plan.reads(unit)), places_of(plan, written(plan, unit))
    for other in group:
        others = places_of(plan, written(plan, other))
        if meet(others, [*reads, *writes]) or meet(places_of(plan, plan.reads(other)), writes):
            return False
    return True


def written(plan: Plan, unit: PlannedUnit) -> list[Any]:
    return [key for key, _ in plan.writes(unit)]


def places_of(plan: Plan, nodes: Any) -> list[tuple[str, int, int]]:
    """The memory of nodes: what it lies in, and its first and last byte there."""
    shared = dict(plan.in_place)
    found = []
    for node in nodes:
        place, size = plan.places[node], nbytes(node)
        if place.kind == "arena":
            found.append(("arena", place.number, place.number + size))
        elif place.kind == "output" and place.number in shared:
            found.append((f"input {shared[place.number]}", 0, size))
        else:
            found.append((f"{place.kind} {place.number}", 0, size))
    return found


def meet(some: Sequence[tuple[str, int, int]], others: Sequence[tuple[str, int, int]]) -> bool:
    """Whether places have a byte in common."""
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in some for b in others)


# --- the launch ---


def write_side_by_side(writer: LaunchWriter, units: Sequence[PlannedUnit]) -> None:
    """Add as few launches as possible for independent maps."""
    pieces: list[Piece] = []
    for unit in units:
        assert isinstance(unit, Kernel)
        launches = writer.kernel_launches(unit)
        if len(launches) == 1 and is_part(launches[0][0]):
            pieces += launches
        else:
            for source, slots in launches:
                writer.launch(source, *slots)
    pieces.sort(key=lambda piece: (piece[0].name, piece[0].grid))
    while pieces:
        count = pointers = 0
        while count < len(pieces) and pointers + len(pieces[count][1]) <= MOST_POINTERS:
            pointers += len(pieces[count][1])
            count += 1
        count = max(count, 1)
        write_pieces(writer, pieces[:count])
        pieces = pieces[count:]


def write_pieces(writer: LaunchWriter, pieces: Sequence[Piece]) -> None:
    if len(pieces) == 1:
        writer.launch(pieces[0][0], *pieces[0][1])
        return
    slots = [slot for _, given in pieces for slot in given]
    writer.launch(joined([source for source, _ in pieces], [len(g) for _, g in pieces]), *slots)


def is_part(source: Source) -> bool:
    """Whether a kernel can be a function of the number of its block."""
    is_simple = not source.shared and not source.cooperative and source.grid[1:] == (1, 1)
    return (
        is_simple
        and not any(word in source.text for word in ALONE)
        and len(HEAD.findall(source.text)) == 1
    )


def joined(sources: Sequence[Source], counts: Sequence[int]) -> Source:
    """One kernel whose blocks do what those of several kernels do; equal ones must be neighbours.

    Args:
        sources: kernels with blocks of one size.
        counts: how many pointers each has.
    """
    functions: dict[str, str] = {}
    lines, block, pointer, number = [], 0, 0, 0
    while number < len(sources):
        source, repeated = sources[number], 1
        while number + repeated < len(sources) and sources[number + repeated] == source:
            repeated += 1
        functions[source.name] = part_of(source)
        blocks = source.grid[0]
        lines.append(
            f"  if (b < {block + repeated * blocks}) {{\n"
            f"    const int t = (b - {block}) / {blocks};\n"
            f"    {source.name}({{p.at + {pointer} + t * {counts[number]}}}, (b - {block}) % {blocks});\n"
            "    return;\n  }\n"
        )
        block += repeated * blocks
        pointer += repeated * counts[number]
        number += repeated
    threads = sources[0].block[0]
    text = "".join(functions.values())
    name = named("side_by_side", text, *lines)
    shell = f"struct Places {{ void *const *at; }};\n{text}"
    parameter = f"const __grid_constant__ Pointers<{pointer}> p"
    head = f'extern "C" __global__ void __launch_bounds__({threads}) {name}({parameter})'
    body = f"  const int b = blockIdx.x;\n{''.join(lines)}"
    prelude = frozenset[str]().union(*[source.prelude for source in sources])
    return Source(name, f"{shell}{head} {{\n{body}}}\n", prelude, (block, 1, 1), (threads, 1, 1))


def part_of(source: Source) -> str:
    """A kernel as a function of its pointers and the number of its block."""
    head = r"static __device__ __forceinline__ void \2(const Places p, const int part) {"
    return HEAD.sub(head, source.text).replace("blockIdx.x", "part") + "\n"
