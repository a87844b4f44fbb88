"""CUDA C text that the kernels of steps have in common: their frame, loops over elements, offsets of elements."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence

from funcgrad.compiler.cuda.launches import Source

THREADS = 256
MAX_BLOCKS = 4096  # more elements are further turns of a loop
SMALL = 1 << 31  # numbers below are computed in 32 bits

# An extent, then a stride for each of the arrays that the axis belongs to, in elements.
Axes = Sequence[tuple[int, ...]]


def index_type(*sizes: int) -> str:
    """The C type of numbers of elements of arrays with so many."""
    return "int" if all(size < SMALL for size in sizes) else "long long"


def kernel(
    name: str,
    pointers: Sequence[str],
    body: str,
    blocks: int,
    threads: int = THREADS,
    prelude: Collection[str] = (),
) -> Source:
    """A kernel of a one-dimensional grid.

    Args:
        name: what it does; a hash of the text is added.
        pointers: declarations such as "const float* x", in the order of the slots.
        body: statements that read them.
        blocks, threads: numbers of blocks and of threads of each.
        prelude: sections of the prelude that the text uses.
    """
    inside = declarations("p.at", pointers) + body
    full = named(name, inside, str(threads), *sorted(prelude))
    text = (
        f'extern "C" __global__ void __launch_bounds__({threads}) '
        f"{full}(const Pointers<{len(pointers)}> p) {{\n{inside}}}\n"
    )
    sections = frozenset({"core", *prelude})
    return Source(full, text, sections, (max(1, blocks), 1, 1), (threads, 1, 1))


def function(name: str, pointers: Sequence[str], body: str) -> tuple[str, str]:
    """A function for the threads of one block, on an array `p` of pointers: its name with a hash, and its text."""
    inside = declarations("p", pointers) + body
    full = named(name, inside)
    return full, f"static __device__ void {full}(char *const *p) {{\n{inside}}}\n"


def declarations(array: str, pointers: Sequence[str]) -> str:
    """The pointers of an array, under their own names and types."""
    lines = []
    for number, declaration in enumerate(pointers):
        type = declaration[: declaration.rindex("*") + 1]
        lines.append(f"  {declaration} = ({type}){array}[{number}];\n")
    return "".join(lines)


def named(name: str, *parts: str) -> str:
    """A name with a hash of what it stands for."""
    return f"{name}_{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"


def blocks_for(count: int, per_thread: int = 1) -> int:
    """How many blocks work on so many things."""
    return min(MAX_BLOCKS, max(1, -(-count // (THREADS * per_thread))))


def each(count: int, body: str, of_block: bool = False) -> str:
    """The body for every number below `count`, divided among all threads of the grid, or of each block."""
    type = index_type(count + MAX_BLOCKS * 1024)
    start = f"({type})blockIdx.x * blockDim.x + threadIdx.x"
    step = f"({type})gridDim.x * blockDim.x"
    if of_block:
        start, step = "threadIdx.x", "blockDim.x"
    return f"  for ({type} i = {start}; i < {count}; i += {step}) {{\n{body}  }}\n"


def offsets(number: str, axes: Axes, names: Sequence[str], indent: str = "    ") -> str:
    """Statements that add to variables where an element lies: the one with this number, the last axis counting fastest.

    Args:
        number: an expression.
        axes: extents, and the strides for each of `names`.
        names: integer variables.
    """
    wide = [axis for axis in axes if axis[0] != 1]
    lines, rest = [], number
    for place, (extent, *strides) in enumerate(reversed(wide)):
        is_first = place == len(wide) - 1
        part = rest if is_first else f"({rest}) % {extent}"
        sums = [
            f"{name} += {wide_type(extent * stride)}({part}) * {stride};"
            for name, stride in zip(names, strides, strict=True)
            if stride
        ]
        lines.append(indent + " ".join(sums) + "\n" if sums else "")
        rest = f"({rest}) / {extent}"
    return "".join(lines)


def wide_type(reach: int) -> str:
    """The cast that a factor needs whose product may be so large."""
    return "" if abs(reach) < SMALL else "(long long)"


def merged(axes: Axes) -> list[tuple[int, ...]]:
    """Neighbouring axes in one where all strides allow it."""
    found: list[tuple[int, ...]] = []
    for extent, *strides in axes:
        if extent == 1:
            continue
        if found and extent and list(found[-1][1:]) == [s * extent for s in strides]:
            extent *= found.pop()[0]
        found.append((extent, *strides))
    return found


def extent(axes: Axes) -> int:
    """How many elements there are along several axes."""
    return math.prod(axis[0] for axis in axes)
