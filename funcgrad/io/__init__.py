"""Saving and loading: trees of arrays in safetensors files, atomically, without running code."""

from funcgrad.io.checkpoints import CheckpointManager
from funcgrad.io.loading import load, load_dict, load_metadata
from funcgrad.io.models import load_model, save_model
from funcgrad.io.npz import load_npz, save_npz
from funcgrad.io.saving import save

__all__ = [
    "CheckpointManager",
    "load",
    "load_dict",
    "load_metadata",
    "load_model",
    "load_npz",
    "save",
    "save_model",
    "save_npz",
]
