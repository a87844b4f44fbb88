"""One array or one instance at two places of a tree (RELIABILITY R66)."""

from operator import attrgetter

import numpy as np
import pytest

from funcgrad import tree, tree_util
from funcgrad.tree import registry


class Linear:
    def __init__(self, weight, bias=None, name="linear"):
        self.weight, self.bias, self.static = weight, bias, (name,)


tree_util.register_attributes(
    Linear,
    attrgetter("static"),
    lambda static: ("weight", "bias"),
    lambda static, children: Linear(*children, *static),
    identity=True,
)


class Stack:
    """An identity class registered with plain functions."""

    def __init__(self, *layers):
        self.layers = layers


tree_util.register_pytree_node(
    Stack, lambda stack: (stack.layers, None), lambda _, layers: Stack(*layers), identity=True
)


def repeat(function, times=4):
    """The result of each call: by the walker, and then by generated code."""
    return [function() for _ in range(times)]


def test_one_array_twice_is_one_leaf():
    x = np.ones(2)
    for leaves, treedef in repeat(lambda: tree.flatten({"a": x, "b": [x, 1.0]})):
        assert len(leaves) == 2 and leaves[0] is x
        assert repr(treedef) == "PyTreeDef({'a': *, 'b': [=0, *]})"
        assert treedef.has_ties and treedef.positions == (0, 0, 1)
        assert [tree.path_string(path) for path in treedef.paths()] == ["a", "b.1"]
        y = np.zeros(3)
        rebuilt = treedef.unflatten([y, 2.0])
        assert rebuilt["a"] is y and rebuilt["b"][0] is y


def test_equal_but_distinct_arrays_stay_separate():
    for leaves, treedef in repeat(lambda: tree.flatten([np.ones(2), np.ones(2)])):
        assert len(leaves) == 2 and not treedef.has_ties


def test_views_of_one_array_are_not_tied():
    x = np.ones(2)
    for leaves, _ in repeat(lambda: tree.flatten([x, x[:]])):
        assert len(leaves) == 2


@pytest.mark.parametrize("value", [1, 1.5, True, "text", np.float64(2.0), print, 10**30])
def test_values_are_never_tied(value):
    array = np.ones(1)
    shape = [value, value, array, value, value, value]
    for leaves, treedef in repeat(lambda: tree.flatten(shape)):
        assert len(leaves) == 6 and not treedef.has_ties


def test_ties_can_be_switched_off():
    x = np.ones(2)
    for leaves, treedef in repeat(lambda: tree.flatten((x, x), tie=False)):
        assert len(leaves) == 2 and not treedef.has_ties


def test_subclasses_of_ndarray_are_tied():
    x = np.ma.masked_array([1.0, 2.0], [True, False])
    for leaves, _ in repeat(lambda: tree.flatten((x, x))):
        assert len(leaves) == 1


def test_tied_and_untied_structures_differ():
    x, y = np.ones(2), np.ones(2)
    for tied, untied in repeat(lambda: (tree.structure([x, x, y]), tree.structure([x, y, y]))):
        assert tied != untied
        assert tied.untied() == untied.untied() == tree.structure([1, 2, 3])


def test_known_structure_with_values_where_a_tied_array_was():
    x = np.ones(2)
    repeat(lambda: tree.flatten((x, "tied", x)))
    for leaves, treedef in repeat(lambda: tree.flatten((7, "tied", 7))):
        assert len(leaves) == 3 and not treedef.has_ties


def test_many_leaves_with_one_tie():
    arrays = [np.ones(1) for _ in range(50)]
    assert {len(leaves) for leaves, _ in repeat(lambda: tree.flatten(arrays))} == {50}
    arrays[40] = arrays[7]
    assert {len(leaves) for leaves, _ in repeat(lambda: tree.flatten(arrays))} == {49}


def test_one_instance_twice_is_one_node():
    shared = Linear(np.ones(2), 3.0)
    for leaves, treedef in repeat(lambda: tree.flatten({"a": shared, "b": shared})):
        assert len(leaves) == 2  # the scalar bias counts once, too
        assert repr(treedef) == (
            "PyTreeDef({'a': CustomNode(Linear[('linear',)], [*, *]), 'b': =node0})"
        )
        assert treedef.positions == (0, 1, 0, 1)
        rebuilt = treedef.unflatten([5, 6])
        assert rebuilt["a"] is rebuilt["b"] and (rebuilt["b"].weight, rebuilt["b"].bias) == (5, 6)


def test_two_instances_with_one_array():
    x = np.ones(2)
    first, second = Linear(x), Linear(x)
    for leaves, treedef in repeat(lambda: tree.flatten((first, second))):
        assert len(leaves) == 1
        rebuilt = treedef.unflatten(leaves)
        assert rebuilt[0] is not rebuilt[1] and rebuilt[0].weight is rebuilt[1].weight


def test_a_shared_node_with_shared_nodes_inside():
    inner = Linear(np.ones(1), None)
    block = Stack(inner, Linear(np.ones(2), 1.0), inner)
    for leaves, treedef in repeat(lambda: tree.flatten([block, inner, block])):
        assert len(leaves) == 3
        rebuilt = treedef.unflatten(leaves)
        assert rebuilt[0] is rebuilt[2]
        assert rebuilt[0].layers[0] is rebuilt[0].layers[2] is rebuilt[1]
        assert tree.structure(rebuilt) == treedef


def test_an_instance_without_leaves_is_shared_too():
    identity = Stack()
    for _, treedef in repeat(lambda: tree.flatten([identity, identity])):
        assert treedef.has_ties and treedef.num_leaves == 0
        rebuilt = treedef.unflatten([])
        assert rebuilt[0] is rebuilt[1]


def test_children_of_a_tied_structure_stand_alone():
    x, shared = np.ones(2), Linear(np.ones(3), 1.0)
    value = (x, [x, x, shared], {"s": shared, "x": x})
    assert tree.structure(value).children() == [tree.structure(part) for part in value]


def test_is_leaf_parts_are_tied_by_identity():
    shared = Linear(np.ones(2))
    found = tree.leaves((shared, shared, [1], [1]), is_leaf=lambda part: isinstance(part, Linear))
    assert found == [shared, 1, 1]


def test_added_identity_types():
    class Tracer:
        pass

    class SubTracer(Tracer):
        pass

    token = SubTracer()
    assert {len(leaves) for leaves, _ in repeat(lambda: tree.flatten((token, token)))} == {2}
    registry.add_identity_type(Tracer)
    assert {len(leaves) for leaves, _ in repeat(lambda: tree.flatten((token, token)))} == {1}


# --- several trees ---


def count_calls(*trees):
    calls = []
    result = tree.map(lambda *leaves: calls.append(leaves) or np.zeros(1), *trees)
    return len(calls), result


def test_map_of_one_tree_runs_once_per_tied_leaf():
    x = np.ones(2)
    calls, result = count_calls({"a": x, "b": x})
    assert calls == 1 and result["a"] is result["b"]


def test_map_with_the_same_ties():
    x, y = np.ones(2), np.ones(2)
    for calls, result in repeat(lambda: count_calls({"a": x, "b": x}, {"a": y, "b": y})):
        assert calls == 1 and result["a"] is result["b"]


@pytest.mark.parametrize("mask", [True, 0.5, "sgd", None, (1, {"k": 0.1})])
def test_map_with_equal_values_at_tied_places_keeps_the_tie(mask):
    """A mask of bools made by `map` has no array to be tied by."""
    x = np.ones(2)
    calls, result = count_calls({"a": x, "b": x}, {"a": mask, "b": mask})
    assert calls == 1 and result["a"] is result["b"]


def test_map_with_other_values_at_tied_places_is_untied():
    x = np.ones(2)
    for other in ({"a": 1, "b": 2}, {"a": np.ones(2), "b": np.ones(2)}, {"a": 1, "b": True}):
        calls, result = count_calls({"a": x, "b": x}, other)
        assert calls == 2 and result["a"] is not result["b"]


def test_map_of_an_untied_tree_with_a_tied_one():
    x = np.ones(2)
    calls, _ = count_calls([np.ones(2), np.ones(2)], [x, x])
    assert calls == 2


def test_map_over_tied_nested_states():
    x, m, v = np.ones(2), np.ones(2), np.ones(2)
    calls, result = count_calls([x, x], [(m, v), (m, v)])
    assert calls == 1 and result[0] is result[1]


def test_map_with_different_ties_passes_values_by_position():
    x, shared = np.ones(2), Linear(np.ones(3), 1.0)
    seen = []
    result = tree.map(
        lambda a, b: seen.append(b),
        (x, x, shared, shared),
        (1, 2, shared, 4)[:2] + (Linear(3, 4), Linear(5, 6)),
    )
    assert seen == [1, 2, 3, 4, 5, 6]
    assert result[2] is not result[3]


def test_flatten_up_to_takes_the_first_position():
    x = np.ones(2)
    treedef = tree.structure({"a": x, "b": [x, 0], "c": x})
    assert treedef.flatten_up_to({"a": 1, "b": [2, 3], "c": 4}) == [1, 3]


def test_transpose_keeps_ties():
    x = np.ones(2)
    outer = tree.structure((0, 0))
    result = tree.transpose(outer, None, ({"a": x, "b": x}, {"a": x, "b": x}))
    assert result["a"] is result["b"]


def test_prefix_over_tied_leaves_must_agree():
    x = np.ones(2)
    assert tree.broadcast_prefix(0, (x, x), what="in_axes") == [0]
    assert tree.broadcast_prefix((1, 1), (x, x), what="in_axes") == [1]
    with pytest.raises(ValueError, match=r"in_axes: at 1\.w: None, but the same array at 0 has 0"):
        is_none = lambda part: part is None
        tree.broadcast_prefix((0, None), (x, {"w": x}), is_none, what="in_axes")


def test_paths_of_tied_leaves_are_the_first():
    x = np.ones(2)
    pairs = tree.leaves_with_path({"b": x, "a": (0, x)})
    assert [(tree.path_string(path), leaf is x) for path, leaf in pairs] == [
        ("a.0", False),
        ("a.1", True),
    ]


def test_leaves_are_never_compared():
    class Touchy:
        def __eq__(self, other):
            raise AssertionError("leaves must not be compared")

        __hash__ = None

    touchy = Touchy()
    arrays = [np.ones(3), np.ones(3)]
    for _ in range(4):
        tree.flatten([touchy, touchy, *arrays])
        tree.map(lambda *parts: None, [touchy, *arrays], [touchy, *arrays])


def test_known_structure_of_distinct_instances_met_with_a_shared_one():
    repeat(lambda: tree.flatten([Stack(), Stack(1)]))
    repeat(lambda: tree.flatten([Stack(), Stack()]))
    shared = Stack()
    for _, treedef in repeat(lambda: tree.flatten([shared, shared])):
        assert treedef.has_ties


def test_references_move_with_their_subtree():
    first, second = Linear(np.ones(1), 1.0), Linear(np.ones(2), 2.0)
    value = ([first, first], [second, [second, second]])
    parts = [tree.structure(part) for part in value]
    assert tree.structure(value).children() == parts
    assert tree.PyTreeDef.from_tuple(parts) == tree.structure(value)


def test_equal_values_made_apart_keep_the_tie():
    x = np.ones(2)
    rates = [float("0.25"), float("0.25")]
    assert rates[0] is not rates[1]
    calls, _ = count_calls([x, x], rates)
    assert calls == 1
    calls, _ = count_calls([x, x], [np.float32(1), np.float32(1)])
    assert calls == 1
    calls, _ = count_calls([x, x], [0.0, -0.0])
    assert calls == 2
