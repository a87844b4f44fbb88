"""Initialisers: JAX's numbers, the variances they promise, shapes, dtypes and errors."""

import pickle

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.nn import initializers

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

# jax 0.10.2, key(3), float32.
GOLDEN = {
    "glorot_uniform": [-0.93320411, 0.95992619, 0.32634848, 1.04203343, -0.48554999, 0.18170823],
    "he_normal": [-1.50053108, 1.58376765, 0.41414264, 1.91528535, -0.63422954, 0.22709230],
    "lecun_normal": [-0.86633199, 0.91438866, 0.23910534, 1.10579038, -0.36617258, 0.13111179],
    "fan_out": [-1.18086398, 1.25689936, 0.31231505, 1.60907137, -0.47982845, 0.17098716],
    "orthogonal": [-1.79964185, 0.47596955, -0.73126066, 0.56067276, 1.91517329, -0.13325745],
    "delta_orthogonal": [
        *[-1.79964185, 0.47596955, -0.73126066, 0.56067276, 1.91517329, -0.13325748],
        *[0.0] * 18,
    ],
    "truncated": [-0.65995282, 0.69656132, 0.18214524],
}
MADE = {
    "glorot_uniform": (initializers.glorot_uniform(), (2, 3)),
    "he_normal": (initializers.he_normal(), (2, 3)),
    "lecun_normal": (initializers.lecun_normal(in_axis=-1, out_axis=-2), (2, 3)),
    "fan_out": (
        initializers.variance_scaling(2.0, "fan_out", "normal", -1, 0, batch_axis=1),
        (3, 2, 1, 1),
    ),
    "orthogonal": (initializers.orthogonal(2.0), (2, 3)),
    "delta_orthogonal": (initializers.delta_orthogonal(2.0), (2, 2, 2, 3)),
    "truncated": (initializers.truncated_normal(0.5), (3,)),
}
PRESETS = [
    f"{name}_{kind}"
    for name in ("glorot", "xavier", "lecun", "he", "kaiming")
    for kind in ("uniform", "normal")
]


@pytest.mark.parametrize("name", GOLDEN)
def test_numbers_of_jax(name):
    init, shape = MADE[name]
    found = init(fg.random.key(3), shape, np.float32)
    assert found.shape == shape and found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), GOLDEN[name], rtol=2e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_variances(name):
    values = getattr(initializers, name)()(0, (200, 300))
    fan = {"glorot": 250, "xavier": 250, "lecun": 200, "he": 100, "kaiming": 100}[
        name.split("_")[0]
    ]
    assert values.var() == pytest.approx(1 / fan, rel=0.03)
    assert abs(values.mean()) < 0.001 and values.dtype == np.float32


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_name(name):
    function = getattr(initializers, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert "variance_scaling" in function.__doc__


def test_receptive_field_counts():
    values = initializers.variance_scaling(1.0, "fan_in", "normal", 1, 0)(0, (64, 16, 3, 3))
    assert values.var() == pytest.approx(1 / (16 * 9), rel=0.05)
    values = initializers.variance_scaling(1.0, "fan_geo_avg", "normal")(0, (100, 400))
    assert values.var() == pytest.approx(1 / 200, rel=0.05)


def test_simple_ones():
    assert initializers.zeros(None, (2, 3)).dtype == np.float32
    assert initializers.ones(0, (2,), np.float64).tolist() == [1, 1]
    assert initializers.constant(3)(0, (2,)).tolist() == [3, 3]
    values = initializers.uniform(0.5)(0, (1000,))
    assert values.min() >= 0 and values.max() < 0.5
    assert initializers.normal(2.0)(0, (10000,)).std() == pytest.approx(2, rel=0.03)
    values = initializers.truncated_normal(2.0, lower=-1.0, upper=0.5)(0, (1000,))
    assert values.min() >= -2 and values.max() <= 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes(dtype):
    for init in (initializers.normal(), initializers.he_uniform(), initializers.orthogonal()):
        made = init(0, (4, 4), dtype)
        assert made.dtype == dtype
    assert initializers.normal(dtype=dtype)(0, (2,)).dtype == dtype


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 4)])
@pytest.mark.parametrize("column_axis", [-1, 0])
def test_orthogonal(shape, column_axis):
    made = initializers.orthogonal(2.0, column_axis)(0, shape, np.float64)
    assert made.shape == shape
    matrix = np.moveaxis(made, column_axis, -1).reshape(-1, shape[column_axis])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-6)


def test_under_jit_and_vmap():
    init = initializers.he_normal()
    keys = fg.random.split(fg.random.key(0), 3)
    single = fg.jit(lambda key: init(key, (2, 3)))(keys[1])
    np.testing.assert_allclose(single, init(keys[1], (2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fg.vmap(lambda key: init(key, (2, 3)))(keys)[1], single, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: initializers.variance_scaling(1.0, "fan", "normal"), "mode must be one of"),
        (lambda: initializers.variance_scaling(1.0, "fan_in", "gamma"), "distribution must be"),
        (lambda: initializers.he_normal()(0, (3,)), "at least two axes"),
        (lambda: initializers.orthogonal()(0, (3,)), "at least two axes"),
        (lambda: initializers.delta_orthogonal()(0, (2, 3)), "the shape of a kernel"),
        (lambda: initializers.delta_orthogonal()(0, (3, 4, 2)), "as many outputs as inputs"),
        (lambda: initializers.dirac()(0, (2, 3)), "the shape of a kernel"),
        (lambda: initializers.dirac(2)(0, (3, 4, 3)), "groups=2 equal groups"),
        (lambda: initializers.identity()(0, (2, 3, 4)), "the shape of a matrix"),
        (lambda: initializers.sparse(0.1)(0, (2,)), "the shape of a matrix"),
        (lambda: initializers.sparse(1.5), "a share from 0 to 1"),
    ],
)
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# --- layers ---

HE, FIXED = initializers.he_normal(), initializers.he_normal(in_axis=0, out_axis=1)


@pytest.mark.parametrize(
    ("weight", "inputs"),
    [
        (nn.Linear(400, 10, key=0, weight_init=HE).weight, 400),
        (nn.Linear(400, 10, key=0, weight_init=FIXED).weight, 10),
        (nn.Conv2d(64, 16, 3, key=0, weight_init=HE).weight, 64 * 9),
        (nn.Conv1d(64, 16, 3, groups=4, key=0, weight_init=HE).weight, 16 * 3),
        (nn.ConvTranspose2d(64, 16, 3, key=0, weight_init=HE).weight, 64 * 9),
        (nn.Bilinear(20, 30, 5, key=0, weight_init=HE).weight, 600),
        (nn.Embedding(50, 400, key=0, weight_init=HE).weight, 400),
        (nn.GRUCell(400, 5, key=0, weight_init=HE).weight_ih, 400),
        (nn.LSTM(400, 5, key=0, weight_init=HE).weight_ih_l0, 400),
        (nn.MultiheadAttention(2, 64, key=0, weight_init=HE).in_proj_weight, 64),
    ],
)
def test_layers_count_their_own_inputs(weight, inputs):
    assert weight.std() == pytest.approx((2 / inputs) ** 0.5, rel=0.1)


def test_orthogonal_filters():
    weight = nn.Conv2d(8, 4, 3, key=0, weight_init=initializers.orthogonal()).weight.reshape(4, -1)
    np.testing.assert_allclose(weight @ weight.T, np.eye(4), atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_delta_orthogonal_filters_keep_lengths(rank):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    init = initializers.delta_orthogonal(2.0)
    layer = kind(3, 5, 3, padding="SAME", use_bias=False, key=0, weight_init=init)
    assert np.count_nonzero(layer.weight) == 15
    x = np.random.default_rng(0).normal(size=(3, *(4,) * rank)).astype(np.float32)
    lengths = [np.linalg.norm(array, axis=0) for array in (x, layer(x))]
    np.testing.assert_allclose(lengths[1], 2 * lengths[0], rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dirac_kernels_hand_channels_on(rank):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    init = initializers.dirac(2)
    layer = kind(6, 4, 3, groups=2, padding=1, use_bias=False, key=0, weight_init=init)
    x = np.random.default_rng(0).normal(size=(6, *(5,) * rank)).astype(np.float32)
    np.testing.assert_array_equal(layer(x), x[[0, 1, 3, 4]])


def test_dirac_is_that_of_pytorch():
    """torch 2.13: dirac_(empty(4, 3, 4, 5), 2)."""
    weight = nn.Conv2d(6, 4, (4, 5), groups=2, key=0, weight_init=initializers.dirac(2)).weight
    assert np.argwhere(weight).tolist() == [[0, 0, 2, 2], [1, 1, 2, 2], [2, 0, 2, 2], [3, 1, 2, 2]]


def test_identity_and_sparse_weights():
    layer = nn.Linear(3, 3, use_bias=False, key=0, weight_init=initializers.identity(2.0))
    assert layer([1.0, 2.0, 3.0]).tolist() == [2, 4, 6]
    weight = nn.Linear(50, 30, key=0, weight_init=initializers.sparse(0.61, 0.5)).weight
    assert ((weight == 0).sum(0) == 19).all() and weight[weight != 0].std() == pytest.approx(
        0.5, 0.1
    )
    assert len({tuple(column) for column in (weight == 0).T}) > 40
    assert initializers.sparse(0.5)(0, (4, 4), np.float64).dtype == np.float64
