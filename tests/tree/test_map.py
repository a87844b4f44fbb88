"""map, reduce, transpose, broadcast: meaning and errors."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

from funcgrad import tree, tree_util

P = namedtuple("P", "x y")
is_none = lambda part: part is None


def add(*values):
    return sum(values)


def test_map_over_several_trees():
    first, second = {"a": 1, "b": (2, None)}, {"a": 10, "b": (20, None)}
    for _ in range(3):
        assert tree.map(add, first, second, second) == {"a": 21, "b": (42, None)}


def test_a_tree_may_go_deeper_than_the_first():
    assert tree.map(lambda x, y: (x, y), [1, 2], [None, {"a": 3}]) == [(1, None), (2, {"a": 3})]


def test_none_is_skipped_unless_it_is_a_leaf():
    assert tree.map(lambda x: x is None, [1, None]) == [False, None]
    assert tree.map(lambda x: x is None, [1, None], is_leaf=is_none) == [False, True]


def test_map_with_path():
    names = tree.map_with_path(lambda path, x, y: (tree.path_string(path), x + y), [1], [2])
    assert names == [("0", 3)]


def test_map_with_path_of_trees_with_different_ties():
    x = np.ones(1)
    names = tree.map_with_path(lambda path, *_: tree.path_string(path), [x, x], [1, 2])
    assert names == ["0", "1"]


def test_reduce_and_all():
    assert tree.reduce(lambda x, y: x + y, {"a": "p", "b": ["q", "r"]}) == "pqr"
    assert tree.reduce(lambda x, y: x + y, [], 7) == 7
    assert tree.reduce(lambda n, _: n + 1, [None, [1]], 0, is_leaf=is_none) == 2
    with pytest.raises(TypeError):
        tree.reduce(lambda x, y: x + y, [])
    assert tree.all([]) and tree.all([1, True]) and not tree.all({"a": [0, 1]})
    assert not tree.all([None], is_leaf=is_none)


def test_transpose():
    outer = tree.structure([0, 0, 0])
    inner = tree.structure({"a": 0, "b": 0})
    value = [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5, "b": 6}]
    for given in (inner, None):
        assert tree.transpose(outer, given, value) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert tree.transpose(tree.structure(()), inner, ()) == {"a": (), "b": ()}
    with pytest.raises(ValueError, match=r"tree.transpose: at the root: expected dict with keys"):
        tree.transpose(outer, inner, [{"a": 1}, {"a": 3}, {"a": 5}])
    with pytest.raises(ValueError, match="inner must be given"):
        tree.transpose(tree.structure(()), None, ())


def test_broadcast():
    assert tree.broadcast(0, {"a": [1, 2]}) == {"a": [0, 0]}
    assert tree.broadcast([0, None], [[1, 2], {"b": 3}], is_leaf=is_none) == [[0, 0], {"b": None}]
    assert tree_util.tree_broadcast((1, 2), ((3, 4), 5)) == ((1, 1), 2)


MISMATCHES = [
    (
        {"layers": [{"b": 1, "w": 2}]},
        {"layers": [{"w": 2}]},
        "at layers.0: expected dict with keys ['b', 'w'], got dict with keys ['w']; missing 'b'",
    ),
    (
        {"a": 1},
        {"a": 1, "c": 2},
        "at the root: expected dict with keys ['a'], got dict with keys ['a', 'c']; unexpected 'c'",
    ),
    ([[1, 2]], [[1]], "at 0: expected list of length 2, got list of length 1"),
    ([(1,)], [[1]], "at 0: expected tuple of length 1, got list of length 1"),
    ([(1,)], [np.zeros((3, 2))], "at 0: expected tuple of length 1, got float64[3,2]"),
    ([[1]], [len], "at 0: expected list of length 1, got builtin_function_or_method"),
    ([None], [1], "at 0: expected None, got int 1"),
    ([P(1, [2])], [P(1, 2)], "at 0.y: expected list of length 1, got int 2"),
    ([P(1, 2)], [(1, 2)], "at 0: expected P, got tuple of length 2"),
    (
        OrderedDict(a=1, b=2),
        OrderedDict(b=1, a=2),
        "expected OrderedDict with keys ['a', 'b'], got OrderedDict with keys ['b', 'a']; "
        "their order or types differ",
    ),
    ({1: 0}, {True: 0}, "their order or types differ"),
    (
        defaultdict(list, a=1),
        defaultdict(int, a=1),
        "static data differ: expected (<class 'list'>, ('a',)), got (<class 'int'>, ('a',))",
    ),
]


@pytest.mark.parametrize(("first", "second", "text"), MISMATCHES)
def test_mismatch_names_the_first_difference(first, second, text):
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            tree.map(add, first, second)
        assert str(caught.value).startswith("tree.map: at ")
        assert text in str(caught.value)


def test_prefix_values():
    full = ({"w": 1, "b": 2}, [3, None], 4)
    for whole in (full, tree.structure(full)):
        values = tree.broadcast_prefix((0, None, {}), whole, is_leaf=lambda p: p in (None, {}))
        assert values == [0, 0, None, {}]
    assert tree.broadcast_prefix(5, full) == [5] * 4
    assert tree.broadcast_prefix(({"b": 1, "w": 2}, [3, None], 4), full) == [1, 2, 3, 4]


PREFIX_ERRORS = [
    ((0, {"w": 0}), "at 1: expected dict with keys ['b', 'w'], got dict with keys ['w']"),
    ((0,), "at the root: expected tuple of length 2, got tuple of length 1"),
    ([0, 1], "at the root: expected tuple of length 2, got list of length 2"),
    (((0, 1), 0), "at 0: expected one value for a leaf, got tuple of length 2"),
    ((0, {"w": [0], "b": 1}), "at 1.w: expected one value for a leaf, got list of length 1"),
    ((0, None), "at 1: expected dict with keys ['b', 'w'], got None"),
]


@pytest.mark.parametrize(("prefix", "text"), PREFIX_ERRORS)
def test_prefix_errors_name_the_argument_and_the_path(prefix, text):
    with pytest.raises(ValueError) as caught:
        tree.broadcast_prefix(prefix, (1, {"w": 2, "b": 3}), what="in_axes")
    assert str(caught.value).startswith("in_axes: ")
    assert text in str(caught.value)


def test_errors_of_the_function_come_through():
    with pytest.raises(ZeroDivisionError):
        tree.map(lambda x: 1 / x, [0])
    with pytest.raises(KeyError):
        tree.map(lambda x: {}[x], [0])


def test_jax_names_are_the_same_functions():
    for name in [
        "map",
        "leaves",
        "flatten",
        "unflatten",
        "structure",
        "reduce",
        "all",
        "transpose",
    ]:
        assert getattr(tree_util, f"tree_{name}") is getattr(tree, name)
    for name in ["map_with_path", "leaves_with_path", "flatten_with_path"]:
        assert getattr(tree_util, f"tree_{name}") is getattr(tree, name)
