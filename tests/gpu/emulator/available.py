"""Whether kernels can be emulated here."""

import importlib.util
import shutil

import pytest


def missing() -> str | None:
    """What the emulator lacks, or None if nothing."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install '.[cuda-test]'"
    return None if shutil.which("g++") else "g++ is not installed"


def require_emulator() -> None:
    """At the top of a test file: skip all of it, with the reason, where the emulator cannot run."""
    if (reason := missing()) is not None:
        pytest.skip(f"emulated GPU: {reason}", allow_module_level=True)
