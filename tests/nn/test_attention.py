"""Attention: formula, masks, heads that share keys, chunks, dropout, errors; positions."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.test_util
from funcgrad import nn
from funcgrad.control import attention_loops

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

RNG = np.random.default_rng(0)
Q = RNG.normal(size=(2, 5, 4, 3))
K, V = RNG.normal(size=(2, 2, 7, 2, 3))


def plain(query, key, value, mask=None, bias=0.0, scale=None):
    """The formula, head by head, without care for overflow."""
    examples, length, heads, size = query.shape
    groups = heads // key.shape[2]
    shape = (examples, heads, length, key.shape[1])
    allowed = np.broadcast_to(True if mask is None else mask, shape)
    bias = np.broadcast_to(bias, shape)
    out = np.zeros((examples, length, heads, value.shape[-1]))
    for b in range(examples):
        for h in range(heads):
            logits = query[b, :, h] @ key[b, :, h // groups].T
            powers = np.exp(logits * (scale or size**-0.5) + bias[b, h]) * allowed[b, h]
            total = powers.sum(-1, keepdims=True)
            out[b, :, h] = powers / np.where(total, total, 1) @ value[b, :, h // groups]
    return out


CAUSAL = np.tril(np.ones((5, 7), bool))
PADDED = np.arange(7) < np.array([3, 6])[:, None, None, None]
OPTIONS = {
    "plain": ({}, {}),
    "causal": ({"is_causal": True}, {"mask": CAUSAL}),
    "mask": ({"mask": CAUSAL[None, None] & PADDED}, {"mask": CAUSAL & PADDED}),
    "small mask": ({"mask": CAUSAL}, {"mask": CAUSAL}),
    "bias": ({"bias": Q[:, :, :1, :1].transpose(0, 2, 1, 3)},) * 2,
    "scale": ({"scale": 0.3}, {"scale": 0.3}),
    "lengths": ({"key_value_seq_lengths": [3, 6]}, {"mask": PADDED}),
    "window": (
        {"local_window_size": (1, 2)},
        {"mask": np.tril(np.triu(np.ones((5, 7), bool), -1), 2)},
    ),
}


@pytest.mark.parametrize("chunk", [None, 2, 5])
@pytest.mark.parametrize("name", OPTIONS)
def test_formula_in_one_piece_and_in_chunks(name, chunk):
    ours, reference = OPTIONS[name]
    found = nn.dot_product_attention(Q, K, V, **ours, chunk_size=chunk)
    np.testing.assert_allclose(found, plain(Q, K, V, **reference), rtol=1e-10)


def test_queries_that_are_not_there():
    found = nn.dot_product_attention(Q, K, V, query_seq_lengths=np.array([2, 5]))
    assert (found[0, 2:] == 0).all() and (found[0, :2] != 0).all() and (found[1] != 0).all()


def test_gradient_in_chunks_is_that_of_one_piece():
    def loss(q, k, v, chunk):
        return (nn.dot_product_attention(q, k, v, is_causal=True, chunk_size=chunk) ** 2).sum()

    whole = fg.grad(loss, (0, 1, 2))(Q, K, V, None)
    for transform in (lambda f: f, lambda f: fg.jit(f, static_argnums=3)):
        parts = transform(fg.grad(loss, (0, 1, 2)))(Q, K, V, 2)
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_no_weights_are_kept_for_the_backward_pass():
    x = np.zeros((1, 64, 1, 4))

    def largest(**options):
        def loss(q):
            return nn.dot_product_attention(q, x, x, **options).sum()

        text = str(fg.make_jaxpr(fg.grad(loss))(x))
        return text.count("64,64]")

    dropped = largest(dropout_rate=0.5, dropout_key=0)
    assert dropped > 0 and largest() == largest(chunk_size=8) == 0


# --- the primitive, head by head and block by block ---

LONG = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (3, 1)},
    "causal window": {"is_causal": True, "local_window_size": 2},
    "lengths": {"query_seq_lengths": [9, 16], "key_value_seq_lengths": np.array([20, 3])},
    "mask": {"mask": RNG.integers(0, 2, (2, 1, 16, 20)).astype(bool), "is_causal": True},
    "small mask": {"mask": np.arange(20) % 3 > 0},
    "bias": {"bias": RNG.normal(size=(1, 4, 16, 20)), "local_window_size": 4},
    "bias of an example": {"bias": RNG.normal(size=(2, 1, 1, 20))},
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", LONG)
def test_blocks_of_heads(name, jit, monkeypatch):
    """Blocks, and chunks of these, give what one piece gives."""
    q = RNG.normal(size=(2, 16, 4, 3))
    k, v = RNG.normal(size=(2, 2, 20, 2, 3))
    # What is compiled is remembered by its text, which constants are no part of.
    scale = 0.3 + 0.01 * jit

    def results(q, k, v):
        run = lambda *xs: nn.dot_product_attention(*xs, **LONG[name], scale=scale)
        out, pull = fg.vjp(run, q, k, v)
        return (out, *pull(out))

    wanted = results(q, k, v)
    monkeypatch.setattr(attention_loops, "LEAST_BYTES", 0)
    monkeypatch.setattr(attention_loops, "LEAST_HEAD_BYTES", 0)
    monkeypatch.setattr(attention_loops, "BLOCK_BYTES", 300)
    chunks = []
    monkeypatch.setattr(attention_loops, "chunked", counted(attention_loops.chunked, chunks))
    found = (fg.jit(results) if jit else results)(q, k, v)
    assert chunks or jit  # compiled code may be that of an earlier run
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)


def counted(function, calls):
    def run(*args):
        calls.append(args)
        return function(*args)

    return run


def test_long_sequences_in_blocks():
    q = RNG.normal(size=(2, 384, 4, 8)).astype(np.float32)
    k, v = RNG.normal(size=(2, 2, 384, 2, 8)).astype(np.float32)
    mask = np.tril(np.ones((384, 384), bool))

    def results(mask, is_causal, q, k, v):
        run = lambda *xs: nn.dot_product_attention(*xs, mask=mask, is_causal=is_causal)
        out, pull = fg.vjp(run, q, k, v)
        return (out, *pull(out))

    parts = fg.jit(lambda *xs: results(None, True, *xs))(q, k, v)
    np.testing.assert_allclose(parts[0], plain(q, k, v, mask), atol=1e-5)
    for transform in (lambda f: f, fg.jit):
        whole = transform(lambda *xs: results(mask, False, *xs))(q, k, v)
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)


def test_vmap_and_higher_derivatives():
    def loss(q, k, v):
        return (nn.dot_product_attention(q, k, v, is_causal=True) ** 2).sum()

    q, k, v = Q[:, :3, :2], K[:, :3, :1], V[:, :3, :1]
    step = [RNG.normal(size=x.shape) for x in (q, k, v)]
    forward = fg.jvp(loss, (q, k, v), tuple(step))[1]
    slopes = fg.grad(loss, (0, 1, 2))(q, k, v)
    np.testing.assert_allclose(
        forward, sum((a * b).sum() for a, b in zip(slopes, step, strict=True))
    )
    along = lambda t: fg.grad(loss, 0)(q + t * step[0], k + t * step[1], v + t * step[2])
    twice = fg.jvp(along, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(twice, (along(1e-5) - along(-1e-5)) / 2e-5, rtol=1e-5, atol=1e-6)
    each = [fg.grad(loss, (0, 1, 2))(*(x[i : i + 1] for x in (q, k, v))) for i in range(2)]
    together = fg.vmap(fg.grad(lambda *xs: loss(*(x[None] for x in xs)), (0, 1, 2)))(q, k, v)
    for i in range(2):
        for a, b in zip(each[i], together, strict=True):
            np.testing.assert_allclose(a[0], b[i], rtol=1e-8, atol=1e-12)
    fg.test_util.check_grads(lambda k: nn.dot_product_attention(q, k, v), (k,), 2)


def test_in_scans_and_checkpoints():
    def layer(x, _):
        return fg.checkpoint(lambda x: x + nn.dot_product_attention(x, x, x, is_causal=True))(
            x
        ), None

    def loss(x):
        return (fg.lax.scan(layer, x, None, length=3)[0] ** 2).sum()

    def unrolled(x):
        for _ in range(3):
            x, _ = layer(x, None)
        return (x**2).sum()

    found = fg.jit(fg.grad(loss))(Q)
    np.testing.assert_allclose(found, fg.grad(unrolled)(Q), rtol=1e-8)


def test_checkpoints_compute_weights_again():
    """Weights that the same program has are read for the gradient, but not across a checkpoint."""

    def products(wrap):
        def loss(x):
            return (wrap(lambda x: nn.dot_product_attention(x, x, x))(x) ** 2).sum()

        x = np.ones((1, 16, 1, 4))
        return str(fg.debug.inspect(fg.grad(loss), x).graph).count("step dot")

    assert products(lambda f: f) == 6 and products(fg.checkpoint) >= 7


def test_what_stays_composed():
    """Other dtypes, traced scales, dropout."""

    def names(f, *args):
        return str(fg.make_jaxpr(f)(*args))

    run = nn.dot_product_attention
    assert "attention[" in names(run, Q, K, V)
    assert "attention[" not in names(run, Q.astype(np.float32), K, V)
    assert "attention[" not in names(lambda s: run(Q, K, V, scale=s), 0.5)
    assert "attention[" not in names(lambda q: run(q, K, V, dropout_rate=0.5, dropout_key=0), Q)
    scaled = fg.grad(lambda s: run(Q, K, V, scale=s).sum())(0.5)
    near = [run(Q, K, V, scale=0.5 + d).sum() for d in (1e-5, -1e-5)]
    np.testing.assert_allclose(scaled, (near[0] - near[1]) / 2e-5, rtol=1e-5)


def test_rows_without_keys_are_zero_with_finite_gradients():
    mask = np.ones((5, 7), bool)
    mask[2] = False
    found, pull = fg.vjp(lambda *xs: nn.dot_product_attention(*xs, mask=mask), Q, K, V)
    assert (found[:, 2] == 0).all()
    slopes = pull(np.ones_like(found))
    assert all(np.isfinite(s).all() for s in slopes) and (slopes[0][:, 2] == 0).all()


def test_one_example_half_precision_and_large_logits():
    np.testing.assert_allclose(
        nn.dot_product_attention(Q[0], K[0], V[0]), nn.dot_product_attention(Q, K, V)[0]
    )
    half = nn.dot_product_attention(*(x.astype(np.float16) for x in (Q, K, V)))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, plain(Q, K, V), atol=2e-2)
    assert np.isfinite(nn.dot_product_attention(Q * 1e4, K * 1e4, V)).all()


def test_errors():
    with pytest.raises(ValueError, match="multiple of those of the key"):
        nn.dot_product_attention(Q[:, :, :3], K, V)
    with pytest.raises(ValueError, match="times and heads of key and value"):
        nn.dot_product_attention(Q, K, V[:, :3])
    with pytest.raises(ValueError, match="mask must be a bool array.*mask != 0"):
        nn.dot_product_attention(Q, K, V, mask=np.ones((5, 7)))
    with pytest.raises(ValueError, match="expected .examples, times, heads, size."):
        nn.dot_product_attention(Q[0, 0], K[0, 0], V[0, 0])
    with pytest.raises(ValueError, match="do not go together"):
        nn.dot_product_attention(Q, K, V, dropout_rate=0.5, dropout_key=0, chunk_size=2)


# --- layers ---


def test_heads_that_share_keys():
    layer = nn.MultiheadAttention(4, 8, num_key_value_heads=2, dtype=np.float64, key=0)
    x = RNG.normal(size=(3, 5, 8))
    assert layer.k_proj_weight.shape == (4, 8)
    q, k, v = layer.projected(x, x, x)
    wanted = plain(q, k, v).reshape(3, 5, 8) @ layer.out_proj.weight.T
    np.testing.assert_allclose(layer(x, x, x), wanted, rtol=1e-8)
    np.testing.assert_allclose(layer(x[0], x[0], x[0]), wanted[0], rtol=1e-8)
    np.testing.assert_allclose(layer(x[None], x[None], x[None])[0], wanted, rtol=1e-8)
    np.testing.assert_allclose(layer(x, x, x, chunk_size=2), wanted, rtol=1e-8)
    mask = np.zeros((3, 1, 1, 5), bool)
    assert (layer(x, x, x, mask) == 0).all()


def test_attention_layer_options():
    layer = nn.MultiheadAttention(2, 8, 6, 4, 10, 3, 5, use_key_bias=True, key=0)
    assert layer.k_proj_bias.shape == (6,) and layer.q_proj_bias is None
    q, k, v = (np.ones((3, 5, n), np.float32) for n in (8, 6, 4))
    assert layer(q, k, v).shape == (3, 5, 10)
    rope = nn.RotaryPositionalEmbedding(4)

    def turned(q, k, v):
        return rope(q, axis=-3), rope(k, axis=-3), v

    layer = nn.MultiheadAttention(2, 8, key=0)
    x = RNG.normal(size=(3, 5, 8)).astype(np.float32)
    assert not np.allclose(layer(x, x, x, process_heads=turned), layer(x, x, x), rtol=1e-3)
    with pytest.raises(ValueError, match="cannot be split into 3 equal heads"):
        nn.MultiheadAttention(3, 8, key=0)
    with pytest.raises(
        ValueError, match=r"\[MultiheadAttention\] expected .* \(\.\.\., times, 8\)"
    ):
        layer(k, k, k)


def test_dropout_of_weights():
    layer = nn.MultiheadAttention(2, 8, dropout_p=0.5, key=0)
    x = RNG.normal(size=(3, 5, 8)).astype(np.float32)
    same = layer(x, x, x)
    dropped, _ = layer.apply(x, x, x, train=True, key=0)
    assert not np.allclose(same, dropped)
    np.testing.assert_array_equal(layer(x, x, x, key=3), layer(x, x, x, key=3))
    np.testing.assert_array_equal(nn.inference_mode(layer)(x, x, x, key=3), same)
    with pytest.raises(RuntimeError, match="needs a random key"):
        layer.apply(x, x, x, train=True)


def test_transformer_stacks():
    def encoder_layer(key):
        return nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, key=key)

    def decoder_layer(key):
        return nn.TransformerDecoderLayer(8, 2, 16, 0.1, batch_first=True, key=key)

    encoder = nn.TransformerEncoder(encoder_layer, 2, nn.LayerNorm(8), key=0)
    decoder = nn.TransformerDecoder(decoder_layer, 2, key=1)
    x, y = RNG.normal(size=(2, 3, 5, 8)).astype(np.float32)
    there = np.arange(5) < np.array([2, 5, 4])[:, None]
    memory = encoder(x, src_key_padding_mask=~there)
    changed = np.where(there[..., None], x, 9.0)
    np.testing.assert_allclose(
        encoder(changed, src_key_padding_mask=~there)[there], memory[there], rtol=1e-4, atol=1e-5
    )
    out = decoder(y, memory, tgt_is_causal=True)
    later = y.copy()
    later[:, 3:] = 0
    np.testing.assert_allclose(
        decoder(later, memory, tgt_is_causal=True)[:, :3], out[:, :3], rtol=1e-4, atol=1e-5
    )
    assert not np.array_equal(encoder.apply(x, train=True, key=0)[0], encoder(x))
    weights = [layer.linear1.weight[0, 0] for layer in encoder.layers]
    assert weights[0] != weights[1]
    with pytest.raises(
        TypeError, match=r"\[TransformerEncoderLayer at layers.0\] masks are arrays of bools"
    ):
        encoder(x, np.zeros((5, 5)))
    with pytest.raises(ValueError, match="activation must be"):
        nn.TransformerEncoderLayer(8, 2, activation="swish", key=0)


# --- positions ---


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_positions(interleaved):
    rope = nn.RotaryPositionalEmbedding(6, theta=100.0, interleaved=interleaved)
    x = RNG.normal(size=(2, 5, 6))
    first, second = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., :3], x[..., 3:])
    z = (first + 1j * second) * np.exp(1j * np.arange(5)[:, None] * 100.0 ** -(np.arange(3) / 3))
    y = rope(x)
    real, imag = (y[..., ::2], y[..., 1::2]) if interleaved else (y[..., :3], y[..., 3:])
    np.testing.assert_allclose(real + 1j * imag, z)
    products = rope(x, positions=np.arange(5) + 7)[0] @ rope(x, positions=np.arange(5) + 7)[1].T
    np.testing.assert_allclose(products, y[0] @ y[1].T)  # only differences count
    np.testing.assert_allclose(rope(x[:, :, None], axis=-3)[:, :, 0], y)
    with pytest.raises(ValueError, match="even number"):
        nn.RotaryPositionalEmbedding(5)
    with pytest.raises(ValueError, match="times, 6"):
        rope(x[..., :4])


def test_sinusoidal_positions():
    layer = nn.SinusoidalPositionalEncoding(4)
    angles = np.arange(3)[:, None] * np.array([1.0, 0.01])
    y = layer(np.zeros((2, 3, 4), np.float32))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[0, :, ::2], np.sin(angles), rtol=1e-6)
    np.testing.assert_allclose(y[1, :, 1::2], np.cos(angles), rtol=1e-6)
