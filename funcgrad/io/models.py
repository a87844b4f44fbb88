"""Weights of a model to and from other libraries: files with PyTorch's names."""

from __future__ import annotations

import os
from typing import Any

from funcgrad.io.loading import load_dict
from funcgrad.io.saving import save
from funcgrad.nn.state_dict import load_state_dict, state_dict


def save_model(path: str | os.PathLike[str], model: Any, *, names: str = "pytorch") -> None:
    """Save the arrays of a model under the names that PyTorch's `state_dict` gives them.

    PyTorch reads the file with `safetensors.torch.load_model(module, path)`, or without tied arrays also with
    `module.load_state_dict(safetensors.torch.load_file(path))`: a tied array is saved once.

    Args:
        path: the file.
        model: the model.
        names: "pytorch", or "funcgrad" for the paths that `save` uses.

    Example:
        >>> import os, tempfile
        >>> from funcgrad import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> save_model(path, nn.Sequential([nn.Linear(2, 1, key=0)]))
        >>> sorted(load_dict(path))
        ['0.bias', '0.weight']
    """
    save(path, state_dict(model, names=names))


def load_model(
    path: str | os.PathLike[str], model: Any, *, strict: bool = True, cast: bool = False
) -> Any:
    """A copy of a model with the weights of a safetensors file: one of ours, or one that PyTorch wrote.

    Args:
        path: the file.
        model: a model of the same layers.
        strict: False takes what fits, and warns with a list of the rest.
        cast: convert to the dtypes of the model.

    Raises:
        CheckpointError: the file is damaged, or does not fit: all differences are listed by name.

    Example:
        >>> import os, tempfile
        >>> from funcgrad import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> first, second = nn.Linear(2, 1, key=0), nn.Linear(2, 1, key=1)
        >>> save_model(path, first)
        >>> nn.tree_equal(load_model(path, second), first)
        True
    """
    return load_state_dict(model, load_dict(path), strict=strict, cast=cast)
