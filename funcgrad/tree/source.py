"""Generated Python source: what the flatten and the unflatten writers share.

Keys, classes and static data are bound as constants and never become source text.
"""

from typing import Any

from funcgrad.tree.nodes import Node, Structure, parts

_MAX_NODES = 4096
_MAX_DEPTH = 40


def is_compilable(root: Structure) -> bool:
    """Whether code for this structure is short and shallow enough to be worth generating."""
    if sum(1 for _ in zip(parts(root), range(_MAX_NODES + 1), strict=False)) > _MAX_NODES:
        return False
    level, depth = [root], 0
    while level and depth <= _MAX_DEPTH:
        level = [child for part in level if isinstance(part, Node) for child in part.children]
        depth += 1
    return depth <= _MAX_DEPTH


class Writer:
    """Lines of source and the constants they use."""

    def __init__(self, constants: dict[str, Any]):
        self.lines: list[str] = []
        self.constants = constants
        self.names: dict[int, str] = {}

    def constant(self, value: Any) -> str:
        """A global name of the generated code for this object."""
        name = self.names.get(id(value))
        if name is None:
            name = self.names[id(value)] = f"K{len(self.names)}"
            self.constants[name] = value
        return name

    def run(self, header: str) -> Any:
        source = "\n".join([header, *["  " + line for line in self.lines]])
        exec(compile(source, "<funcgrad tree>", "exec"), self.constants)
        return self.constants["function"]
