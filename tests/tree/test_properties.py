"""Laws that hold for every tree; the walker is the reference for the generated code."""

from hypothesis import given

from funcgrad import tree
from funcgrad.tree.unflatten_code import unflatten_by_walking
from funcgrad.tree.walk import flatten_by_walking
from tests.tree.strategies import arrays, identical, scalars, shared_trees, trees

anything = scalars | arrays


def same_items(first, second):
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


@given(shared_trees(anything))
def test_unflatten_inverts_flatten(value):
    for tie in (True, False):
        leaves, treedef = tree.flatten(value, tie=tie)
        assert identical(tree.unflatten(treedef, leaves), value)


@given(shared_trees(anything))
def test_generated_code_equals_the_walker(value):
    for tie in (True, False):
        leaves, root = flatten_by_walking(value, tie=tie)
        treedef = tree.PyTreeDef(root)
        read = tree.compile_flatten(treedef, tie=tie)
        assert same_items(read(value), leaves)
        build = tree.compile_unflatten(treedef)
        assert identical(build(leaves), unflatten_by_walking(root, leaves))


@given(shared_trees(anything), shared_trees(anything))
def test_generated_code_declines_every_other_structure(value, other):
    for tie in (True, False):
        treedef = tree.flatten(value, tie=tie)[1]
        read = tree.compile_flatten(treedef, tie=tie)
        leaves, root = flatten_by_walking(other, tie=tie)
        if tree.PyTreeDef(root) == treedef:
            assert same_items(read(other), leaves)
        else:
            assert read(other) is None


@given(trees(anything))
def test_repeated_flatten_gives_the_same_answer(value):
    """Walker first, then generated code, then the cache: all the same."""
    wanted, root = flatten_by_walking(value)
    for _ in range(4):
        leaves, treedef = tree.flatten(value)
        assert same_items(leaves, wanted)
        assert treedef == tree.PyTreeDef(root)
        assert hash(treedef) == hash(tree.PyTreeDef(root))
        assert identical(treedef.unflatten(leaves), value)


@given(shared_trees(anything))
def test_counts_and_paths(value):
    leaves, treedef = tree.flatten(value)
    assert treedef.num_leaves == len(leaves) == len(treedef.paths())
    assert len(treedef.positions) == len(tree.flatten(value, tie=False)[0])
    assert [leaves[i] for i in treedef.positions] == [
        leaf if any(leaf is known for known in leaves) else leaves[i]
        for i, leaf in zip(treedef.positions, tree.flatten(value, tie=False)[0], strict=True)
    ]


@given(shared_trees(anything))
def test_untied_structure_is_the_structure_without_ties(value):
    assert tree.structure(value).untied() == tree.flatten(value, tie=False)[1]


@given(shared_trees(anything))
def test_children_are_the_structures_of_the_children(value):
    assert tree.structure(value).children() == [tree.structure(child) for child in value]


@given(trees(anything), trees(anything))
def test_structure_of_a_tuple_of_trees(first, second):
    together = tree.PyTreeDef.from_tuple([tree.structure(first), tree.structure(second)])
    apart = [first, second]
    if tree.structure(apart).num_leaves == together.num_leaves:
        assert together.children() == [tree.structure(first), tree.structure(second)]


@given(shared_trees(anything))
def test_map_identity(value):
    assert identical(tree.map(lambda leaf: leaf, value), value)


@given(shared_trees(scalars))
def test_map_composes(value):
    twice = tree.map(lambda leaf: (leaf, 1), tree.map(str, value))
    assert identical(twice, tree.map(lambda leaf: (str(leaf), 1), value))


@given(shared_trees(anything))
def test_map_keeps_structure_and_ties(value):
    counter = iter(range(1000))
    numbered = tree.map(lambda leaf: f"leaf {next(counter)}", value)
    treedef = tree.structure(value)
    assert treedef.flatten_up_to(numbered) == [f"leaf {i}" for i in range(treedef.num_leaves)]
    assert treedef.untied().flatten_up_to(numbered) == [f"leaf {i}" for i in treedef.positions]


@given(trees(anything))
def test_paths_lead_to_the_leaves(value):
    for path, leaf in tree.leaves_with_path(value):
        found = value
        for key in path:
            match key:
                case tree_key if hasattr(tree_key, "idx"):
                    found = found[tree_key.idx]
                case tree_key if hasattr(tree_key, "name"):
                    found = getattr(found, tree_key.name)
                case tree_key if hasattr(found, "children"):
                    found = found.children[tree_key.key]
                case tree_key:
                    found = found[tree_key.key]
        assert found is leaf


@given(trees(scalars), trees(scalars))
def test_every_tree_broadcasts_over_its_own_expansion(prefix, below):
    full = tree.flatten(tree.map(lambda _: below, prefix), tie=False)[1]
    outer, inner = tree.flatten(prefix, tie=False), tree.flatten(below, tie=False)
    assert full == outer[1].compose(inner[1])
    values = tree.broadcast_prefix(prefix, full)
    assert same_items(values, [leaf for leaf in outer[0] for _ in inner[0]])
