"""`load`: a safetensors file into a tree like a given one, or into plain dicts."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.errors import CheckpointError
from funcgrad.io.names import NamedLeaf, named_leaves, nested
from funcgrad.io.reading import CheckpointFile
from funcgrad.ir.mixing import array_module
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import PYTHON_SCALARS, ArrayType, ShapeDtypeStruct, kind

_NO_TREE: Any = object()
_SHOWN = 50


def load(
    path: str | os.PathLike[str], like: Any = _NO_TREE, *, strict: bool = True, cast: bool = False
) -> Any:
    """Load a safetensors file, from `save` or from another library. Never runs code from the file.

    Args:
        path: the file.
        like: a tree with the names, shapes and dtypes that are expected; its arrays (or
            `ShapeDtypeStruct`s) are replaced, everything else is kept. Without it the result is nested dicts.
        strict: False takes what fits, keeps `like`'s arrays for the rest, and warns with a list.
        cast: convert arrays to the dtypes of `like` where no fraction or imaginary part is lost.

    Returns:
        A tree like `like`; tied arrays are tied again.

    Raises:
        CheckpointError: the file is damaged or no safetensors file, or it does not fit: all differences
            are listed by name.

    Example:
        >>> import os, tempfile
        >>> from funcgrad.io import save
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save(path, {"w": np.ones(2), "f": np.tanh})
        >>> load(path, {"w": np.zeros(2), "f": np.sin})
        {'f': <ufunc 'sin'>, 'w': array([1., 1.])}
    """
    file = CheckpointFile(path)
    if like is _NO_TREE:
        try:
            return nested(_read_all(file))
        except ValueError as error:
            raise file.fail(str(error)) from None
    leaves, treedef = tree.flatten(like)
    wanted = _Wanted(file, named_leaves(leaves, treedef), cast)
    if wanted.differences:
        _report(wanted, strict)
    values = file.read(sorted({name for _, name in wanted.matches}))
    new, placed = list(leaves), set()
    for leaf, name in wanted.matches:
        # Tied in the file but not in the tree: each leaf has its own memory.
        value = np.copy(values[name]) if name in placed else values[name]
        new[leaf.number] = _placed(value, leaf.value)
        placed.add(name)
    return treedef.unflatten(new)


def load_dict(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a file into a flat dict from parameter names to arrays; tied names share one array.

    Example:
        >>> import os, tempfile
        >>> from funcgrad.io import save
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save(path, {"layers": [np.ones(1), np.zeros(1)]})
        >>> load_dict(path)
        {'layers.0': array([1.]), 'layers.1': array([0.])}
    """
    return _read_all(CheckpointFile(path))


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that were given to `save` as metadata.

    Example:
        >>> import os, tempfile
        >>> from funcgrad.io import save
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save(path, {"w": np.ones(2)}, metadata={"made by": "an example"})
        >>> load_metadata(path)
        {'made by': 'an example'}
    """
    return CheckpointFile(path).metadata


def _read_all(file: CheckpointFile) -> dict[str, Any]:
    values = file.read(list(file.types))
    values.update({alias: values[name] for alias, name in file.aliases.items()})
    return dict(sorted(values.items()))


class _Wanted:
    """What a tree expects from a file.

    Attributes:
        matches: (leaf, name it is stored under) where file and tree agree.
        differences: one line per place where they do not.
        without_value: names that strict=False cannot leave as they are in the tree.
    """

    def __init__(self, file: CheckpointFile, leaves: list[NamedLeaf], cast: bool) -> None:
        self.file = file
        self.cast = cast
        self.matches: list[tuple[NamedLeaf, str]] = []
        self.differences: list[str] = []
        self.without_value: list[str] = []
        for leaf in leaves:
            difference = self.difference(leaf)
            if difference is not None:
                self.differences.append(f"{leaf.names[0] or 'the value'}: {difference}")
                if isinstance(leaf.value, ShapeDtypeStruct):
                    self.without_value.append(leaf.names[0])
        expected = {name for leaf in leaves for name in leaf.names}
        for name in sorted({*file.types, *file.aliases} - expected):
            found = file.types[file.aliases.get(name, name)]
            self.differences.append(
                f"{name or 'the value'}: in the file ({found}), but not in the tree"
            )

    def difference(self, leaf: NamedLeaf) -> str | None:
        """How file and tree differ at one leaf; remembers the match where they do not."""
        file = self.file
        stored = [file.aliases.get(name, name) for name in leaf.names]
        stored = list(dict.fromkeys(name for name in stored if name in file.types))
        expected = _type_of(leaf.value)
        if not stored:
            return f"missing in the file; the tree has {expected}"
        found = file.types[stored[0]]
        if len(stored) > 1 and not self.are_equal(stored):
            return f"one array in the tree, but {' and '.join(stored)} differ in the file"
        if found.shape != expected.shape:
            return f"the file has {found}, the tree {expected}: other shape"
        if found.dtype != expected.dtype and not (self.cast and can_cast(found, expected)):
            return f"the file has {found}, the tree {expected}: other dtype"
        self.matches.append((leaf, stored[0]))
        return None

    def are_equal(self, names: list[str]) -> bool:
        """Whether a file that keeps tied arrays apart has the same values in them."""
        first, *others = self.file.read(names).values()
        return all(np.array_equal(first, other) for other in others)


def can_cast(found: ArrayType, expected: ArrayType) -> bool:
    """Whether converting keeps the kind of number: integer to float, but not float to integer."""
    order = "biufc"
    from_kind, to_kind = kind(found.dtype), kind(expected.dtype)
    return order.index(from_kind) <= order.index(to_kind) or (from_kind, to_kind) == ("u", "i")


def _type_of(value: Any) -> ArrayType:
    if isinstance(value, ShapeDtypeStruct):
        return ArrayType(value.shape, value.dtype)
    return type_of(value).strong()


def _report(wanted: _Wanted, strict: bool) -> None:
    lines = [f"  {line}" for line in wanted.differences]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"  ... and {len(lines) - _SHOWN} more"]
    text = (
        f"[load] {wanted.file.path} does not fit the tree it is loaded into "
        f"({len(wanted.differences)} difference{'s' * (len(wanted.differences) > 1)}):\n"
        + "\n".join(lines)
    )
    if strict or wanted.without_value:
        raise CheckpointError(
            f"{text}\nBuild the tree as it was when it was saved. Or: strict=False loads what fits and keeps "
            "the rest of the tree, cast=True converts dtypes, load_dict(path) loads without a tree, "
            "load_model(path, model) takes the names of PyTorch and save_model."
        )
    warnings.warn(f"{text}\nstrict=False: these were skipped.", stacklevel=3)


def _placed(value: Any, like: Any) -> Any:
    """A value from a file in the dtype, class and device of the leaf that it replaces."""
    if type(like) in PYTHON_SCALARS:
        return type(like)(np.asarray(value).item())
    array = np.asarray(value, dtype=like.dtype)
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, ShapeDtypeStruct):
        return array
    xp = array_module([like])
    return array if xp is np else xp.asarray(array)
