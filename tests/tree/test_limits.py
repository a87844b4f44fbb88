"""Cycles, deep and wide trees, many structures, threads."""

import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import numpy as np
import pytest

from funcgrad import tree, tree_util
from funcgrad.tree import flattening, registry


def nested(depth):
    return reduce(lambda inner, _: [inner], range(depth), 1)


def test_a_tree_that_contains_itself():
    inner = {"a": 1}
    value = {"top": [0, inner]}
    inner["again"] = value["top"]
    for _ in range(3):
        with pytest.raises(ValueError, match=r"itself: top\.1\.again is the same .* top\."):
            tree.flatten(value)
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="0 is the same object as the root"):
        tree.map(lambda x: x, loop)


def test_an_instance_that_contains_itself():
    class Knot:
        child = None

    tree_util.register_attributes(
        Knot, lambda _: None, lambda _: ("child",), lambda *_: Knot(), identity=True
    )
    knot = Knot()
    knot.child = [knot]
    with pytest.raises(ValueError, match=r"contains itself: child\.0"):
        tree.flatten(knot)


def test_siblings_are_no_cycle():
    shared = [1]
    assert tree.leaves([shared, shared, {"a": shared}]) == [1, 1, 1]


def test_deep_trees():
    for _ in range(3):
        leaves, treedef = tree.flatten(nested(150))
        assert leaves == [1] and treedef.num_nodes == 151
        assert treedef.unflatten([1]) == nested(150)
        assert tree.compile_flatten(treedef)(nested(150)) == [1]
        assert tree.compile_flatten(treedef)(nested(149)) is None
        assert hash(treedef) == hash(tree.structure(nested(150)))


@pytest.mark.parametrize("depth", [500, 100_000])
def test_too_deep_trees(depth):
    value = nested(depth)
    with pytest.raises(ValueError, match="nested deeper than 400 levels"):
        tree.flatten(value)
    while value != 1:  # Python itself may overflow when it frees a long chain
        value = value[0]


def test_a_class_that_never_ends():
    class Endless:
        pass

    tree_util.register_pytree_node(Endless, lambda _: ([Endless()], None), lambda *_: Endless())
    with pytest.raises(ValueError, match="nested deeper"):
        tree.flatten(Endless())


def test_a_full_stack_is_a_value_error():
    def dive(levels):
        return dive(levels - 1) if levels else tree.flatten(nested(200))

    frame, used = sys._getframe(), 0
    while frame:
        frame, used = frame.f_back, used + 1
    with pytest.raises(ValueError, match="recursion limit"):
        dive(sys.getrecursionlimit() - used - 120)


def test_wide_trees():
    value = [np.zeros(1) for _ in range(10_000)]
    for _ in range(3):
        leaves, treedef = tree.flatten(value)
        assert len(leaves) == 10_000
        assert treedef.unflatten(leaves)[9_999] is value[9_999]
        read = tree.compile_flatten(treedef)
        assert len(read(value)) == 10_000 and read(value[1:]) is None


def test_caches_are_bounded():
    for size in range(40):
        for _ in range(2):
            tree.flatten({str(size): 1})
    for size in range(700):
        tree.flatten([1] * size)
        tree.flatten([1] * size)
    for known in (flattening._known, flattening._known_untied):
        for table in (known.compiled, known.seen):
            assert len(table) <= 512 and all(len(bucket) <= 8 for bucket in table.values())


def test_known_classes_are_bounded():
    for _ in range(4200):
        tree.flatten([namedtuple("Fresh", "a")(1)])
    assert len(registry.kinds) <= 4200
    assert tree.leaves([(1, {"a": np.ones(1)})])[0] == 1


def test_threads():
    x = np.ones(2)
    shapes = [{"a": x, "b": [x, i], **{str(k): k for k in range(i)}} for i in range(12)]

    def work(seed):
        for turn in range(200):
            if turn % 50 == seed % 50:
                tree_util.register_static(type("Fresh", (), {}))
            value = shapes[(seed + turn) % 12]
            leaves, treedef = tree.flatten(value)
            assert treedef.has_ties and len(leaves) == 2 + (seed + turn) % 12
            assert treedef.unflatten(leaves) == value

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
