"""What a call brings along, moved to places that do not change: numbers by value, small arrays, in one launch."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.runtime.device import Device

ARRAYS = 24  # that one launch copies
BYTES = 256  # of numbers that one launch carries
NUMBER = 16  # bytes of which the place of each number is a multiple
MANY = 8 * BYTES  # of numbers that are copied instead
THREADS = 256
BLOCK_BYTES = 64 << 10  # that one block copies

# The first row of blocks writes the numbers, each further row copies one array.
STAGE = Source(
    "fg_stage",
    f"""
struct Staged {{
  char* target[{ARRAYS}];
  const char* source[{ARRAYS}];
  unsigned long long nbytes[{ARRAYS}];
  char* numbers;
  unsigned long long count;
  unsigned char bytes[{BYTES}];
}};
extern "C" __global__ void fg_stage(Staged p) {{
  unsigned long long first = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;
  unsigned long long step = gridDim.x * (unsigned long long)blockDim.x;
  if (blockIdx.y == 0) {{
    for (unsigned long long i = first; i < p.count; i += step) p.numbers[i] = p.bytes[i];
    return;
  }}
  char* target = p.target[blockIdx.y - 1];
  const char* source = p.source[blockIdx.y - 1];
  unsigned long long nbytes = p.nbytes[blockIdx.y - 1], done = 0;
  if (((unsigned long long)target | (unsigned long long)source) % 16 == 0) {{
    done = nbytes / 16;
    for (unsigned long long i = first; i < done; i += step) ((uint4*)target)[i] = ((const uint4*)source)[i];
    done *= 16;
  }}
  for (unsigned long long i = done + first; i < nbytes; i += step) target[i] = source[i];
}}
""",
    frozenset(),
    block=(THREADS, 1, 1),
)

COLUMN = 8 * ARRAYS  # bytes of the targets, of the sources and of the sizes
TAIL = struct.Struct(f"QQ{BYTES}s")  # of the struct: where numbers go, how many bytes, and these
COLUMNS = [struct.Struct(f"{count}Q") for count in range(ARRAYS + 1)]
Move = tuple[int, int, int]  # target, source, bytes


class Stager:
    """Begins the launches for one Program; not for two threads at the same time."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.function = device.functions([STAGE])[0]
        self.memory = np.zeros(3 * COLUMN + TAIL.size, np.uint8)
        self.parameters = np.array([self.memory.ctypes.data], np.uint64)
        self.address = self.parameters.ctypes.data

    def run(self, moves: Sequence[Move], numbers: bytes, target: int, stream: int) -> None:
        """Copy arrays, and write numbers to `target`."""
        if len(numbers) > MANY:
            self.device.write(target, numbers, stream)
            numbers = b""
        while moves or numbers:
            self.launch(moves[:ARRAYS], numbers[:BYTES], target, stream)
            moves, numbers, target = moves[ARRAYS:], numbers[BYTES:], target + BYTES

    def launch(self, moves: Sequence[Move], numbers: bytes, target: int, stream: int) -> None:
        memory, largest = self.memory.data, 0
        if moves:
            column = COLUMNS[len(moves)]
            targets, sources, sizes = zip(*moves, strict=True)
            column.pack_into(memory, 0, *targets)
            column.pack_into(memory, COLUMN, *sources)
            column.pack_into(memory, 2 * COLUMN, *sizes)
            largest = max(sizes)
        TAIL.pack_into(memory, 3 * COLUMN, target, len(numbers), numbers)
        blocks = min(1024, max(1, -(-largest // BLOCK_BYTES)))
        grid = (blocks, len(moves) + 1, 1)
        self.device.launch(self.function, *grid, THREADS, 1, 1, 0, stream, self.address, 0)


def number_bytes(value: Any, dtype: np.dtype) -> bytes:
    """A number of the host (or a random key) as the bytes of its place."""
    code = PACKING.get((type(value), dtype.char))
    if code is not None:
        with contextlib.suppress(struct.error):  # an int that is too large: NumPy says so
            return struct.pack("<" + code, value)
    data = np.asarray(value, dtype).tobytes()
    return data.ljust(-(-len(data) // NUMBER) * NUMBER, b"\0")


# How a number of a type is written as one of a dtype.
PACKING: dict[tuple[type, str], str] = {
    (float, "d"): "d8x",
    (np.float64, "d"): "d8x",
    (np.float32, "f"): "f12x",
    (int, "l"): "q8x",
    (np.int64, "l"): "q8x",
    (np.int32, "i"): "i12x",
    (bool, "?"): "?15x",
}
