"""The scripts that record values of other libraries are collected only where these are."""

import importlib.util

NEEDED = {"make_reference.py": "torch", "make_losses_reference.py": "jax"}
collect_ignore = [file for file, name in NEEDED.items() if importlib.util.find_spec(name) is None]
