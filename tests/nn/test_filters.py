"""Splitting and editing trees: filter, partition, combine, tree_at, tree_equal."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")


@pytest.fixture
def model():
    return nn.MLP(2, 1, 3, 1, key=0)


@pytest.mark.parametrize(
    ("value", "array", "inexact", "like"),
    [
        (np.ones(2), True, True, True),
        (np.arange(2), True, False, True),
        (np.float32(1), True, True, True),
        (np.ones(2, ml_dtypes.bfloat16), True, True, True),
        (np.ones(2, complex), True, True, True),
        (1.0, False, False, True),
        (True, False, False, True),
        ("text", False, False, False),
        (None, False, False, False),
        (np.array(["text"]), False, False, False),
        (np.zeros(1, [("a", "f4")]), False, False, False),
    ],
    ids=repr,
)
def test_predicates(value, array, inexact, like):
    found = (nn.is_array(value), nn.is_inexact_array(value), nn.is_array_like(value))
    assert found == (array, inexact, like)


def test_predicates_on_traced_values():
    found = []
    fg.jit(lambda x, n: found.append((nn.is_array(x), nn.is_inexact_array(n))))(np.ones(1), 2)
    assert found == [(True, False)]


def test_partition_and_combine(model):
    spec = nn.tree_at(
        lambda m: m.layers[0], tree.map(lambda _: False, model), replace_fn=lambda x: True
    )
    first, rest = nn.partition(model, spec)
    assert first.layers[0].weight is model.layers[0].weight and first.layers[1].weight is None
    assert rest.layers[0].weight is None
    assert nn.tree_equal(nn.combine(first, rest), model)


def test_gradient_of_a_part(model):
    trained, frozen = nn.partition(model, lambda leaf: leaf.ndim == 1)

    def loss(trained):
        return np.sum(nn.combine(trained, frozen)(np.ones(2, np.float32)))

    gradient = fg.grad(loss)(trained)
    assert gradient.layers[0].weight is None and gradient.layers[1].bias.tolist() == [1.0]


def test_partition_keeps_ties():
    shared = np.ones(2)
    parts = nn.partition({"a": shared, "b": shared, "f": abs}, nn.is_array)
    whole = nn.combine(*parts)
    assert whole["a"] is whole["b"] and whole["f"] is abs


@pytest.mark.parametrize("spec", [1, "weight", lambda leaf: leaf])
def test_bad_filter(spec):
    with pytest.raises(TypeError, match="bools"):
        nn.filter({"a": np.ones(2)}, spec)


def test_filter_prefix_mismatch_names_the_path():
    with pytest.raises(ValueError, match="filter_spec"):
        nn.filter({"a": 1.0}, {"b": True})


# --- tree_at ---


def test_tree_at_one_and_several(model):
    new = nn.tree_at(lambda m: m.layers[0].bias, model, np.full(3, 7.0))
    assert new.layers[0].bias[0] == 7 and model.layers[0].bias[0] != 7
    assert new.layers[1].weight is model.layers[1].weight
    new = nn.tree_at(
        lambda m: (m.layers[0].bias, m.layers[1].bias), model, replace_fn=lambda b: 0 * b
    )
    assert not new.layers[0].bias.any() and not new.layers[1].bias.any()
    new = nn.tree_at(lambda m: [m.layers[0], m.layers[1].bias], model, ["x", "y"])
    assert new.layers[0] == "x" and new.layers[1].bias == "y"


def test_tree_at_a_module_or_container(model):
    new = nn.tree_at(lambda m: m.layers[1], model, nn.Identity())
    assert isinstance(new.layers[1], nn.Identity)
    new = nn.tree_at(lambda m: m.layers, model, replace_fn=lambda layers: layers[:1])
    assert len(new.layers) == 1 and new.layers[0].weight.shape == (3, 2)


def test_tree_at_changes_static_fields_through_their_module(model):
    new = nn.tree_at(
        lambda m: m.layers[0], model, replace_fn=lambda layer: layer.replace(bias=None)
    )
    assert new.layers[0].bias is None and len(tree.leaves(new)) == 3


def test_tree_at_keeps_ties():
    shared = nn.Linear(2, 2, key=0)
    model = nn.Sequential([shared, nn.relu, shared])
    new = nn.tree_at(lambda m: m[0].weight, model, np.eye(2))
    assert new[0] is new[2] and new[2].weight[0, 0] == 1
    new = nn.tree_at(lambda m: m[0], model, nn.Linear(2, 2, key=1))
    assert new[0] is new[2]


def test_tree_at_equal_leaves_are_told_apart():
    assert nn.tree_at(lambda t: t[1], [1, 1, 1], 5) == [1, 5, 1]
    assert nn.tree_at(lambda t: t["b"], {"a": None, "b": None}, 1, is_leaf=lambda x: x is None) == {
        "a": None,
        "b": 1,
    }


def test_tree_at_under_jit(model):
    @fg.jit
    def scaled(model, factor):
        return nn.tree_at(lambda m: m.layers[0].bias, model, replace_fn=lambda b: b * factor)

    assert scaled(model, 0.0).layers[0].bias.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "where",
    [lambda m: 3, lambda m: m.depth, lambda m: m.activation, lambda m: m.layers[0].bias.leaf],
)
def test_tree_at_refuses_what_is_no_part(model, where):
    with pytest.raises(ValueError, match=r"not a part of the tree.*layer\.replace"):
        nn.tree_at(where, model, 1)


def test_tree_at_argument_errors(model):
    with pytest.raises(ValueError, match="either replace or replace_fn"):
        nn.tree_at(lambda m: m.layers, model)
    with pytest.raises(TypeError, match="function that chooses a part"):
        nn.tree_at(model, lambda m: m.layers, 1)
    with pytest.raises(ValueError, match="no part"):
        nn.tree_at(lambda m: None, model, 1)
    with pytest.raises(ValueError, match="expected tuple of length 2"):
        nn.tree_at(lambda m: (m.layers[0].bias, m.layers[1].bias), model, (1,))


# --- tree_equal ---


def test_tree_equal(model):
    assert nn.tree_equal(model, nn.MLP(2, 1, 3, 1, key=0), nn.MLP(2, 1, 3, 1, key=0))
    assert not nn.tree_equal(model, nn.MLP(2, 1, 3, 1, key=1))
    assert not nn.tree_equal(model, model.replace(activation=nn.gelu))
    assert not nn.tree_equal(np.ones(2), np.ones(2, np.float32))
    assert not nn.tree_equal(np.ones(2), np.ones((2, 1)))
    assert nn.tree_equal(np.ones(2), np.ones(2) + 1e-7, atol=1e-6)
    assert not nn.tree_equal(np.ones(2), np.ones(2) + 1e-7)
    assert nn.tree_equal([1, "a", None], [1, "a", None]) and not nn.tree_equal([1], [True])
    assert nn.tree_equal(np.float64(1), np.array(1.0))
    assert not nn.tree_equal(np.float64(1), np.array(1.0), typematch=True)


def test_tree_equal_under_jit():
    same = fg.jit(nn.tree_equal)
    assert same({"a": np.ones(2)}, {"a": np.ones(2)})
    assert not same({"a": np.ones(2)}, {"a": np.zeros(2)})
