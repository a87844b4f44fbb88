"""Arrays copied from any strides to a contiguous one, or back, where a library wants them so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from funcgrad.compiler.cuda.launches import Slot, Source
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.text import (
    Axes,
    blocks_for,
    each,
    index_type,
    kernel,
    merged,
    offsets,
)
from funcgrad.compiler.lowering.index import strides_of

WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}
TILE = 32  # elements of a side of the square that is turned in shared memory
ROWS = 8  # rows of threads of a tile


def contiguous(
    writer: LaunchWriter,
    source: Slot,
    dtype: np.dtype,
    shape: Sequence[int],
    strides: Sequence[int],
) -> Slot:
    """Scratch memory with the elements of a strided array in C order."""
    target = writer.scratch(math.prod(shape) * dtype.itemsize)
    axes = list(zip(shape, strides, strides_of(tuple(shape)), strict=True))
    writer.launch(copy_source(dtype.itemsize, axes), source, target)
    return target


def copy_source(itemsize: int, axes: Axes) -> Source:
    """A kernel on (source, target) that copies elements along axes with strides of both."""
    wide = merged(axes)
    # Complex numbers of two doubles are copied as two words.
    if itemsize == 16:
        wide = merged([*[(n, 2 * s, 2 * t) for n, s, t in wide], (2, 1, 1)])
        itemsize = 8
    word = WORDS[itemsize]
    turned = [i for i, axis in enumerate(wide[:-1]) if axis[1] == 1]
    if turned and wide[-1][1] != 1 and wide[-1][2] == 1:
        return turning_source(word, wide, turned[0])
    count = math.prod(axis[0] for axis in wide)
    type = index_type(*[1 + sum((n - 1) * abs(a[k]) for n, *a in wide) for k in (0, 1)])
    body = f"    {type} s = 0, t = 0;\n{offsets('i', wide, ('s', 't'))}    target[t] = source[s];\n"
    pointers = (f"const {word}* source", f"{word}* target")
    return kernel("copy", pointers, each(count, body), blocks_for(count, per_thread=4))


def turning_source(word: str, axes: Axes, turned: int) -> Source:
    """A copy whose source counts along one axis and whose target along the last: by tiles, so that both are read and
    written in rows."""
    outer = [axis for i, axis in enumerate(axes) if i not in (turned, len(axes) - 1)]
    (height, _, t_step), (width, s_step, _) = axes[turned], axes[-1]
    across, down = -(-width // TILE), -(-height // TILE)
    count = math.prod(axis[0] for axis in outer) * across * down
    type = index_type(*[1 + sum((n - 1) * abs(a[k]) for n, *a in axes) for k in (0, 1)])
    body = f"""  FG_SHARED({word}, tile, {TILE * (TILE + 1)});
  for (int b = blockIdx.x; b < {count}; b += gridDim.x) {{
    int x0 = b % {across} * {TILE}, y0 = b / {across} % {down} * {TILE};
    int lane = threadIdx.x % {TILE}, row = threadIdx.x / {TILE};
    {type} s = 0, t = 0;
{offsets(f"b / {across * down}", outer, ("s", "t"))}    for (int k = row; k < {TILE}; k += {ROWS})
      if (y0 + lane < {height} && x0 + k < {width})
        tile[k * {TILE + 1} + lane] = source[s + (y0 + lane) + ({type})(x0 + k) * {s_step}];
    __syncthreads();
    for (int k = row; k < {TILE}; k += {ROWS})
      if (y0 + k < {height} && x0 + lane < {width})
        target[t + ({type})(y0 + k) * {t_step} + (x0 + lane)] = tile[lane * {TILE + 1} + k];
    __syncthreads();
  }}
"""
    pointers = (f"const {word}* source", f"{word}* target")
    return kernel("turn", pointers, body, min(count, 1 << 16), TILE * ROWS)
