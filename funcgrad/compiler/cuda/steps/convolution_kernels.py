"""Kernels of convolutions: zeros around an array, and places whose products are summed one by one."""

from __future__ import annotations

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
from funcgrad.compiler.cuda.steps.text import THREADS, blocks_for, each, index_type, kernel, offsets
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part, total
from funcgrad.ops.reduce import accumulator

LONG = 512  # products that a block sums together
FEW = 1 << 15  # places that do not keep a device busy with a thread each


def pad_source(spec: ConvSpec) -> Source:
    """A kernel on (x, padded)."""
    type, element = index_type(spec.padded_size), memory_type(spec.dtype)
    lines, rest = [f"    {type} at = 0; bool inside = true;\n"], "i"
    axes = zip(spec.shape, spec.padded_shape, spec.padding, spec.strides, strict=True)
    for length, padded, (low, _), stride in reversed(list(axes)):
        lines.append(f"    {{ {type} c = {rest} % {padded} - {low}; ")
        lines.append(f"inside &= c >= 0 && c < {length}; at += c * {stride}; }}\n")
        rest = f"{rest} / {padded}"
    zero = number(spec.dtype, 0)
    value = f"inside ? {load(spec.dtype, 'x', 'at')} : {zero}"
    lines.append(f"    {store(spec.dtype, 'padded', 'i', value)}\n")
    pointers = (f"const {element}* x", f"{element}* padded")
    blocks = blocks_for(spec.padded_size, per_thread=4)
    body = each(spec.padded_size, "".join(lines))
    return kernel("pad", pointers, body, blocks, prelude=sections(spec.dtype))


def direct_source(spec: ConvSpec, part: Part) -> Source:
    """A kernel on (x, w, out) that sums the products of each place, by a thread or, if there are many, by a block."""
    places = [
        *[(n, x, w, out) for n, x, w, out in part.groups],
        *[(n, x, 0, out) for n, x, out in part.rows],
        *[(n, 0, w, out) for n, w, out in part.columns],
    ]
    places.sort(key=lambda axis: -axis[3])
    count, terms = total(places), total(part.terms)
    by_blocks = terms >= LONG and count <= FEW
    dtype, wide = spec.dtype, accumulator(spec.dtype)
    product = combine("multiply", wide, load(dtype, "x", "xt"), load(dtype, "w", "wt"))
    first, step = ("threadIdx.x", THREADS) if by_blocks else ("0", 1)
    type = index_type(spec.padded_size, spec.out_size, reach(part))
    body = f"""    {type} xb = 0, wb = 0, ob = 0;
{offsets("i", places, ("xb", "wb", "ob"))}    {register_type(wide)} sum = {number(wide, 0)};
    for (int t = {first}; t < {terms}; t += {step}) {{
      {type} xt = xb, wt = wb;
{offsets("t", part.terms, ("xt", "wt"), "      ")}      sum = {combine("add", wide, "sum", product)};
    }}
"""
    element = memory_type(dtype)
    pointers = (f"const {element}* x", f"const {element}* w", f"{element}* out")
    prelude = {*sections(dtype, wide), "combine", "groups"}
    if not by_blocks:
        text = each(count, body + f"    {store(dtype, 'out', 'ob', 'sum')}\n")
        return kernel("convolve", pointers, text, blocks_for(count), prelude=prelude)
    text = f"""  FG_SHARED({register_type(wide)}, room, {THREADS // 32});
  for (int i = blockIdx.x; i < {count}; i += gridDim.x) {{
{body}    sum = fg_across_block<fg_add, {THREADS}>(sum, room);
    if (threadIdx.x == 0) {store(dtype, "out", "ob", "sum")}
  }}
"""
    return kernel("convolve_long", pointers, text, count, prelude=prelude)


def reach(part: Part) -> int:
    """One more than the largest offset in the weights."""
    axes = [(n, w) for n, _, w, _ in part.groups] + [(n, w) for n, w, _ in part.columns]
    axes += [(n, w) for n, _, w in part.terms]
    return 1 + sum((n - 1) * abs(step) for n, step in axes)
