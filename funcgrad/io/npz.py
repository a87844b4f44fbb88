"""NumPy's archives (.npz): for programs that read nothing else. Never with pickles inside."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.errors import CheckpointError
from funcgrad.io.atomic import write_atomically
from funcgrad.io.names import named_leaves, nested


def save_npz(path: str | os.PathLike[str], pytree: Any, *, compressed: bool = False) -> None:
    """Save the arrays and numbers of a tree to an .npz file, atomically.

    There are no checksums in such a file; prefer `save` where you can choose.

    Args:
        path: the file.
        pytree: any tree of arrays; names are paths such as `layers.0.weight`. A single array is `arr_0`.
        compressed: make it smaller, and slower.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "arrays.npz")
        >>> save_npz(path, {"w": np.ones(2), "b": [np.zeros(1)]})
        >>> load_npz(path)
        {'b': {'0': array([0.])}, 'w': array([1., 1.])}
    """
    leaves, treedef = tree.flatten(pytree)
    arrays = {}
    for leaf in named_leaves(leaves, treedef):
        for name in leaf.names:
            value = leaf.value.get() if hasattr(leaf.value, "get") else leaf.value
            arrays[name or "arr_0"] = np.asarray(value)
    refused = [name for name, array in arrays.items() if array.dtype.kind not in "biufc"]
    if refused:
        raise TypeError(
            f"[save_npz] the dtypes of {refused} are unknown to NumPy's files. Use funcgrad.save."
        )
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    write_atomically(Path(path), buffer.getvalue())


def load_npz(path: str | os.PathLike[str], *, flat: bool = False) -> Any:
    """Load an .npz (or .npy) file. Never runs code from the file.

    Args:
        path: the file.
        flat: names as they are, instead of nested dicts.

    Returns:
        Nested dicts of arrays, a flat dict, or the array of an .npy file or of a file with nothing but `arr_0`.

    Raises:
        CheckpointError: the file is damaged, or holds Python objects.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "array.npz")
        >>> save_npz(path, np.arange(3))
        >>> load_npz(path)
        array([0, 1, 2])
    """
    with open(path, "rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
            arrays = found if isinstance(found, np.ndarray) else dict(found)
        except (ValueError, EOFError, KeyError, zipfile.BadZipFile, OSError) as error:
            raise CheckpointError(
                f"[load_npz] {path} is damaged, no NumPy file, or holds Python objects, which are not loaded: "
                f"{error}"
            ) from None
    if isinstance(arrays, np.ndarray) or flat:
        return arrays
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else nested(arrays)
