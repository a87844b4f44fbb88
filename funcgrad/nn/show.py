"""How modules and other trees print: on one line where it fits, else in rows, with arrays as `f32[3,4]`."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from funcgrad.nn.layout import Layout
from funcgrad.nn.walk import is_module

SHORT_NAMES = {"bfloat16": "bf16", "complex64": "c64", "complex128": "c128"}
SHORT_PREFIXES = {"float": "f", "uint": "u", "int": "i"}
WIDTH = 88


def show_module(module: Any) -> str:
    """The text of a module, over several lines."""
    return _Printer().show(module, "", "")


def tree_pformat(pytree: Any) -> str:
    """The text of any tree, as modules print: an array is its dtype and shape.

    Args:
        pytree: dicts, lists, tuples, modules, states of optimizers and anything inside of these.

    Example:
        >>> import numpy as np
        >>> from funcgrad import optim
        >>> print(tree_pformat({"step": 3, "state": optim.adam(0.1).init(np.zeros((2, 3)))}))
        {
          'step': 3,
          'state': (ScaleByAdamState(count=i64[], mu=f64[2,3], nu=f64[2,3]), EmptyState())
        }
    """
    return _Printer().show(pytree, "", "")


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
            notes = {name: "frozen " for name in layout.frozen}
            rows = [
                (f"{name}={notes.get(name, '')}", name, getattr(value, name))
                for name in layout.fields
            ]
            return self.container(layout.cls.__name__ + "(", rows, ")", path, indent)
        if isinstance(value, dict):
            rows = [(f"{key!r}: ", str(key), item) for key, item in value.items()]
            return self.container("{", rows, "}", path, indent)
        names = getattr(value, "_fields", None) if isinstance(value, tuple) else None
        if names is not None:
            rows = [(f"{n}=", n, item) for n, item in zip(names, value, strict=True)]
            return self.container(type(value).__name__ + "(", rows, ")", path, indent)
        if type(value) in (list, tuple):
            rows = [("", str(index), item) for index, item in enumerate(value)]
            left, right = "[]" if isinstance(value, list) else "()"
            return self.container(left, rows, right, path, indent)
        return show_leaf(value)

    def container(self, left: str, rows: list, right: str, path: str, indent: str) -> str:
        """On one line where it fits, but with one line for each module inside."""
        if any(is_module(item) for _, _, item in rows):
            return self.rows(left, rows, right, path, indent)
        places = dict(self.places)
        items = [
            label + self.show(item, f"{path}.{name}".lstrip("."), indent)
            for label, name, item in rows
        ]
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
        lines = _packed(items) if left.endswith("(") and left != "(" else items
        return f"{left}\n" + ",\n".join(lines) + f"\n{indent}{right}"


def _packed(items: list[str]) -> list[str]:
    """The fields of a module, as many on a line as fit."""
    lines: list[str] = []
    for item in items:
        joined = f"{lines[-1]}, {item.lstrip()}" if lines else item
        if lines and "\n" not in joined and len(joined) < WIDTH:
            lines[-1] = joined
        else:
            lines.append(item)
    return lines


def show_leaf(value: Any) -> str:
    """One line for anything that is not a module or container."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and isinstance(dtype, np.dtype):
        return f"{short_dtype(dtype)}[{','.join(map(str, shape))}]"
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return f"<function {value.__name__}>" if not isinstance(value, type) else value.__name__
    text = repr(value).replace("\n", " ")
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
