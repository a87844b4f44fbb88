"""Saving and loading: trees of arrays in safetensors files, atomically, without running code."""

from funcgrad.io.loading import load, load_dict, load_metadata
from funcgrad.io.saving import save

__all__ = ["load", "load_dict", "load_metadata", "save"]
