"""Products of matrices by kernels of our own: of integers and booleans, which no library has, and small ones."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import (
    combine,
    load,
    memory_type,
    number,
    register_type,
    sections,
    store,
)
from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.steps.text import each, function, index_type, kernel, offsets
from funcgrad.compiler.lowering.dot_spec import DotSpec
from funcgrad.ops.reduce import accumulator

TILE = 32  # rows and columns of the result that a block computes
ROWS = 8  # rows of threads of a block; each thread computes every eighth row
THREAD_TILES = ((4, 4), (2, 4), (2, 2), (1, 2), (1, 1))  # rows and columns of one thread
BUSY = 128  # threads that keep one block busy
FEW, LONG, LANES = (
    64,
    64,
    16,
)  # elements whose long sums are shared, how long these are, and by how many threads
BYTES = {1: "char", 2: "short", 4: "int", 8: "long long"}


def plain_product(spec: DotSpec) -> Source:
    """A kernel on (x, y, out), with tiles of the operands in shared memory.

    Integers are summed in unsigned ones of at least 32 bits: their low bits are those of the sum in the dtype.
    """
    dtype = spec.dtype
    element = "bool" if dtype == np.bool_ else "unsigned " + BYTES[dtype.itemsize]
    wide = "unsigned long long" if dtype.itemsize == 8 else "unsigned int"
    step = "sum[r] |= u & v" if dtype == np.bool_ else "sum[r] += u * v"
    across, down = -(-spec.n // TILE), -(-spec.m // TILE)
    count = across * down * spec.batches
    type = index_type(*[reach(spec, number) for number in (1, 2, 3)])
    (xr, xc), (yr, yc), (outr, outc) = spec.x_strides, spec.y_strides, spec.out_strides
    body = f"""  FG_SHARED({wide}, xs, {TILE * TILE});
  FG_SHARED({wide}, ys, {TILE * (TILE + 1)});
  for (long long b = blockIdx.x; b < {count}; b += gridDim.x) {{
    int j0 = b % {across} * {TILE}, i0 = b / {across} % {down} * {TILE};
    int lane = threadIdx.x % {TILE}, row = threadIdx.x / {TILE};
    {type} xb = 0, yb = 0, ob = 0;
{offsets(f"b / {across * down}", spec.batch, ("xb", "yb", "ob"))}    {wide} sum[{TILE // ROWS}] = {{0}};
    for (int l0 = 0; l0 < {spec.k}; l0 += {TILE}) {{
      for (int k = row; k < {TILE}; k += {ROWS}) {{
        bool in_x = i0 + k < {spec.m} && l0 + lane < {spec.k};
        bool in_y = l0 + k < {spec.k} && j0 + lane < {spec.n};
        xs[k * {TILE} + lane] = in_x ? x[xb + ({type})(i0 + k) * {xr} + ({type})(l0 + lane) * {xc}] : 0;
        ys[k * {TILE + 1} + lane] = in_y ? y[yb + ({type})(l0 + k) * {yr} + ({type})(j0 + lane) * {yc}] : 0;
      }}
      __syncthreads();
      for (int l = 0; l < {TILE}; l++) {{
        {wide} v = ys[l * {TILE + 1} + lane];
#pragma unroll
        for (int r = 0; r < {TILE // ROWS}; r++) {{
          {wide} u = xs[(row + r * {ROWS}) * {TILE} + l];
          {step};
        }}
      }}
      __syncthreads();
    }}
    for (int r = 0; r < {TILE // ROWS}; r++) {{
      int i = i0 + row + r * {ROWS}, j = j0 + lane;
      if (i < {spec.m} && j < {spec.n}) out[ob + ({type})i * {outr} + ({type})j * {outc}] = ({element})sum[r];
    }}
  }}
"""
    pointers = (f"const {element}* x", f"const {element}* y", f"{element}* out")
    return kernel("product", pointers, body, min(count, 1 << 16), TILE * ROWS)


def block_product(spec: DotSpec) -> tuple[str, str, frozenset[str]]:
    """A function of one block on (x, y, out): its name, its text, and the sections of the prelude that it uses."""
    dtype, wide = spec.dtype, accumulator(spec.dtype)
    outputs = spec.batches * spec.m * spec.n
    body = long_sums(spec) if outputs <= FEW and spec.k >= LONG else tiles_of_threads(spec)
    element = memory_type(dtype)
    pointers = (f"const {element}* x", f"const {element}* y", f"{element}* out")
    prelude = sections(dtype, wide) | {"combine", "groups"}
    return *function("block_product", pointers, body), prelude


def added(spec: DotSpec, total: str, x: str, y: str) -> str:
    """The statement that adds a product to a sum."""
    wide = accumulator(spec.dtype)
    if wide.kind == "f":
        return f"{total} = fg_fma({x}, {y}, {total});"
    return f"{total} = {combine('add', wide, total, combine('multiply', wide, x, y))};"


def tiles_of_threads(spec: DotSpec) -> str:
    """Each thread computes a few rows and columns, far apart, so that neighbouring threads read neighbours."""
    dtype, type = spec.dtype, register_type(accumulator(spec.dtype))
    rows, columns = next(
        tile
        for tile in THREAD_TILES
        if spec.batches * -(-spec.m // tile[0]) * -(-spec.n // tile[1]) >= BUSY or tile == (1, 1)
    )
    down, across = -(-spec.m // rows), -(-spec.n // columns)
    (xr, xc), (yr, yc), (outr, outc) = spec.x_strides, spec.y_strides, spec.out_strides
    x_row, y_column = (
        f"min(row + r * {down}, {spec.m - 1})",
        f"min(column + c * {across}, {spec.n - 1})",
    )
    x = load(dtype, "x", f"xb + {x_row} * {xr} + l * {xc}")
    y = load(dtype, "y", f"yb + l * {yr} + {y_column} * {yc}")
    product = added(spec, f"sum[r * {columns} + c]", "u[r]", "v[c]")
    out = f"ob + i * {outr} + j * {outc}"
    inside = f"""    int xb = 0, yb = 0, ob = 0;
{offsets(f"i / {down * across}", spec.batch, ("xb", "yb", "ob"))}    const int row = i / {across} % {down};
    const int column = i % {across};
    {type} sum[{rows * columns}], u[{rows}], v[{columns}];
#pragma unroll
    for (int r = 0; r < {rows * columns}; r++) sum[r] = {number(accumulator(dtype), 0)};
#pragma unroll 2
    for (int l = 0; l < {spec.k}; l++) {{
#pragma unroll
      for (int r = 0; r < {rows}; r++) u[r] = {x};
#pragma unroll
      for (int c = 0; c < {columns}; c++) v[c] = {y};
#pragma unroll
      for (int r = 0; r < {rows}; r++)
#pragma unroll
        for (int c = 0; c < {columns}; c++) {product}
    }}
#pragma unroll
    for (int r = 0; r < {rows}; r++)
#pragma unroll
      for (int c = 0; c < {columns}; c++) {{
        const int i = row + r * {down}, j = column + c * {across};
        if (i < {spec.m} && j < {spec.n}) {store(dtype, "out", out, f"sum[r * {columns} + c]")}
      }}
"""
    return each(spec.batches * down * across, inside, of_block=True)


def long_sums(spec: DotSpec) -> str:
    """The lanes of a warp, or some of them, share the sum of one element."""
    dtype, type = spec.dtype, register_type(accumulator(spec.dtype))
    outputs = spec.batches * spec.m * spec.n
    (xr, xc), (yr, yc), (outr, outc) = spec.x_strides, spec.y_strides, spec.out_strides
    axes = [*spec.batch, (spec.m, xr, 0, outr), (spec.n, 0, yc, outc)]
    x, y = load(dtype, "x", f"xb + l * {xc}"), load(dtype, "y", f"yb + l * {yr}")
    step = f"blockDim.x / {LANES}"
    return f"""  const int lane = threadIdx.x % {LANES};
  for (int first = 0; first < {outputs}; first += {step}) {{
    const int i = min(first + (int)threadIdx.x / {LANES}, {outputs - 1});
    int xb = 0, yb = 0, ob = 0;
{offsets("i", axes, ("xb", "yb", "ob"))}    {type} sum = {number(accumulator(dtype), 0)};
    for (int l = lane; l < {spec.k}; l += {LANES}) {added(spec, "sum", x, y)}
    sum = fg_across_lanes<fg_add, {LANES}>(sum);
    if (lane == 0 && first + (int)threadIdx.x / {LANES} < {outputs}) {store(dtype, "out", "ob", "sum")}
  }}
"""


def reach(spec: DotSpec, number: int) -> int:
    """One more than the largest offset of an operand."""
    rows, columns = {1: (spec.m, spec.k), 2: (spec.k, spec.n), 3: (spec.m, spec.n)}[number]
    row, column = (spec.x_strides, spec.y_strides, spec.out_strides)[number - 1]
    return (
        1
        + sum((axis[0] - 1) * axis[number] for axis in spec.batch)
        + (rows - 1) * row
        + (columns - 1) * column
    )
