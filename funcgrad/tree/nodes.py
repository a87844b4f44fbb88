"""The structure of a tree as data: what a `PyTreeDef` is made of.

A structure is `LEAF`, a `Tie` or a `Node`.  `LEAF` is the next leaf in order.  `Tie(i)` is a
position that holds leaf number `i` once more.  A `Node` whose `same_as` is `k` is instance
number `k` of an identity class once more; its children are written out as ties.
"""

from collections.abc import Iterator
from typing import Any

from funcgrad.tree.keys import KeyPath
from funcgrad.tree.node_types import NodeType
from funcgrad.tree.static import strict_key


class Leaf:
    """A position with a leaf of its own; `LEAF` is the only instance."""

    __slots__ = ()


class Tie:
    """A position that holds leaf number `index` again."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


class Node:
    """A container: its type, static data and children."""

    __slots__ = ("kind", "aux", "children", "same_as", "_keys")

    def __init__(
        self,
        kind: NodeType,
        aux: Any,
        children: tuple["Structure", ...],
        same_as: int | None = None,
        keys: tuple[Any, ...] | None = None,
    ):
        self.kind = kind
        self.aux = aux
        self.children = children
        self.same_as = same_as
        self._keys = keys

    @property
    def keys(self) -> tuple[Any, ...]:
        """One key per child."""
        if self._keys is None:
            self._keys = self.kind.keys(self.aux, len(self.children))
        return self._keys

    @property
    def is_shared(self) -> bool:
        """Whether this is the first place of an instance that may occur again."""
        return self.kind.identity and self.same_as is None

    def replace(self, children: tuple["Structure", ...], same_as: int | None) -> "Node":
        """The same container with other children."""
        return Node(self.kind, self.aux, children, same_as, self._keys)

    def describe(self) -> str:
        """Text for error messages."""
        return self.kind.describe(self.aux, len(self.children))


Structure = Leaf | Tie | Node
LEAF = Leaf()


def walk(root: Structure, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Structure]]:
    """Every part of a structure with its path, parents first."""
    pending = [(path, root)]
    while pending:
        path, part = pending.pop()
        yield path, part
        if isinstance(part, Node):
            steps = zip(part.keys, part.children, strict=True)
            pending.extend(reversed([((*path, key), child) for key, child in steps]))


def parts(root: Structure) -> Iterator[Structure]:
    """Every part of a structure, parents first."""
    pending = [root]
    while pending:
        part = pending.pop()
        yield part
        if type(part) is Node:
            pending.extend(reversed(part.children))


def positions(root: Structure) -> tuple[int, ...]:
    """The leaf number at every leaf position."""
    numbers, count = [], 0
    for part in parts(root):
        if part is LEAF:
            numbers.append(count)
            count += 1
        elif type(part) is Tie:
            numbers.append(part.index)
    return tuple(numbers)


def constants(root: Structure) -> frozenset[int]:
    """Numbers of the leaves that some node on their way declares constant."""
    found, count = set(), 0
    pending: list[tuple[Structure, bool]] = [(root, False)]
    while pending:
        part, is_constant = pending.pop()
        if type(part) is Node:
            chosen = part.kind.constants(part.aux)
            below = [(c, is_constant or i in chosen) for i, c in enumerate(part.children)]
            pending.extend(reversed(below))
        elif is_constant:
            found.add(part.index if type(part) is Tie else count)
        count += part is LEAF
    return frozenset(found)


def count_leaves(root: Structure) -> int:
    """How many leaves of its own a structure has."""
    return sum([part is LEAF for part in parts(root)])


def equality_key(root: Structure) -> tuple[Any, ...]:
    """A flat tuple that is equal for equal structures."""
    key: list[Any] = []
    for part in parts(root):
        if type(part) is Node:
            key.append((part.kind.cls, len(part.children), part.same_as, strict_key(part.aux)))
        else:
            key.append(part.index if type(part) is Tie else None)
    return tuple(key)


def untied(root: Structure) -> Structure:
    """The structure with a leaf of its own at every position."""
    if not isinstance(root, Node):
        return LEAF
    return root.replace(tuple(map(untied, root.children)), None)


class Renumber:
    """Rewrites a part of a structure so that it stands alone.

    `first_leaf` and `first_node` are the numbers that the part's first leaf and first identity
    instance have in the whole.  A tie to something outside the part becomes a leaf.
    """

    def __init__(self, first_leaf: int, first_node: int):
        self.next_leaf, self.next_node = first_leaf, first_node
        self.leaves: dict[int, int] = {}
        self.nodes: dict[int, int] = {}

    def __call__(self, part: Structure) -> Structure:
        if isinstance(part, Node):
            same_as = self._instance(part) if part.kind.identity else None
            return part.replace(tuple(map(self, part.children)), same_as)
        number = part.index if isinstance(part, Tie) else self.next_leaf
        self.next_leaf += part is LEAF
        if number in self.leaves:
            return Tie(self.leaves[number])
        self.leaves[number] = len(self.leaves)
        return LEAF

    def _instance(self, node: Node) -> int | None:
        number = self.next_node if node.same_as is None else node.same_as
        self.next_node += node.same_as is None
        if number in self.nodes:
            return self.nodes[number]
        self.nodes[number] = len(self.nodes)
        return None


def shift(part: Structure, leaves: int, nodes: int) -> Structure:
    """The part with all its references moved, to stand behind other parts."""
    if isinstance(part, Tie):
        return Tie(part.index + leaves)
    if not isinstance(part, Node):
        return part
    children = tuple([shift(child, leaves, nodes) for child in part.children])
    return part.replace(children, None if part.same_as is None else part.same_as + nodes)


def substitute(outer: Structure, inner: Structure) -> Structure:
    """`outer` with `inner` at each leaf; both without ties."""
    if not isinstance(outer, Node):
        return inner
    return outer.replace(tuple([substitute(child, inner) for child in outer.children]), None)


class Repeat:
    """Rewrites a structure as a second occurrence of itself: leaves become ties."""

    def __init__(self, first_leaf: int, first_node: int):
        self.next_leaf, self.next_node = first_leaf, first_node

    def __call__(self, part: Structure) -> Structure:
        if isinstance(part, Node):
            same_as = part.same_as
            if part.is_shared:
                same_as = self.next_node
                self.next_node += 1
            return part.replace(tuple(map(self, part.children)), same_as)
        if isinstance(part, Tie):
            return part
        self.next_leaf += 1
        return Tie(self.next_leaf - 1)


def show(root: Structure) -> str:
    """Text of a structure: `*` a leaf, `=0` leaf 0 again, `=node0` instance 0 again."""
    if isinstance(root, Tie):
        return f"={root.index}"
    if not isinstance(root, Node):
        return "*"
    if root.same_as is not None:
        return f"=node{root.same_as}"
    return root.kind.show(root.aux, list(map(show, root.children)))
