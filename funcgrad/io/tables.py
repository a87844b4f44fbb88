"""What a file says beside its tensors: tied names, dtypes the format lacks, checksums.

It is one JSON text in the file's metadata, sealed by a hash over the whole header, so that a damaged
header is noticed like damaged data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KEY = "funcgrad"
OPENING = '{"funcgrad": '
FORMAT = "1"

Texts = Mapping[str, str]
Tensors = Mapping[str, tuple[str, list[int]]]


@dataclass
class Tables:
    """The tables of one file, all from names to texts.

    checksums: name -> hash of the data.
    aliases: further name of a tied array -> the name it is stored under.
    dtypes: name -> "complex128", stored as pairs of float64.
    scalars: name of a Python number -> its class.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)

    def write(self, texts: Texts, tensors: Tensors) -> str:
        """The text for the metadata.

        Args:
            texts: the user's metadata.
            tensors: name of each tensor -> dtype and shape as they stand in the header.
        """
        tables = asdict(self)
        return json.dumps({"funcgrad": FORMAT, **tables, "seal": _seal(texts, tables, tensors)})


def read_tables(texts: Texts, tensors: Tensors) -> tuple[Tables, dict[str, str]]:
    """The tables of a file (empty for a file of another program), and the user's metadata.

    Raises:
        ValueError: the header is not as it was written.
    """
    own = [key for key, text in texts.items() if key == KEY or text.startswith(OPENING)]
    if not own:
        return Tables(), dict(texts)
    user = {key: text for key, text in texts.items() if key != KEY}
    tables = _parsed(texts[KEY]) if own == [KEY] else None
    if tables is None or tables.pop("seal", None) != _seal(user, tables, tensors):
        raise ValueError(
            "the header is damaged, or another program edited it and kept the metadata entry "
            f"{KEY!r}. Use another copy, or let that program drop the entry."
        )
    return Tables(**tables), user


def _parsed(text: str) -> dict[str, Any] | None:
    """The tables and the seal, or None if the text is something else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.pop("funcgrad", None) != FORMAT:
        return None
    if set(content) != {*Tables.__dataclass_fields__, "seal"}:
        return None
    tables = [content[name] for name in Tables.__dataclass_fields__]
    is_valid = all(
        isinstance(table, dict) and all(isinstance(text, str) for text in table.values())
        for table in tables
    )
    return content if is_valid else None


def _seal(texts: Texts, tables: Mapping[str, Any], tensors: Tensors) -> str:
    content = json.dumps([dict(texts), tables, dict(tensors)], sort_keys=True).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
