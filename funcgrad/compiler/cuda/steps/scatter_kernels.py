"""The kernels of scatters: which row an update belongs to, and ways to combine those of one row in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import (
    combine,
    is_half,
    load,
    memory_type,
    register_type,
    rounded,
    sections,
    store,
)
from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.steps.text import (
    blocks_for,
    each,
    function,
    index_type,
    kernel,
    offsets,
)
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.ir.types import ArrayType

FEW = 256  # updates that look at all others: their row numbers fit into shared memory
THREADS = 256
CHUNK = 64  # sorted updates that one thread combines
RUN = 2048  # keys that one block sorts in shared memory


def broadcast_strides(shape: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides with which an array of this shape is read in the shape of the result."""
    own = [0 if n == 1 else stride for n, stride in zip(shape, strides_of(shape), strict=True)]
    return (*[0] * (len(result) - len(shape)), *own)


class Rows:
    """What is scattered where, and the kernels that do it.

    Args:
        type: of the array.
        indices: types of the index arrays.
        combine: "set" or how to combine two elements.

    Attributes:
        count: how many rows are written.
        total: how many rows the array has.
        width: elements of a row.
    """

    def __init__(self, type: ArrayType, indices: Sequence[ArrayType], combine: str) -> None:
        self.dtype = type.dtype
        self.indices = indices
        self.combine = combine
        self.lengths = type.shape[: len(indices)]
        self.shape = np.broadcast_shapes(*[index.shape for index in indices])
        self.count = math.prod(self.shape)
        self.total = math.prod(self.lengths)
        self.width = math.prod(type.shape[len(indices) :])
        self.type = index_type(self.count * self.width, type.size)
        self.prelude = {*sections(type.dtype), "combine"}
        self.element = memory_type(type.dtype)

    # --- parts of kernels ---

    @property
    def given(self) -> list[str]:
        """The pointers of the index arrays."""
        return [f"const {register_type(t.dtype)}* i{k}" for k, t in enumerate(self.indices)]

    @property
    def row_of(self) -> str:
        """The function from the number of an update to its row; -1 if it is out of bounds."""
        strides = [broadcast_strides(index.shape, self.shape) for index in self.indices]
        names = [f"o{k}" for k in range(len(self.indices))]
        axes = list(zip(self.shape, *strides, strict=True))
        lines = ["  auto row_of = [&](int j) -> long long {\n    long long row = 0, place;\n"]
        lines.append(f"    int {', '.join(f'{name} = 0' for name in names)};\n")
        lines.append(offsets("j", axes, names))
        for k, (length, step) in enumerate(
            zip(self.lengths, strides_of(self.lengths), strict=True)
        ):
            lines.append(f"    place = (long long)i{k}[o{k}]; place += place < 0 ? {length} : 0;\n")
            lines.append(f"    if (place < 0 || place >= {length}) return -1;\n")
            lines.append(f"    row += place * {step};\n")
        return "".join(lines) + "    return row;\n  };\n"

    def combined(self, a: str, b: str) -> str:
        """Two elements as one; sums of half precision are rounded when they are stored."""
        text = combine(self.combine, self.dtype, a, b)
        return (
            rounded(self.dtype, text)
            if is_half(self.dtype) and self.combine == "multiply"
            else text
        )

    def loaded(self, pointer: str, index: str) -> str:
        return load(self.dtype, pointer, index)

    def changed(self, target: str, source: str) -> str:
        """The statement that combines one update with an element of the array."""
        if self.combine == "set":
            return f"out[{target}] = updates[{source}];"
        text = self.combined(self.loaded("out", target), self.loaded("updates", source))
        return store(self.dtype, "out", target, text)

    def build(self, name: str, pointers: list[str], body: str, count: int) -> Source:
        return kernel(name, pointers, body, blocks_for(count), THREADS, self.prelude)

    @property
    def pointers(self) -> list[str]:
        return [f"{self.element}* out", f"const {self.element}* updates", *self.given]

    # --- updates of distinct rows, and few updates ---

    @property
    def is_direct(self) -> bool:
        """Whether there is only one row to write."""
        return self.count == 1

    def direct(self) -> Source:
        """A kernel on (out, updates, *indices), for rows that are all distinct."""
        count = self.count * self.width
        return self.build("scatter", self.pointers, self.direct_body(False), count)

    def direct_body(self, of_block: bool) -> str:
        inside = f"""    long long row = row_of((int)(i / {self.width}));
    if (row >= 0) {{ {self.type} at = ({self.type})row * {self.width} + i % {self.width}; {self.changed("at", "i")} }}
"""
        return self.row_of + each(self.count * self.width, inside, of_block=of_block)

    def searching(self) -> Source:
        """A kernel on (out, updates, *indices), for at most `FEW` rows: the thread of the last update of a row writes
        it, or that of the first combines all of them."""
        count = self.count * self.width
        return self.build("scatter_few", self.pointers, self.searching_body(False), count)

    def searching_body(self, of_block: bool) -> str:
        n = self.count
        head = f"""  FG_SHARED(long long, rows, {n});
  for (int j = threadIdx.x; j < {n}; j += blockDim.x) rows[j] = row_of(j);
  __syncthreads();
"""
        start = f"""    int j = (int)(i / {self.width}), c = (int)(i % {self.width});
    long long row = rows[j];
    bool mine = row >= 0;
"""
        if self.combine == "set":
            rest = f"""    for (int k = j + 1; k < {n}; k++) mine &= rows[k] != row;
    if (mine) out[({self.type})row * {self.width} + c] = updates[i];
"""
        else:
            other = self.loaded("updates", f"({self.type})k * {self.width} + c")
            rest = f"""    for (int k = 0; k < j; k++) mine &= rows[k] != row;
    if (mine) {{
      {self.type} at = ({self.type})row * {self.width} + c;
      {register_type(self.dtype)} value = {self.loaded("out", "at")};
      for (int k = j; k < {n}; k++)
        if (rows[k] == row) value = {self.combined("value", other)};
      {store(self.dtype, "out", "at", "value")}
    }}
"""
        return self.row_of + head + each(n * self.width, start + rest, of_block=of_block)

    def block_function(self, is_unique: bool) -> tuple[str, str]:
        """A function of one block on (out, updates, *indices), for at most `FEW` rows."""
        is_direct = is_unique or self.is_direct
        body = self.direct_body(True) if is_direct else self.searching_body(True)
        return function("block_scatter", self.pointers, body)

    # --- the last of many ---

    def racing(self) -> Source:
        """A kernel on (winners, *indices): the largest number of an update of each row."""
        inside = """    long long row = row_of(i);
    if (row >= 0) atomicMax(&winners[row], i);
"""
        pointers = ["int* winners", *self.given]
        body = self.row_of + each(self.count, inside)
        return self.build("scatter_race", pointers, body, self.count)

    def winning(self) -> Source:
        """A kernel on (out, winners, updates, *indices): the updates that won are written."""
        inside = f"""    int j = (int)(i / {self.width});
    long long row = row_of(j);
    if (row >= 0 && winners[row] == j) out[({self.type})row * {self.width} + i % {self.width}] = updates[i];
"""
        out, *rest = self.pointers
        count = self.count * self.width
        body = self.row_of + each(count, inside)
        return self.build("scatter_win", [out, "const int* winners", *rest], body, count)

    # --- many updates, sorted ---

    @property
    def keys(self) -> int:
        """How many keys are sorted: whole runs."""
        return -(-self.count // RUN) * RUN

    @property
    def chunks(self) -> int:
        return -(-self.count // CHUNK)

    def sorting(self) -> Source:
        """A kernel on (keys, *indices): the row and the number of each update as one word, sorted in runs.

        K. E. Batcher, Sorting networks and their applications, 1968.
        """
        body = f"""{self.row_of}  FG_SHARED(unsigned long long, run, {RUN});
  int first = blockIdx.x * {RUN};
  for (int k = threadIdx.x; k < {RUN}; k += {THREADS}) {{
    int j = first + k;
    long long row = j < {self.count} ? row_of(j) : -1;
    run[k] = (unsigned long long)(row < 0 ? 0xffffffffll : row) << 32 | (unsigned)j;
  }}
  for (int size = 2; size <= {RUN}; size *= 2)
    for (int step = size / 2; step; step /= 2) {{
      __syncthreads();
      for (int k = threadIdx.x; k < {RUN // 2}; k += {THREADS}) {{
        int low = 2 * k - (k & (step - 1)), high = low + step;
        unsigned long long a = run[low], b = run[high];
        if ((a > b) == ((low & size) == 0)) run[low] = b, run[high] = a;
      }}
    }}
  __syncthreads();
  for (int k = threadIdx.x; k < {RUN}; k += {THREADS}) keys[first + k] = run[k];
"""
        pointers = ["unsigned long long* keys", *self.given]
        return kernel("sort_runs", pointers, body, self.keys // RUN, THREADS, self.prelude)

    def merging(self, run: int) -> Source:
        """A kernel on (target, keys): pairs of sorted runs as one, each key to its rank in both."""
        inside = f"""    int own = i / {run} * {run}, pair = i / {2 * run} * {2 * run};
    int low = own == pair ? min(pair + {run}, {self.keys}) : pair;
    int high = min(low + {run}, {self.keys}), start = low;
    unsigned long long key = keys[i];
    while (low < high) {{
      int middle = (low + high) / 2;
      if (keys[middle] < key) low = middle + 1;
      else high = middle;
    }}
    target[pair + (i - own) + (low - start)] = key;
"""
        pointers = ["unsigned long long* target", "const unsigned long long* keys"]
        return self.build("merge_runs", pointers, each(self.keys, inside), self.keys)

    def gathering(self) -> Source:
        """A kernel on (parts, keys, updates): per chunk of sorted updates the row in which it begins, combined."""
        inside = f"""    int s = (int)(i / {self.width}) * {CHUNK}, c = (int)(i % {self.width});
    unsigned row = (unsigned)(keys[s] >> 32);
    if (row != 0xffffffffu && s > 0 && (unsigned)(keys[s - 1] >> 32) == row) {{
      {register_type(self.dtype)} value = {self.sorted_update("s")};
      int end = min(s + {CHUNK}, {self.count});
      for (s++; s < end && (unsigned)(keys[s] >> 32) == row; s++)
        value = {self.combined("value", self.sorted_update("s"))};
      parts[i] = value;
    }}
"""
        count = self.chunks * self.width
        pointers = [f"{register_type(self.dtype)}* parts", *self.sorted_pointers]
        return self.build("scatter_parts", pointers, each(count, inside), count)

    def finishing(self) -> Source:
        """A kernel on (out, parts, keys, updates): the first update of each row combines what there is for it."""
        inside = f"""    int s = (int)(i / {self.width}), c = (int)(i % {self.width});
    unsigned row = (unsigned)(keys[s] >> 32);
    if (row != 0xffffffffu && (s == 0 || (unsigned)(keys[s - 1] >> 32) != row)) {{
      {self.type} at = ({self.type})row * {self.width} + c;
      {register_type(self.dtype)} value = {self.loaded("out", "at")};
      int chunk = s / {CHUNK} + 1, end = min(chunk * {CHUNK}, {self.count});
      for (; s < end && (unsigned)(keys[s] >> 32) == row; s++)
        value = {self.combined("value", self.sorted_update("s"))};
      for (; chunk < {self.chunks} && (unsigned)(keys[chunk * {CHUNK}] >> 32) == row; chunk++)
        value = {self.combined("value", f"parts[({self.type})chunk * {self.width} + c]")};
      {store(self.dtype, "out", "at", "value")}
    }}
"""
        count = self.count * self.width
        parts = f"const {register_type(self.dtype)}* parts"
        pointers = [f"{self.element}* out", parts, *self.sorted_pointers]
        return self.build("scatter_sorted", pointers, each(count, inside), count)

    @property
    def sorted_pointers(self) -> list[str]:
        return ["const unsigned long long* keys", f"const {self.element}* updates"]

    def sorted_update(self, place: str) -> str:
        """An element of the update that was sorted to a place."""
        return self.loaded(
            "updates", f"({self.type})(int)(unsigned)keys[{place}] * {self.width} + c"
        )
