"""The memory that a kernel reads and writes: which pointer of its argument stands for what."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import memory_type


class Pointers:
    """Names of typed pointers, in the order in which they are asked for.

    Args:
        scratch: the keys of nodes whose memory only these launches use.
    """

    def __init__(self, scratch: dict[Any, Any] | None = None) -> None:
        self.scratch = {} if scratch is None else scratch  # the caller may add to it
        self.keys: list[Any] = []
        self.types: dict[int, str] = {}
        self.written: set[int] = set()

    def number(self, key: Any) -> int:
        key = self.scratch.get(key, key)
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)

    def read(self, key: Any, dtype: np.dtype) -> str:
        """The name of a pointer to elements of this dtype."""
        return self.typed(key, memory_type(dtype))

    def typed(self, key: Any, type: str, is_written: bool = False) -> str:
        """The name of a pointer to a C type."""
        number = self.number(key)
        if is_written:
            self.written.add(number)
        known = self.types.setdefault(number, type)
        assert known == type, f"{key} is read as {known} and as {type}"
        return f"p{number}"

    def write(self, key: Any, dtype: np.dtype) -> str:
        """The name of a pointer that is written to."""
        return self.typed(key, memory_type(dtype), is_written=True)

    def declarations(self, argument: str) -> list[str]:
        """The lines that define the names from an array of addresses."""
        found = []
        for number, type in sorted(self.types.items()):
            constant = "" if number in self.written else "const "
            found.append(
                f"{constant}{type} *const p{number} = ({constant}{type} *){argument}[{number}];"
            )
        return found
