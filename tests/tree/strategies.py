"""Random nested trees for the property tests."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
from hypothesis import strategies as st

from funcgrad.tree_util import register_attributes, register_pytree_node

Point = namedtuple("Point", "x y")


class Boxed:
    """A registered class without attributes known to the tree layer."""

    def __init__(self, children, label):
        self.children, self.label = tuple(children), label

    def __eq__(self, other):
        return type(other) is Boxed and (self.children, self.label) == (
            other.children,
            other.label,
        )

    __hash__ = None


register_pytree_node(Boxed, lambda box: (box.children, box.label), lambda a, c: Boxed(c, a))


class Layer:
    """Like a Module: children are attributes, an instance used twice is one node."""

    def __init__(self, weight, bias, name):
        self.weight, self.bias, self.static = weight, bias, (name,)

    def __eq__(self, other):
        return type(other) is Layer and vars(self) == vars(other)

    __hash__ = None


register_attributes(
    Layer,
    lambda layer: layer.static,
    lambda static: ("weight", "bias"),
    lambda static, children: Layer(*children, *static),
    identity=True,
)

keys = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.floats(-1, 1))
text_keys = st.sampled_from(["w", "b", "class", "x'y", 'q"', "a.b", "", "\n"])
scalars = st.one_of(st.integers(-2, 2), st.floats(-1, 1), st.booleans(), st.text(max_size=2))
# A few arrays, so that the same one often occurs twice.
ARRAYS = [np.arange(3.0), np.zeros((2, 0)), np.ones(())]
arrays = st.sampled_from(range(len(ARRAYS))).map(lambda index: ARRAYS[index])


def containers(children):
    """Every kind of container around `children`."""
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(text_keys, children, max_size=4),
        st.dictionaries(keys, children, max_size=4),
        st.dictionaries(text_keys, children, max_size=3).map(OrderedDict),
        st.dictionaries(text_keys, children, max_size=3).map(lambda d: defaultdict(list, d)),
        st.tuples(children, children).map(lambda pair: Point(*pair)),
        st.tuples(st.lists(children, max_size=3), scalars).map(lambda pair: Boxed(*pair)),
        st.tuples(children, children, scalars).map(lambda triple: Layer(*triple)),
    )


def trees(leaves):
    """Nested containers with these leaves, and None."""
    return st.recursive(st.one_of(leaves, st.none()), containers, max_leaves=12)


def shared_trees(leaves):
    """Trees in which whole subtrees, Layers among them, occur twice."""
    return st.tuples(trees(leaves), trees(leaves)).map(lambda pair: (pair[0], pair[1], pair[0]))


def identical(first, second):
    """Equal containers with the very same arrays and equal values."""
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return (
            first.keys() == second.keys()
            and (not isinstance(first, OrderedDict) or list(first) == list(second))
            and getattr(first, "default_factory", None) is getattr(second, "default_factory", None)
            and all(identical(first[key], second[key]) for key in first)
        )
    if isinstance(first, Boxed):
        return first.label == second.label and identical(first.children, second.children)
    if isinstance(first, Layer):
        return first.static == second.static and identical(
            (first.weight, first.bias), (second.weight, second.bias)
        )
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(identical, first, second))
    return isinstance(first, (str, int, float)) and first == second
