"""`PyTreeDef`: the structure of a tree without its leaves."""

from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.tree.keys import KeyPath, path_string
from funcgrad.tree.match import values_at_positions
from funcgrad.tree.nodes import (
    LEAF,
    Node,
    Renumber,
    Structure,
    Tie,
    constants,
    count_leaves,
    equality_key,
    parts,
    positions,
    shift,
    show,
    substitute,
    untied,
    walk,
)
from funcgrad.tree.registry import kind_of
from funcgrad.tree.static import equal_keys, strict_key
from funcgrad.tree.unflatten_code import compile_unflatten, unflatten_by_walking


class PyTreeDef:
    """The structure of a tree: containers, keys, static data and ties, but no leaves.

    Immutable; equal structures are equal and have equal hashes.  `has_ties` says whether a leaf
    or instance occurs at two positions, `positions` gives the leaf number at each position.

    >>> from funcgrad import tree
    >>> tree.structure({"b": 1, "a": (2, None)})
    PyTreeDef({'a': (*, None), 'b': *})
    """

    __slots__ = (
        "root",
        "num_leaves",
        "num_nodes",
        "has_ties",
        "positions",
        "_key",
        "_hash",
        "_build",
        "_constants",
    )

    def __init__(self, root: Structure):
        self.root = root
        everything = list(parts(root))
        self.num_nodes = len(everything)
        self.num_leaves = everything.count(LEAF)
        self.has_ties = any(map(_is_tie, everything))
        self.positions = positions(root) if self.has_ties else tuple(range(self.num_leaves))
        self._key: tuple[Any, ...] | None = None
        self._hash: int | None = None
        self._build: Callable[[Any], Any] | None = None
        self._constants: frozenset[int] | None = None

    # --- building and reading trees ---

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Build the tree that has these leaves.

        Raises:
            ValueError: the number of leaves is not `num_leaves`.
        """
        if type(leaves) is not list and type(leaves) is not tuple:
            leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"[tree.unflatten] the structure has {self.num_leaves} leaves, got "
                f"{len(leaves)}: {self}"
            )
        return (self._build or self._first_build)(leaves)

    def _first_build(self, leaves: Any) -> Any:
        # Code is generated when a structure is used for the second time.
        self._build = self._second_build
        return unflatten_by_walking(self.root, leaves)

    def _second_build(self, leaves: Any) -> Any:
        self._build = compile_unflatten(self.root)
        return self._build(leaves)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` at the leaves of this structure.

        A tied leaf takes the value at its first position.

        Raises:
            ValueError: this structure is not a prefix of `tree`; names the first difference.
        """
        return self.first_values(values_at_positions(self.root, tree, "tree.flatten_up_to"))

    def first_values(self, values: list[Any]) -> list[Any]:
        """One value per leaf from one per position: that at the leaf's first position."""
        if len(values) == self.num_leaves:
            return values
        first: dict[int, Any] = {}
        for index, value in zip(self.positions, values, strict=True):
            first.setdefault(index, value)
        return list(first.values())

    # --- looking inside ---

    def paths(self) -> list[KeyPath]:
        """The key path of every leaf; of a tied leaf its first."""
        return [path for path, part in walk(self.root) if part is LEAF]

    @property
    def constants(self) -> frozenset[int]:
        """Numbers of the leaves that derivatives treat as constant."""
        if self._constants is None:
            self._constants = constants(self.root)
        return self._constants

    def children(self) -> list["PyTreeDef"]:
        """The structures below the root container."""
        result, leaves, nodes = [], 0, 0
        if isinstance(self.root, Node):
            nodes += self.root.kind.identity
            for child in self.root.children:
                result.append(PyTreeDef(Renumber(leaves, nodes)(child)))
                leaves += count_leaves(child)
                nodes += _count_instances(child)
        return result

    def node_data(self) -> tuple[type, Any] | None:
        """The class and static data of the root container; None for a leaf."""
        return (self.root.kind.cls, self.root.aux) if isinstance(self.root, Node) else None

    # --- making other structures ---

    def untied(self) -> "PyTreeDef":
        """The same structure with a leaf of its own at every position."""
        return PyTreeDef(untied(self.root)) if self.has_ties else self

    def compose(self, inner: "PyTreeDef") -> "PyTreeDef":
        """This structure with `inner` in the place of each leaf; ties are dropped."""
        return PyTreeDef(substitute(untied(self.root), untied(inner.root)))

    @staticmethod
    def from_tuple(treedefs: Iterable["PyTreeDef"]) -> "PyTreeDef":
        """The structure of a tuple of trees."""
        children: list[Structure] = []
        leaves = nodes = 0
        for treedef in treedefs:
            children.append(shift(treedef.root, leaves, nodes))
            leaves += treedef.num_leaves
            nodes += _count_instances(treedef.root)
        kind: Any = kind_of(tuple)
        return PyTreeDef(Node(kind, None, tuple(children)))

    # --- equality ---

    @property
    def key(self) -> tuple[Any, ...]:
        """What equality and hash look at."""
        if self._key is None:
            self._key = equality_key(self.root)
        return self._key

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, PyTreeDef):
            return NotImplemented
        if self.num_nodes != other.num_nodes or self.num_leaves != other.num_leaves:
            return False
        return equal_keys(self.key, other.key)

    def __hash__(self) -> int:
        if self._hash is None:
            try:
                self._hash = hash(self.key)
            except TypeError:
                raise ValueError(self._explain_unhashable()) from None
        return self._hash

    def _explain_unhashable(self) -> str:
        for path, part in walk(self.root):
            try:
                hash(strict_key(part.aux) if isinstance(part, Node) else 0)
            except TypeError as error:
                assert isinstance(part, Node)
                return (
                    f"[tree] the static data of {part.kind.cls.__qualname__} at "
                    f"{path_string(path) or 'the root'} cannot be hashed ({error}): {part.aux!r}. "
                    "Use a tuple or another immutable value, or make it a data field."
                )
        raise AssertionError("every part can be hashed, but the whole cannot")

    def __repr__(self) -> str:
        return f"PyTreeDef({show(self.root)})"

    def __copy__(self) -> "PyTreeDef":
        return self

    def __deepcopy__(self, memo: Any) -> "PyTreeDef":
        del memo
        return self


def _count_instances(root: Structure) -> int:
    return sum([isinstance(part, Node) and part.is_shared for part in parts(root)])


def _is_tie(part: Structure) -> bool:
    """Whether a part refers to an earlier leaf or instance."""
    return isinstance(part, Tie) or (isinstance(part, Node) and part.same_as is not None)
