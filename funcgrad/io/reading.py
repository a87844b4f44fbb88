"""Reading a safetensors file that nobody vouches for.

The library validates and reads it; this file checks before that what the library lets pass or does
not explain, and turns every fault into a `CheckpointError` that names the file.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.errors import CheckpointError
from funcgrad.io.encoding import COMPLEX128, DTYPES, checksum
from funcgrad.io.foreign import foreign_format
from funcgrad.io.tables import read_tables
from funcgrad.ir.types import PYTHON_SCALARS, ArrayType

MAX_HEADER = 100_000_000
SCALARS = {cls.__name__: cls for cls in PYTHON_SCALARS}


class CheckpointFile:
    """A file whose header has been checked.

    Attributes:
        types: shape and dtype of each array, by name.
        metadata: the user's texts.
        aliases: further names of tied arrays -> the name the array is stored under.
        scalars: names of Python numbers -> their classes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        entries = _read_header(self.path)
        texts = entries.pop("__metadata__", {})
        self._check_with_library()
        tensors = {name: (entry["dtype"], entry["shape"]) for name, entry in entries.items()}
        try:
            tables, self.metadata = read_tables(texts, tensors)
        except ValueError as error:
            raise self.fail(str(error)) from None
        self.stored = {name: dtype for name, (dtype, _) in tensors.items()}
        self.checksums, self.aliases = tables.checksums, tables.aliases
        self.scalars = {k: SCALARS[text] for k, text in tables.scalars.items() if text in SCALARS}
        self.types = {
            name: self._type(name, tables.dtypes.get(name), *tensors[name]) for name in tensors
        }
        self._check_aliases()

    def read(self, names: list[str]) -> dict[str, Any]:
        """Arrays (or Python numbers) by name, checked against their checksums."""
        small_floats = {name for name in names if self.stored[name].startswith("F8")}
        arrays = self._read_by_mapping([name for name in names if name not in small_floats])
        if small_floats:
            arrays.update(self._read_whole(small_floats))
        return {name: self._checked(name, arrays[name]) for name in names}

    def fail(self, text: str) -> CheckpointError:
        return CheckpointError(f"[load] {self.path}: {text}")

    # --- what the header says ---

    def _check_with_library(self) -> None:
        import safetensors

        try:
            with safetensors.safe_open(self.path, framework="np"):
                pass
        except safetensors.SafetensorError as error:
            raise self.fail(f"the file is damaged: {error}") from None

    def _type(self, name: str, tag: str | None, stored: str, lengths: list[int]) -> ArrayType:
        shape, dtype = tuple(lengths), DTYPES.get(stored)
        if dtype is None:
            raise self.fail(f"{name} has the dtype {stored}, for which NumPy has no array type.")
        if tag is None:
            return ArrayType(shape, dtype)
        if tag != "complex128" or dtype != np.float64 or shape[-1:] != (2,):
            raise self.fail(f"{name} is marked as {tag!r} but stored as {dtype}{list(shape)}.")
        return ArrayType(shape[:-1], COMPLEX128)

    def _check_aliases(self) -> None:
        for alias, name in self.aliases.items():
            if name not in self.types or alias in self.types:
                raise self.fail(
                    f"{alias!r} is said to be tied to {name!r}, but "
                    + ("both are stored." if name in self.types else "that is not in the file.")
                )

    # --- data ---

    def _read_by_mapping(self, names: list[str]) -> dict[str, np.ndarray]:
        import safetensors

        try:
            with safetensors.safe_open(self.path, framework="np") as file:
                return {name: file.get_tensor(name) for name in names}
        except safetensors.SafetensorError as error:
            raise self.fail(f"the file changed while it was read: {error}") from None

    def _read_whole(self, names: set[str]) -> dict[str, np.ndarray]:
        """For dtypes that the library does not map to NumPy's."""
        import safetensors

        try:
            tensors = safetensors.deserialize(self.path.read_bytes())
        except safetensors.SafetensorError as error:
            raise self.fail(f"the file changed while it was read: {error}") from None
        return {
            name: np.frombuffer(part["data"], DTYPES[part["dtype"]]).reshape(part["shape"])
            for name, part in tensors
            if name in names
        }

    def _checked(self, name: str, array: np.ndarray) -> Any:
        expected = self.checksums.get(name)
        if expected is not None and checksum(array) != expected:
            raise self.fail(
                f"the data of {name} is damaged: its checksum differs from the one that was saved. "
                "Use another copy of the file."
            )
        if self.types[name].dtype == COMPLEX128:
            array = array.view(COMPLEX128).reshape(self.types[name].shape)
        cls = self.scalars.get(name)
        return cls(array.item()) if cls is not None and array.ndim == 0 else array


def _read_header(path: Path) -> dict[str, Any]:
    """The entries of the header, after the checks that need no library."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise CheckpointError(f"[load] {path} is not a regular file.")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(512)
        length = int.from_bytes(start[:8], "little")
        if start[8:9] != b"{" or length > MAX_HEADER:
            raise CheckpointError(_explain_start(path, start, length, size))
        if 8 + length > size:
            raise CheckpointError(_size_text(path, size, f"at least {8 + length}"))
        file.seek(8)
        header = file.read(length)
    entries = _parse_header(path, header)
    expected = 8 + length + _data_length(path, entries)
    if size != expected:
        raise CheckpointError(_size_text(path, size, f"exactly {expected}"))
    return entries


def _explain_start(path: Path, start: bytes, length: int, size: int) -> str:
    foreign = foreign_format(start)
    if foreign is not None:
        return f"[load] {path} is no safetensors file. It looks like {foreign}"
    if size <= 8 or (length <= MAX_HEADER and 8 + length > size):
        return _size_text(path, size, f"at least {8 + length if size >= 8 else 10}")
    if length > MAX_HEADER and start[8:9] == b"{":
        return (
            f"[load] {path} is damaged: it announces a header of {length} bytes; the format allows "
            f"{MAX_HEADER}."
        )
    return (
        f"[load] {path} is no safetensors file: after 8 bytes of length a '{{' must follow, but it has "
        f"{start[8:9]!r}. Its size is {size} bytes."
    )


def _size_text(path: Path, found: int, expected: str) -> str:
    return (
        f"[load] {path} is damaged: its size is {found} bytes, but by its header it should be {expected}. "
        "It was cut off or extended; use another copy of the file."
    )


def _parse_header(path: Path, header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("a name occurs twice")
        return entries

    try:
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        text = "its nesting is too deep" if isinstance(error, RecursionError) else error
        raise CheckpointError(f"[load] {path}: the header is damaged: {text}.") from None
    texts = entries.get("__metadata__", {})
    is_valid = isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())
    if not is_valid:
        raise CheckpointError(f"[load] {path}: the header is damaged: metadata must be texts.")
    return entries


def _data_length(path: Path, entries: dict[str, Any]) -> int:
    """How many bytes of data the header announces."""
    try:
        ends = [
            entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"
        ]
        return max(map(_byte_count, ends), default=0)
    except (TypeError, KeyError, IndexError, ValueError):
        raise CheckpointError(
            f"[load] {path}: the header is damaged: an entry has no valid data_offsets."
        ) from None


def _byte_count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value
