"""`save`: a tree of arrays to one safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.io.atomic import write_atomically
from funcgrad.io.encoding import COMPLEX128, NAMES, checksum, encode
from funcgrad.io.names import NamedLeaf, named_leaves
from funcgrad.io.tables import KEY, OPENING, Tables
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import PYTHON_SCALARS, ShapeDtypeStruct
from funcgrad.nn.filters import is_array_like


def save(
    path: str | os.PathLike[str], pytree: Any, metadata: Mapping[str, str] | None = None
) -> None:
    """Save the arrays and numbers of a tree to a safetensors file.

    The file is replaced at once: a reader sees the old one or the new one. Functions, strings and static
    fields are not saved; they come from the tree given to `load`. A tied array is saved once.

    Args:
        path: the file; its directory must exist.
        pytree: any tree of arrays, numbers and modules. A parameter's name is its path: `layers.0.weight`.
        metadata: texts to keep in the file, read by `load_metadata`.

    Raises:
        TypeError: an array has a dtype that the format does not hold, or metadata is not text.
        ValueError: two parameters have the same name.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save(path, {"weight": np.ones((2, 3), np.float32), "step": 7})
        >>> from funcgrad.io import load
        >>> load(path)
        {'step': 7, 'weight': array([[1., 1., 1.],
               [1., 1., 1.]], dtype=float32)}
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"[save] the first argument is the path of the file, but got {type(path).__name__}. "
            "Write save(path, tree)."
        )
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(
            f"[save] the directory {Path(path).parent} does not exist. Make it first."
        )
    leaves, treedef = tree.flatten(pytree)
    _check_leaves(leaves, treedef)
    try:
        found = named_leaves(leaves, treedef)
    except ValueError as error:
        raise ValueError(f"[save] {error}") from None
    arrays = {leaf.names[0]: encode(leaf.value, leaf.names[0]) for leaf in found}
    texts = _checked_metadata(metadata)
    tensors = {name: (NAMES[array.dtype], list(array.shape)) for name, array in arrays.items()}
    own = _tables(found, arrays).write(texts, tensors)
    write_atomically(Path(path), _serialized(arrays, {**texts, KEY: own}))


def _check_leaves(leaves: list[Any], treedef: tree.PyTreeDef) -> None:
    for leaf, path in zip(leaves, treedef.paths(), strict=True):
        name = tree.path_string(path)
        if isinstance(leaf, Tracer | ShapeDtypeStruct):
            raise TypeError(
                f"[save] {name or 'the tree'} is {leaf!r}, which has no values. Save outside the "
                "transformed function, with the arrays that it returns."
            )
        if isinstance(leaf, np.ndarray) and not is_array_like(leaf):
            encode(leaf, name)  # says what is wrong with it
        if name == "__metadata__":
            raise ValueError(
                "[save] the name '__metadata__' belongs to the format; rename the key."
            )


def _checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(
                f"[save] metadata holds texts only, but got {key!r}: {value!r:.60}. Numbers can be leaves of "
                "the tree; for the rest write metadata={'config': json.dumps(config)}."
            )
        if key == KEY or value.startswith(OPENING):
            raise ValueError(
                f"[save] metadata {key!r}: the key {KEY!r} and texts that begin with {OPENING!r} are "
                "funcgrad's own."
            )
    return dict(metadata or {})


def _tables(found: list[NamedLeaf], arrays: dict[str, np.ndarray]) -> Tables:
    """What the tensors alone do not say."""
    stored = {leaf.names[0]: leaf.value for leaf in found}
    return Tables(
        checksums={name: checksum(array) for name, array in arrays.items()},
        aliases={alias: leaf.names[0] for leaf in found for alias in leaf.names[1:]},
        dtypes={name: "complex128" for name, value in stored.items() if _is_complex128(value)},
        scalars={
            name: type(value).__name__
            for name, value in stored.items()
            if type(value) in PYTHON_SCALARS
        },
    )


def _is_complex128(value: Any) -> bool:
    return type(value) is complex or getattr(value, "dtype", None) == COMPLEX128


def _serialized(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    import safetensors.numpy

    try:
        return safetensors.numpy.save(arrays, metadata)
    except (UnicodeEncodeError, safetensors.SafetensorError) as error:
        raise ValueError(f"[save] the safetensors library refused the tree: {error}") from error
