"""The manifest of a checkpoint: what is in its directory, with sizes and checksums, as JSON."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from funcgrad.errors import CheckpointError
from funcgrad.io.atomic import write_atomically
from funcgrad.io.reading import CheckpointFile

NAME, ARRAYS, FORMAT = "MANIFEST.json", "tree.safetensors", 1
FIELDS = {"format": int, "step": int, "metrics": dict, "meta": dict, "files": dict, "arrays": dict}
CHUNK = 1 << 20


def write_manifest(
    directory: Path, step: int, metrics: Mapping[str, float], meta: Mapping[str, Any]
) -> None:
    """Describe the files that are in a directory already."""
    file = directory / ARRAYS
    content = {
        "format": FORMAT,
        "step": step,
        "metrics": dict(metrics),
        "meta": dict(meta),
        "files": {ARRAYS: {"size": file.stat().st_size, "blake2b": _hash(file)}},
        "arrays": {name: str(type) for name, type in CheckpointFile(file).types.items()},
        "versions": {"python": platform.python_version(), "funcgrad": _own_version()},
    }
    try:
        text = json.dumps(content, indent=1, allow_nan=True)
    except TypeError as error:
        raise TypeError(
            f"[CheckpointManager] meta must be what JSON holds: dicts, lists, texts, numbers, None; {error}. "
            "Arrays belong in the tree."
        ) from None
    write_atomically(directory / NAME, text.encode())


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = directory / NAME
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"[CheckpointManager] {path} is missing or damaged: {error}."
        ) from None
    is_valid = isinstance(content, dict) and all(
        isinstance(content.get(field), kind) for field, kind in FIELDS.items()
    )
    if not is_valid or content["format"] != FORMAT:
        raise CheckpointError(f"[CheckpointManager] {path} is no manifest of format {FORMAT}.")
    return content


def verify(directory: Path, content: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless all files are as the manifest says."""
    for name, expected in content["files"].items():
        if name != ARRAYS or not isinstance(expected, dict):
            raise CheckpointError(f"[CheckpointManager] {directory}: {name!r} is no file of ours.")
        file = directory / name
        size = file.stat().st_size if file.is_file() else None
        if size != expected.get("size"):
            raise CheckpointError(
                f"[CheckpointManager] {file} has {size} bytes, but the manifest says {expected.get('size')}."
            )
        if _hash(file) != expected.get("blake2b"):
            raise CheckpointError(
                f"[CheckpointManager] {file} is damaged: its checksum is not the one in the manifest."
            )


def _hash(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _own_version() -> str:
    try:
        return version("funcgrad")
    except PackageNotFoundError:
        return "unknown"
