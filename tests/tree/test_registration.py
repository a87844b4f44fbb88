"""Registered classes, dataclasses, static classes and Partial."""

import dataclasses
import functools
from collections import namedtuple

import numpy as np
import pytest

from funcgrad import tree, tree_util


def make_box():
    """A fresh class for each test: registration is for good."""

    class Box:
        def __init__(self, *items):
            self.items = items

    return Box


def leaves_and_rebuilt(value, times=4):
    """Flatten and rebuild: by the walker, then by generated code."""
    for _ in range(times):
        leaves, treedef = tree.flatten(value)
        yield leaves, treedef.unflatten(leaves)


def test_plain_registration():
    box = make_box()
    assert tree.leaves([box(1, 2)])[0].items == (1, 2)
    tree_util.register_pytree_node(box, lambda b: (b.items, None), lambda _, c: box(*c))
    for leaves, rebuilt in leaves_and_rebuilt([box(1, (2, 3))]):
        assert leaves == [1, 2, 3] and rebuilt[0].items == (1, (2, 3))


def test_children_may_be_an_iterator():
    box = make_box()
    tree_util.register_pytree_node(box, lambda b: (iter(b.items), None), lambda _, c: box(*c))
    for leaves, rebuilt in leaves_and_rebuilt(box(1, 2)):
        assert leaves == [1, 2] and rebuilt.items == (1, 2)


def test_a_class_that_was_seen_as_a_leaf():
    box = make_box()
    value = {"box": box(1, 2)}
    for _ in range(4):
        assert tree.leaves(value) == [value["box"]]
    tree_util.register_pytree_node(box, lambda b: (b.items, None), lambda _, c: box(*c))
    for leaves, _ in leaves_and_rebuilt(value):
        assert leaves == [1, 2]


def test_registering_twice_is_an_error():
    box = make_box()
    for expected in (None, "Box is already registered"):
        register = lambda: tree_util.register_pytree_node(box, lambda b: ((), None), box)
        if expected is None:
            register()
        else:
            with pytest.raises(ValueError, match=expected):
                register()
    with pytest.raises(ValueError, match="dict is already registered"):
        tree_util.register_static(dict)
    with pytest.raises(TypeError, match="only a class"):
        tree_util.register_static(3)


def test_named_tuples_can_be_registered_before_their_first_use():
    early, late = namedtuple("Early", "a b"), namedtuple("Late", "a b")
    tree_util.register_pytree_node(early, lambda e: ((e.a,), e.b), lambda b, c: early(*c, b))
    assert tree.leaves(early(1, 2)) == [1]
    assert tree.leaves(late(1, 2)) == [1, 2]
    with pytest.raises(ValueError, match="already used in a tree as a NamedTuple"):
        tree_util.register_pytree_node(late, lambda e: ((e.a,), e.b), lambda b, c: late(*c, b))


def test_a_flatten_function_that_returns_something_else():
    box = make_box()
    tree_util.register_pytree_node(box, lambda b: b.items, lambda _, c: box(*c))
    with pytest.raises(ValueError, match=r"flatten function of .*Box must return"):
        tree.flatten(box(1, 2, 3))


def test_number_of_children_may_change():
    box = make_box()
    tree_util.register_pytree_node(box, lambda b: (b.items, None), lambda _, c: box(*c))
    for _ in range(3):
        assert tree.leaves([box(1, 2)]) == [1, 2]
        assert tree.leaves([box(1)]) == [1]
    with pytest.raises(ValueError, match=r"at 0: expected .*Box, got .*Box"):
        tree.map(lambda x, y: x, [box(1, 2)], [box(1)])


def test_named_children():
    box = make_box()
    tree_util.register_pytree_with_keys(
        box,
        lambda b: ([(tree_util.GetAttrKey(f"item{i}"), x) for i, x in enumerate(b.items)], None),
        lambda _, children: box(*children),
    )
    for _ in range(4):
        paths = [tree.path_string(path) for path, _ in tree.leaves_with_path({"b": box(1, [2])})]
        assert paths == ["b.item0", "b.item1.0"]
    with pytest.raises(ValueError, match=r"at item1: expected list of length 1, got int 2"):
        tree.map(lambda x, y: x, box(1, [2]), box(1, 2))


def test_class_decorators():
    @tree_util.register_pytree_with_keys_class
    class Named:
        def __init__(self, value):
            self.value = value

        def tree_flatten_with_keys(self):
            return ((tree_util.GetAttrKey("value"), self.value),), None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls(*children)

    for leaves, rebuilt in leaves_and_rebuilt(Named([1])):
        assert leaves == [1] and rebuilt.value == [1]
    assert [tree.path_string(p) for p, _ in tree.leaves_with_path(Named([1]))] == ["value.0"]


# --- attributes ---


def make_layer(names=("weight", "bias")):
    class Layer:
        def __init__(self, static, *children):
            self.static = static
            for name, child in zip(names, children, strict=True):
                setattr(self, name, child)

    tree_util.register_attributes(
        Layer,
        lambda layer: layer.static,
        lambda static: names,
        lambda static, children: Layer(static, *children),
    )
    return Layer


def test_attributes():
    layer = make_layer()
    for leaves, rebuilt in leaves_and_rebuilt([layer("a", 1, [2, 3])]):
        assert leaves == [1, 2, 3]
        assert (rebuilt[0].static, rebuilt[0].weight, rebuilt[0].bias) == ("a", 1, [2, 3])
    treedef = tree.structure(layer("a", 1, [2]))
    assert [tree.path_string(path) for path in treedef.paths()] == ["weight", "bias.0"]


@pytest.mark.parametrize("name", ["class", "a b", "ﬁ", "x); import os; (y", "__debug__", "1"])
def test_attribute_names_never_become_source(name):
    layer = make_layer((name,))
    for leaves, rebuilt in leaves_and_rebuilt(layer("a", 5)):
        assert leaves == [5] and getattr(rebuilt, name) == 5


@pytest.mark.parametrize("name", ["class", "a'b", 'a"; import os', "\n", "K0", "tree", "leaves"])
def test_keys_never_become_source(name):
    for leaves, rebuilt in leaves_and_rebuilt({name: [1], "other": 2}):
        assert sorted(leaves) == [1, 2] and rebuilt == {name: [1], "other": 2}


def test_missing_attribute_is_an_error():
    layer = make_layer()
    broken = layer("a", 1, 2)
    for _ in range(3):
        tree.flatten([layer("a", 1, 2)])
    del broken.bias
    with pytest.raises(AttributeError, match="bias"):
        tree.flatten([broken])


UNLIKE = [1, True, 1.0, np.int64(1), 0.0, -0.0, (1,), (True,), "1", None, 1 + 0j, b"1", slice(1)]


def test_static_data_differ_by_value_and_type():
    layer = make_layer()
    for _ in range(4):
        treedefs = [tree.structure(layer(static, 0, 0)) for static in UNLIKE]
        assert len(set(treedefs)) == len(UNLIKE)
        for first, one in enumerate(treedefs):
            for second, other in enumerate(treedefs):
                assert (one == other) == (first == second)


def test_nan_equals_itself():
    layer = make_layer()
    treedefs = {tree.structure(layer((float("nan"), "x"), 0, 0)) for _ in range(4)}
    assert len(treedefs) == 1


@pytest.mark.parametrize("static", [[1, 2], {"a": 1}, {1, 2}, np.arange(3), (1, [2])])
def test_static_data_that_cannot_be_hashed(static):
    layer = make_layer()
    value = {"layers": [layer(static, 0, 0)]}
    for leaves, _ in leaves_and_rebuilt(value):
        assert leaves == [0, 0]
    assert tree.structure(value) == tree.structure(value)
    assert tree.structure(layer([1, 2], 0, 0)) != tree.structure(layer([1, True], 0, 0))
    with pytest.raises(ValueError, match=r"static data of .*Layer at layers\.0 cannot be hashed"):
        hash(tree.structure(value))


def test_static_data_that_cannot_be_compared():
    class Vague:
        def __eq__(self, other):
            return np.array([True, False])

        __hash__ = None

    layer = make_layer()
    tree.structure(layer(Vague(), 0, 0))
    with pytest.raises(ValueError, match="must be comparable by =="):
        tree.structure(layer(Vague(), 0, 0))


def test_map_names_differing_static_data():
    layer = make_layer()
    text = r"at 0: expected .*Layer.*; static data differ: expected 'a', got 'b'"
    with pytest.raises(ValueError, match=text):
        tree.map(lambda x, y: x, [layer("a", 0, 0)], [layer("b", 0, 0)])


# --- dataclasses ---


@tree_util.register_dataclass
@dataclasses.dataclass
class State:
    x: object
    name: str = dataclasses.field(default="s", metadata=dict(static=True))
    derived: int = dataclasses.field(default=9, init=False)


def test_dataclass_by_metadata():
    for leaves, rebuilt in leaves_and_rebuilt({"s": State([1, 2], "n")}):
        assert leaves == [1, 2]
        assert rebuilt["s"] == State([1, 2], "n")
    assert tree.structure(State(0, "a")) != tree.structure(State(0, "b"))


def test_dataclass_with_dropped_field():
    @functools.partial(
        tree_util.register_dataclass, data_fields=["a"], meta_fields=["b"], drop_fields=["c"]
    )
    @dataclasses.dataclass
    class Dropped:
        a: object
        b: int = 0
        c: int = 0

    for _, rebuilt in leaves_and_rebuilt(Dropped(1, 2, 3)):
        assert rebuilt == Dropped(1, 2, 0)


def test_plain_class_with_named_fields():
    class Plain:
        def __init__(self, a, b):
            self.a, self.b = a, b

    tree_util.register_dataclass(Plain, data_fields=["b"], meta_fields=["a"])
    for leaves, rebuilt in leaves_and_rebuilt(Plain(1, 2)):
        assert leaves == [2] and (rebuilt.a, rebuilt.b) == (1, 2)


@pytest.mark.parametrize(
    ("data", "meta", "text"),
    [
        (["a"], None, "give both data_fields and meta_fields"),
        (["a"], [], r"fields \['b'\] are neither data nor meta"),
        (["a", "b"], ["b"], r"named twice: \['b'\]"),
        (["a", "b"], ["z"], r"has no init fields \['z'\]"),
    ],
)
def test_dataclass_field_errors(data, meta, text):
    @dataclasses.dataclass
    class Fields:
        a: int
        b: int

    with pytest.raises(ValueError, match=text):
        tree_util.register_dataclass(Fields, data, meta)


def test_dataclass_of_a_class_that_is_none():
    with pytest.raises(ValueError, match="is not a dataclass"):
        tree_util.register_dataclass(make_box())


def test_unregistered_dataclass_is_a_leaf():
    @dataclasses.dataclass
    class Leaf:
        a: int

    assert tree.leaves(Leaf(1)) == [Leaf(1)]


def test_static_class():
    @tree_util.register_static
    @dataclasses.dataclass(frozen=True)
    class Mode:
        name: str

    for leaves, rebuilt in leaves_and_rebuilt([Mode("a"), 1]):
        assert leaves == [1] and rebuilt == [Mode("a"), 1]
    assert tree.structure(Mode("a")) == tree.structure(Mode("a")) != tree.structure(Mode("b"))


# --- Partial ---


def test_partial():
    partial = tree_util.Partial(pow, 2, exp=3)
    for leaves, rebuilt in leaves_and_rebuilt(partial):
        assert leaves == [2, 3] and type(rebuilt) is tree_util.Partial and rebuilt() == 8
    assert tree.structure(partial) != tree.structure(tree_util.Partial(max, 2, exp=3))


def test_partial_of_a_partial():
    inner = functools.partial(pow, 2)
    outer = tree_util.Partial(inner, 3)
    assert tree.leaves(outer) == [3] and outer() == 8
    assert tree.map(lambda x: x + 1, outer)() == 16
    assert tree.leaves(tree_util.Partial(tree_util.Partial(pow, 2), 3)) == [2, 3]
