"""C text with room for lines that are found out later: blocks of lines with blocks inside."""

from __future__ import annotations

from collections.abc import Iterator


class Block:
    """Lines in order; a block inside keeps its place, so lines can still be added to it."""

    def __init__(self) -> None:
        self.parts: list[str | Block] = []

    def add(self, line: str) -> None:
        self.parts.append(line)

    def open(self, head: str) -> Block:
        """A block in braces behind `head`, such as a loop."""
        inner = Block()
        self.parts += [head + " {", inner, "}"]
        return inner

    def room(self) -> Block:
        """A place for lines, without braces."""
        inner = Block()
        self.parts.append(inner)
        return inner

    def lines(self) -> Iterator[str]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            else:
                yield from part.lines()

    def __str__(self) -> str:
        found, depth = [], 1
        for line in self.lines():
            depth -= line.startswith("}")
            found.append("  " * depth + line)
            depth += line.endswith("{")
        return "\n".join(found)


class Names:
    """Names of variables, numbered in the order in which they are asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, prefix: str = "v") -> str:
        self.count += 1
        return f"{prefix}{self.count}"
