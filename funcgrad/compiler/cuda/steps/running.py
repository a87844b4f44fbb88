"""Kernels of running operations along an axis: each state combined with all before it.

Short or many runs are gone through by one thread each. Others are scanned by blocks: threads combine a few neighbours,
then their totals (W. D. Hillis, G. L. Steele: Data parallel algorithms, 1986). Of few long runs every block scans a
chunk, after the totals of all chunks were scanned.
"""

from __future__ import annotations

from dataclasses import dataclass

from funcgrad.compiler.cuda.launches import Slot, Source
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.text import blocks_for, each, index_type, kernel

THREADS = 256
NEIGHBOURS = 8  # states that one thread combines
TILE = THREADS * NEIGHBOURS
SHORT = 32  # states of a run that one thread goes through
MANY = 4096  # runs that keep a device busy with one thread each
COLUMNS = 32  # neighbouring runs that threads of a warp read together
UNITS = 1024  # blocks that few long runs are divided into


@dataclass(frozen=True)
class Operation:
    """What runs along the axis.

    Attributes:
        name: of the kernels.
        state: statements that declare the type `S` and the function `then(a, b)`: two neighbouring states as one.
        size: bytes of a state.
        pointers: of the operands and the result, in the order of the slots.
        read: an expression for the state of the element `at`.
        write: a statement that writes the state `value` to the element `at`.
        prelude: sections that all these use.
    """

    name: str
    state: str
    size: int
    pointers: tuple[str, ...]
    read: str
    write: str
    prelude: frozenset[str]


@dataclass(frozen=True)
class Runs:
    """How an array divides into runs along one axis.

    Attributes:
        outer, length, inner: elements of the axes before, of the axis itself, and after it.
        reverse: whether runs begin at the end.
    """

    outer: int
    length: int
    inner: int
    reverse: bool

    @property
    def count(self) -> int:
        return self.outer * self.inner

    @property
    def size(self) -> int:
        return self.count * self.length

    @property
    def type(self) -> str:
        return index_type(self.size)

    def base(self, run: str) -> str:
        """Where a run lies: the element before which nothing was combined comes at `place(0)`."""
        return f"({self.type})({run}) / {self.inner} * {self.length * self.inner} + ({run}) % {self.inner}"

    def place(self, k: str) -> str:
        """Elements from the beginning of a run to its `k`th one."""
        k = f"({self.length - 1} - ({k}))" if self.reverse else f"({k})"
        return f"({self.type}){k} * {self.inner}"


def write_running(
    writer: LaunchWriter, operation: Operation, runs: Runs, slots: tuple[Slot, ...]
) -> None:
    """Add the launches of a running operation on these slots."""
    if not runs.size:
        return
    many_columns = runs.inner >= COLUMNS and runs.count >= MANY
    if runs.length <= SHORT or many_columns:
        writer.launch(one_thread_each(operation, runs), *slots)
        return
    chunk = chunk_of(runs)
    chunks = -(-runs.length // chunk)
    if chunks == 1:
        writer.launch(scan(operation, runs, chunk), *slots)
        return
    totals = writer.scratch(runs.count * chunks * operation.size)
    writer.launch(scan(operation, runs, chunk, "totals"), *slots, totals)
    writer.launch(scan_of_totals(operation, runs.count, chunks), totals)
    writer.launch(scan(operation, runs, chunk, "begin"), *slots, totals)


def chunk_of(runs: Runs) -> int:
    """How many elements of a run one block scans."""
    chunks = max(1, min(UNITS // runs.count, -(-runs.length // (2 * TILE))))
    return -(-runs.length // chunks // TILE) * TILE if chunks > 1 else runs.length


def one_thread_each(operation: Operation, runs: Runs) -> Source:
    """A kernel whose threads go through one run each."""
    body = f"""    const {runs.type} base = {runs.base("i")};
    {runs.type} at = base + {runs.place("0")};
    S value = {operation.read};
    {operation.write}
#pragma unroll 4
    for (int k = 1; k < {runs.length}; k++) {{
      at = base + {runs.place("k")};
      value = then(value, {operation.read});
      {operation.write}
    }}
"""
    text = operation.state + each(runs.count, body)
    blocks = blocks_for(runs.count)
    name = f"{operation.name}_each"
    return kernel(name, operation.pointers, text, blocks, prelude=operation.prelude)


def scan_of_totals(operation: Operation, count: int, chunks: int) -> Source:
    """A kernel that scans states in memory, where they are."""
    states = Operation(
        operation.name, operation.state, operation.size, (), "totals[at]", "totals[at] = value;",
        operation.prelude,
    )  # fmt: skip
    return scan(states, Runs(count, chunks, 1, False), chunks, "in place")


def scan(operation: Operation, runs: Runs, chunk: int, mode: str = "whole") -> Source:
    """A kernel whose blocks scan one chunk of a run each, tile by tile.

    Args:
        mode: "whole"; "totals" writes only what the elements of each chunk combine to; "begin" begins each chunk with
            the scanned totals of those before it; "in place" works on an array of states.
    """
    chunks = -(-runs.length // chunk)
    units = runs.count * chunks
    begin = finish = ""
    write = f"value = has ? then(before_me, v[j]) : v[j]; {operation.write}"
    pointers = operation.pointers
    if mode != "whole":
        pointers = (*pointers, "void* memory")
    if mode == "totals":
        write = ""
        finish = "    if (threadIdx.x == 0) totals[unit] = before;\n"
    elif mode == "begin":
        begin = f"    if (unit % {chunks}) any = true, before = totals[unit - 1];\n"
    memory = "  S* totals = (S*)memory;\n" if mode != "whole" else ""
    body = f"""{operation.state}{memory}  FG_SHARED(S, room, {THREADS});
  const int t = threadIdx.x;
  for (int unit = blockIdx.x; unit < {units}; unit += gridDim.x) {{
    const {runs.type} base = {runs.base(f"unit / {chunks}")};
    const int start = unit % {chunks} * {chunk}, stop = min(start + {chunk}, {runs.length});
    bool any = false;
    S before;
{begin}    for (int tile = start; tile < stop; tile += {TILE}) {{
      const int first = tile + t * {NEIGHBOURS}, width = min(stop - tile, {TILE});
      const int busy = (width + {NEIGHBOURS - 1}) / {NEIGHBOURS};
      S v[{NEIGHBOURS}], value;
#pragma unroll
      for (int j = 0; j < {NEIGHBOURS}; j++)
        if (first + j < stop) {{
          const {runs.type} at = base + {runs.place("first + j")};
          value = {operation.read};
          v[j] = value = j ? then(v[j ? j - 1 : 0], value) : value;
        }}
      __syncthreads();
      if (t < busy) room[t] = value;
      for (int step = 1; step < busy; step *= 2) {{
        __syncthreads();
        const bool joins = t >= step && t < busy;
        if (joins) value = then(room[t - step], room[t]);
        __syncthreads();
        if (joins) room[t] = value;
      }}
      __syncthreads();
      bool has = any;
      S before_me = before;
      if (t && t < busy) before_me = any ? then(before, room[t - 1]) : room[t - 1], has = true;
#pragma unroll
      for (int j = 0; j < {NEIGHBOURS}; j++)
        if (first + j < stop) {{
          const {runs.type} at = base + {runs.place("first + j")};
          {write}
        }}
      before = any ? then(before, room[busy - 1]) : room[busy - 1];
      any = true;
    }}
{finish}  }}
"""
    name = f"{operation.name}_scan"
    return kernel(name, pointers, body, min(units, 1 << 16), THREADS, operation.prelude)
