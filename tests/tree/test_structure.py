"""Containers, prints and key paths; the texts were recorded from jax.tree_util 0.10.2."""

import copy
import dataclasses
from collections import OrderedDict, defaultdict, namedtuple
from functools import partial

import numpy as np
import pytest

from funcgrad import tree, tree_util

P = namedtuple("P", "x y")


@tree_util.register_pytree_node_class
class C:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def tree_flatten(self):
        return (self.a,), self.b

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children, aux)


@partial(tree_util.register_dataclass, data_fields=["w"], meta_fields=["n"])
@dataclasses.dataclass
class D:
    w: object
    n: int


@tree_util.register_static
@dataclasses.dataclass(frozen=True)
class St:
    n: int


GOLDENS = [
    (1, "PyTreeDef(*)", [1], 1, [""], [""]),
    (None, "PyTreeDef(None)", [], 1, [], []),
    ((), "PyTreeDef(())", [], 1, [], []),
    ([], "PyTreeDef([])", [], 1, [], []),
    ({}, "PyTreeDef({})", [], 1, [], []),
    ((1,), "PyTreeDef((*,))", [1], 2, ["[0]"], ["0"]),
    ((1, 2), "PyTreeDef((*, *))", [1, 2], 3, ["[0]", "[1]"], ["0", "1"]),
    ([1, None], "PyTreeDef([*, None])", [1], 3, ["[0]"], ["0"]),
    (
        {"b": 1, "a": [2, (3,)]},
        "PyTreeDef({'a': [*, (*,)], 'b': *})",
        [2, 3, 1],
        6,
        ["['a'][0]", "['a'][1][0]", "['b']"],
        ["a/0", "a/1/0", "b"],
    ),
    ({2: 1, 1: 2}, "PyTreeDef({1: *, 2: *})", [2, 1], 3, ["[1]", "[2]"], ["1", "2"]),
    (
        P(1, 2),
        "PyTreeDef(CustomNode(namedtuple[P], [*, *]))",
        [1, 2],
        3,
        [".x", ".y"],
        ["x", "y"],
    ),
    (
        defaultdict(list, {"b": 1, "a": 2}),
        "PyTreeDef(CustomNode(defaultdict[(<class 'list'>, ('a', 'b'))], [*, *]))",
        [2, 1],
        3,
        ["['a']", "['b']"],
        ["a", "b"],
    ),
    (
        OrderedDict([("b", 1), ("a", 2)]),
        "PyTreeDef(CustomNode(OrderedDict[('b', 'a')], [*, *]))",
        [1, 2],
        3,
        ["['b']", "['a']"],
        ["b", "a"],
    ),
    (C(1, "q"), "PyTreeDef(CustomNode(C[q], [*]))", [1], 2, ["[<flat index 0>]"], ["0"]),
    (D(1, 3), "PyTreeDef(CustomNode(D[(3,)], [*]))", [1], 2, [".w"], ["w"]),
    (St(4), "PyTreeDef(CustomNode(St[St(n=4)], []))", [], 1, [], []),
    (
        tree_util.Partial(max, 1, key=2),
        "PyTreeDef(CustomNode(Partial[<built-in function max>], [(*,), {'key': *}]))",
        [1, 2],
        5,
        ["[<flat index 0>][0]", "[<flat index 1>]['key']"],
        ["0/0", "1/key"],
    ),
]


@pytest.mark.parametrize(("value", "text", "leaves", "nodes", "paths", "simple"), GOLDENS)
def test_goldens(value, text, leaves, nodes, paths, simple):
    found, treedef = tree.flatten(value)
    assert repr(treedef) == text
    assert found == leaves
    assert (treedef.num_leaves, treedef.num_nodes) == (len(leaves), nodes)
    keys = [path for path, _ in tree.leaves_with_path(value)]
    assert [tree_util.keystr(path) for path in keys] == paths
    assert [tree_util.keystr(path, simple=True, separator="/") for path in keys] == simple


def test_key_reprs():
    shown = [repr(key) for key in (tree_util.DictKey("a"), tree_util.SequenceKey(0))]
    shown += [repr(key) for key in (tree_util.GetAttrKey("x"), tree_util.FlattenedIndexKey(1))]
    assert shown == [
        "DictKey(key='a')",
        "SequenceKey(idx=0)",
        "GetAttrKey(name='x')",
        "FlattenedIndexKey(key=1)",
    ]


def test_path_string_is_the_one_spelling():
    value = {"layers": [D({"weight": 1}, 0)]}
    assert [tree.path_string(path) for path in tree.structure(value).paths()] == [
        "layers.0.w.weight"
    ]
    assert tree.path_string(()) == ""


def test_own_key_objects_are_printed():
    assert tree_util.keystr(("mine", tree_util.SequenceKey(0))) == "mine[0]"
    assert tree.path_string(("mine", tree_util.SequenceKey(0))) == "mine.0"


class Names(dict):
    pass


class Items(list):
    pass


class Pair(tuple):
    __slots__ = ()


@pytest.mark.parametrize("value", [Names(a=1), Items([1]), Pair((1, 2)), {1, 2}, "ab", print])
def test_unregistered_classes_are_leaves(value):
    for _ in range(3):
        assert tree.flatten(value)[0] == [value]
        assert tree.flatten([value])[0] == [value]


def test_named_tuple_with_checks_in_new_meets_no_placeholders():
    class Checked(namedtuple("Checked", "size")):
        def __new__(cls, size):
            return super().__new__(cls, int(size))

    assert tree.map(lambda _: "placeholder", Checked(3)).size == "placeholder"


def test_keys_that_cannot_be_sorted_keep_their_order():
    value = {"b": 1, 2: 2, None: 3}
    for _ in range(3):
        leaves, treedef = tree.flatten(value)
        assert leaves == [1, 2, 3]
        assert list(treedef.unflatten(leaves)) == ["b", 2, None]
    assert tree.leaves({2: 2, "b": 1, None: 3}) == [2, 1, 3]


def test_text_like_keys_are_text():
    value = {np.str_("b"): 1, "a": 2}
    wanted = tree.structure({"b": 1, "a": 2})
    for _ in range(3):
        assert tree.structure(value) == wanted


def test_unlike_keys_differ():
    ones = [{1: 0}, {True: 0}, {1.0: 0}]
    for _ in range(3):
        assert len({tree.structure(one) for one in ones}) == 3


def test_unflatten_wants_the_right_number_of_leaves():
    treedef = tree.structure({"a": 1, "b": 2})
    for _ in range(3):
        with pytest.raises(ValueError, match=r"has 2 leaves, got 1: PyTreeDef\(\{'a'"):
            treedef.unflatten([1])
    assert treedef.unflatten(iter([1, 2])) == {"a": 1, "b": 2}


def test_looking_inside():
    treedef = tree.structure((1, {"a": [2, 3]}))
    assert treedef.node_data() == (tuple, None)
    assert [str(child) for child in treedef.children()] == [
        "PyTreeDef(*)",
        "PyTreeDef({'a': [*, *]})",
    ]
    assert treedef.children()[0].node_data() is None
    assert tree_util.treedef_is_leaf(treedef.children()[0])
    assert tree_util.treedef_children(treedef) == treedef.children()
    assert tree_util.treedef_tuple(treedef.children()) == treedef
    assert tree_util.all_leaves([1, "a"]) and not tree_util.all_leaves([1, []])
    assert tree_util.all_leaves([1, None], is_leaf=lambda part: part is None)


def test_compose():
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0})
    assert outer.compose(inner) == tree.structure([{"a": 0}, {"a": 0}])


def test_structures_are_values():
    treedef = tree.structure([1, {"a": 2}])
    assert copy.deepcopy(treedef) is treedef and copy.copy(treedef) is treedef
    assert treedef == tree.structure([5, {"a": 6}])
    assert treedef != tree.structure([5, {"b": 6}])
    assert treedef != "PyTreeDef"
    assert {treedef: 1}[tree.structure([3, {"a": 4}])] == 1


def test_is_leaf_stops_the_walk():
    value = {"a": [1, 2], "b": None}
    found, treedef = tree.flatten(value, is_leaf=lambda part: isinstance(part, list))
    assert found == [[1, 2]]
    assert repr(treedef) == "PyTreeDef({'a': *, 'b': None})"
    assert tree.leaves(value, is_leaf=lambda part: part is None) == [1, 2, None]


def test_flatten_up_to():
    treedef = tree.structure({"a": 0, "b": [0]})
    assert treedef.flatten_up_to({"a": (1, 2), "b": [{}]}) == [(1, 2), {}]
    with pytest.raises(ValueError, match=r"at b: expected list of length 1, got int 3"):
        treedef.flatten_up_to({"a": 1, "b": 3})


def test_a_new_leaf_class_at_a_known_place():
    class Fresh:
        pass

    fresh = Fresh()
    for _ in range(3):
        tree.flatten({"place": 1.0})
    for _ in range(2):
        assert tree.flatten({"place": fresh})[0] == [fresh]


def test_a_container_at_the_place_of_a_leaf():
    for _ in range(3):
        tree.flatten({"spot": 1, "other": 2})
    assert tree.flatten({"spot": [1, 3], "other": None})[0] == [1, 3]
