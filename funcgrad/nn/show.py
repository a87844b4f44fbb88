"""How a module prints: one line per field, arrays as `f32[3,4]`."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from funcgrad.nn.layout import Layout

SHORT_NAMES = {"bfloat16": "bf16", "complex64": "c64", "complex128": "c128"}
SHORT_PREFIXES = {"float": "f", "uint": "u", "int": "i"}
WIDTH = 80


def show_module(module: Any) -> str:
    """The text of a module, over several lines."""
    return _Printer().show(module, "", "")


def short_dtype(dtype: np.dtype) -> str:
    """'f32' for float32.

    >>> short_dtype(np.dtype("uint8"))
    'u8'
    """
    name = dtype.name
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    for prefix, short in SHORT_PREFIXES.items():
        if name.startswith(prefix) and name.removeprefix(prefix).isdigit():
            return short + name.removeprefix(prefix)
    return name


class _Printer:
    """Prints one module; a module met again is shown as a reference to its first place."""

    def __init__(self) -> None:
        self.places: dict[int, str] = {}

    def show(self, value: Any, path: str, indent: str) -> str:
        layout = getattr(value, "_layout", None)
        if isinstance(layout, Layout):
            if id(value) in self.places:
                return f"<the same {layout.cls.__name__} as {self.places[id(value)]}>"
            self.places[id(value)] = path or "the whole"
            rows = [(f"{name}=", name, getattr(value, name)) for name in layout.fields]
            return self.rows(layout.cls.__name__ + "(", rows, ")", path, indent)
        if isinstance(value, dict):
            rows = [(f"{key!r}: ", str(key), item) for key, item in value.items()]
            return self.container("{", rows, "}", path, indent)
        if type(value) in (list, tuple):
            rows = [("", str(index), item) for index, item in enumerate(value)]
            left, right = "[]" if isinstance(value, list) else "()"
            return self.container(left, rows, right, path, indent)
        return show_leaf(value)

    def container(self, left: str, rows: list, right: str, path: str, indent: str) -> str:
        """On one line where it fits."""
        places = dict(self.places)
        items = [label + self.show(item, f"{path}.{name}", indent) for label, name, item in rows]
        line = f"{left}{', '.join(items)}{',' if left == '(' and len(items) == 1 else ''}{right}"
        if "\n" not in line and len(indent) + len(line) <= WIDTH:
            return line
        self.places = places
        return self.rows(left, rows, right, path, indent)

    def rows(self, left: str, rows: list, right: str, path: str, indent: str) -> str:
        if not rows:
            return left + right
        deeper = indent + "  "
        items = [
            deeper + label + self.show(item, f"{path}.{name}".lstrip("."), deeper)
            for label, name, item in rows
        ]
        return f"{left}\n" + ",\n".join(items) + f"\n{indent}{right}"


def show_leaf(value: Any) -> str:
    """One line for anything that is not a module or container."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and isinstance(dtype, np.dtype):
        return f"{short_dtype(dtype)}[{','.join(map(str, shape))}]"
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return f"<function {value.__name__}>" if not isinstance(value, type) else value.__name__
    text = repr(value).replace("\n", " ")
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
