"""Attention as the stand-in for cuDNN has it: what it refuses, and what it computes, head by head in float64."""

import itertools

import numpy as np

WORKSPACE_BYTES = 1 << 10


def check(tensors, options, refused):
    """Lengths and layouts fit, and it is something that the library has; raises `refused` if it is not."""
    (b, n, t, h), (b2, k, s, h2), (b3, k2, s2, d) = (tensors[role].dim for role in "qkv")
    assert b == b2 == b3 and k == k2 and s == s2 and h == h2 and n % k == 0
    assert isinstance(options["attn_scale"], float)
    if h % 8 or d % 8:
        raise refused("hidden_dim should be multiple of 8")
    left, right = (options.get(f"diagonal_band_{side}_bound") for side in ("left", "right"))
    if left is not None and t > s:
        raise refused("Sliding window attention is only supported with max_s_q <= max_s_kv.")
    assert (left is None or left > 0) and (right is None or right >= 0)
    assert "diagonal_alignment" in options or left is right is None
    wanted = {"o": [b, n, t, d], "dO": [b, n, t, d], "stats": [b, n, t, 1]}
    wanted |= {"dq": [b, n, t, h], "dk": [b, k, s, h], "dv": [b, k, s, d]}
    for role, tensor in tensors.items():
        assert role == "bias" or list(tensor.dim) == wanted.get(role, list(tensor.dim))
        assert tensor.stride[-1] == 1
        is_wide = tensor.type.name == "FLOAT"
        assert is_wide == (role == "stats") and (
            is_wide or tensor.type.name in ("HALF", "BFLOAT16")
        )
    if "bias" in tensors:
        lengths = zip(tensors["bias"].dim, (b, n, t, s), strict=True)
        assert all(length in (1, whole) for length, whole in lengths)


def heads(arrays, options):
    """For each example and head: weights without their sums, and places of the head among all, and of its keys."""
    q, k = (arrays[role].astype(float) for role in "qk")
    groups = q.shape[1] // k.shape[1]
    rows, columns = np.arange(q.shape[2])[:, None], np.arange(k.shape[2])
    allowed = np.ones((q.shape[2], k.shape[2]), bool)
    if "diagonal_band_left_bound" in options:
        allowed &= columns + options["diagonal_band_left_bound"] > rows
    if "diagonal_band_right_bound" in options:
        allowed &= columns <= rows + options["diagonal_band_right_bound"]
    bias = np.zeros((1, 1, 1, 1))
    if "bias" in arrays:
        bias = arrays["bias"].astype(float)
    shape = (*q.shape[:2], *allowed.shape)
    for b, n in itertools.product(*map(range, q.shape[:2])):
        logits = options["attn_scale"] * q[b, n] @ k[b, n // groups].T
        logits += np.broadcast_to(bias, shape)[b, n]
        yield np.where(allowed, logits, -np.inf), (b, n), (b, n // groups)


def forward(arrays, options):
    """Write the results."""
    for logits, head, own in heads(arrays, options):
        largest = logits.max(-1, keepdims=True)
        powers = np.exp(logits - largest)
        total = powers.sum(-1, keepdims=True)
        arrays["o"][head] = powers / total @ arrays["v"][own].astype(float)
        if "stats" in arrays:
            arrays["stats"][head] = np.log(total) + largest


def backward(arrays, options):
    """Write the gradients, from the results that are given."""
    q, k, v, out, pulled = (arrays[role].astype(float) for role in ("q", "k", "v", "o", "dO"))
    sums = {role: np.zeros(arrays[role].shape) for role in ("dq", "dk", "dv")}
    for logits, head, own in heads(arrays, options):
        weights = np.exp(logits - arrays["stats"][head])
        common = (out[head] * pulled[head]).sum(-1, keepdims=True)
        slopes = weights * (pulled[head] @ v[own].T - common) * options["attn_scale"]
        sums["dq"][head] += slopes @ k[own]
        sums["dk"][own] += slopes.T @ q[head]
        sums["dv"][own] += weights.T @ pulled[head]
    for role, total in sums.items():
        arrays[role][...] = total
