"""Compiled code kept between processes: entries of named sections, in which any damage is a miss.

Loading machine code from a file is executing it, so the directory and every file in it must belong to this user and
be writable by nobody else. The checksum only finds damage. Nothing here raises because of the state of the disk.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import stat
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from funcgrad.compiler.cache_directory import (
    DEFAULT_MEGABYTES,
    MEGABYTE,
    default_directory,
    default_limit,
    is_private,
    refusal,
)
from funcgrad.config import IMPORTED_NS, config

Sections = Mapping[str, bytes]

MAGIC = b"FGCACHE1"
CHECKSUM_BYTES = 32
SUFFIX = ".fgc"
TEMPORARY = ".tmp"
REMEMBERED = 256  # entries of the layer in memory
REMEMBERED_BYTES = MEGABYTE // 4  # larger entries are read from the disk again
MOST_FILES = 1 << 14  # in the directory: looking at all of them must not take long
PRUNE_CHANCE = 0.004
STALE_SECONDS = 3600.0

# A symbolic link in the place of an entry leads nowhere, a named pipe does not block.
_READ = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# An own generator: the user's random numbers do not depend on what is compiled.
_random = random.Random()


class CacheWarning(UserWarning):
    """Compiled code is not kept on disk, because others could change it there."""


def digest(*parts: str | bytes) -> str:
    """The key of an entry: a hash of everything its content depends on.

    Example:
        >>> digest("ab", "c") == digest("a", "bc")
        False
    """
    hasher = blake2b(digest_size=24)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


# The parts of funcgrad between a recorded Program and its machine code.
COMPILING = ("ir", "ops", "compiler", "transforms", "control")


@functools.cache
def package_stamp() -> str:
    """Changes whenever a source file that takes part in compiling does: in every key whose content we computed.

    Where one has changed since this process began, by an upgrade or an editor, the modules in memory may be of either
    version. Then the stamp is nobody else's, so that no other process runs what this one makes, nor the other way.
    """
    root, now = Path(__file__).parent.parent, time.time_ns()
    stamps: list[str] = []
    pending = [str(root / part) for part in COMPILING]
    while pending:
        directory = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    stamps.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
                    if IMPORTED_NS < status.st_mtime_ns <= now:
                        stamps.append(os.urandom(16).hex())
                elif "." not in entry.name and entry.name != "__pycache__":
                    pending.append(entry.path)
    return digest("\n".join(sorted(stamps)))


# --- entries as bytes ---


def pack(key: str, sections: Sections) -> bytes:
    """An entry as it lies on the disk: magic, checksum of key and body, body."""
    table = json.dumps([[name, len(data)] for name, data in sections.items()]).encode()
    body = b"".join([len(table).to_bytes(4, "little"), table, *sections.values()])
    return MAGIC + _checksum(key, body) + body


def unpack(key: str, data: bytes) -> Sections | None:
    """The sections of an entry; None unless these bytes are just what `pack` made for this key."""
    start = len(MAGIC) + CHECKSUM_BYTES
    body = data[start:]
    if data[:start] != MAGIC + _checksum(key, body):
        return None
    table_end = 4 + int.from_bytes(body[:4], "little")
    sections, position = {}, table_end
    for name, length in json.loads(body[4:table_end]):
        sections[name] = body[position : position + length]
        position += length
    return sections


def _checksum(key: str, body: bytes) -> bytes:
    # The key is included, so that a renamed entry is not taken for another one.
    hasher = blake2b(key.encode() + b"\0", digest_size=CHECKSUM_BYTES)
    hasher.update(body)
    return hasher.digest()


# --- the cache ---


class Cache:
    """Entries by key, in a directory and, those used last, in memory.

    Args:
        directory: where the entries are; made when first used. None: nothing is kept on disk.
        limit: how many bytes the directory may hold, roughly. Entries not used for the longest time go first, also
            if there are too many.

    Example:
        >>> cache = Cache(None)
        >>> cache.put("c0ffee", {"object": b"code", "plan": b"{}"})
        >>> cache.get("c0ffee")["object"]
        b'code'
    """

    def __init__(self, directory: Path | None, limit: int = DEFAULT_MEGABYTES * MEGABYTE) -> None:
        self.directory = directory
        self.limit = limit
        self._usable: bool | None = None
        # No lock: every method used on it is atomic, and a lock would have to survive fork.
        self._recent: OrderedDict[str, Sections] = OrderedDict()

    def get(self, key: str) -> Sections | None:
        """The sections stored under the key, or None."""
        sections = self._recent.get(key)
        if sections is None and self.is_usable():
            data = self._read(self._path(key))
            sections = None if data is None else unpack(key, data)
        if sections is not None:
            self._remember(key, sections)
        return sections

    def put(self, key: str, sections: Sections) -> None:
        """Store the sections; if the disk does not allow that, only in memory."""
        self._remember(key, dict(sections))
        if not self.is_usable():
            return
        data = pack(key, sections)
        self._write(self._path(key), data)
        # By chance, so that short and long processes keep the directory bounded without counting anything.
        if _random.random() < max(PRUNE_CHANCE, 16 * len(data) / max(self.limit, 1)):
            self.prune()

    def is_usable(self) -> bool:
        """Whether entries are kept on disk. Makes and checks the directory, and warns once if it is not safe."""
        if not config.cache:
            return False
        if self._usable is None:
            self._usable = self._prepare()
        return self._usable

    def entries(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each entry."""
        return [found for found in self._files() if found[0].suffix == SUFFIX]

    def prune(self) -> None:
        """Remove what was used least recently, until a fifth of the limits is free, and what killed processes left."""
        now = time.time()
        for path, _, changed in self._files():
            if path.suffix == TEMPORARY and now - changed > STALE_SECONDS:
                _remove(path)
        entries = self.entries()
        total, count = sum(size for _, size, _ in entries), len(entries)
        if total <= self.limit and count <= MOST_FILES:
            return
        for path, size, _ in sorted(entries, key=lambda entry: entry[2]):
            if total <= 0.8 * self.limit and count <= 0.8 * MOST_FILES:
                break
            _remove(path)
            total, count = total - size, count - 1

    def clear(self) -> tuple[int, int]:
        """Remove everything; returns how many files were removed and how many could not be."""
        self._recent.clear()
        removed = [_remove(path) for path, _, _ in list(self._files())]
        return sum(removed), len(removed) - sum(removed)

    def _path(self, key: str) -> Path:
        assert self.directory is not None
        return self.directory / (key + SUFFIX)

    def _remember(self, key: str, sections: Sections) -> None:
        if sum(map(len, sections.values())) > REMEMBERED_BYTES:
            return
        # Another thread may drop the entry in between.
        with contextlib.suppress(KeyError):
            self._recent[key] = sections
            self._recent.move_to_end(key)
            while len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)

    def _prepare(self) -> bool:
        if self.directory is None:
            return False
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            problem = refusal(self.directory)
        except OSError:
            return False
        if problem is not None:
            warnings.warn(problem, CacheWarning, stacklevel=2)
        return problem is None

    def _read(self, path: Path) -> bytes | None:
        try:
            with open(path, "rb", buffering=0, opener=_open_entry) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or not is_private(status):
                    return None
                data = file.readall()
            if time.time() - status.st_mtime > STALE_SECONDS:
                os.utime(path)  # the time of last use, to the hour
        except OSError:
            return None
        return data

    def _write(self, path: Path, data: bytes) -> None:
        """Readers see all of an entry or nothing. No fsync: what a crash damages is a miss."""
        temporary = path.with_name(f".{path.stem}-{os.urandom(8).hex()}{TEMPORARY}")
        try:
            with open(temporary, "xb", opener=_create_private) as file:
                file.write(data)
            os.replace(temporary, path)
        except FileNotFoundError:
            self._usable = None  # somebody removed the directory: made anew at the next use
        except OSError:
            _remove(temporary)
        except BaseException:
            _remove(temporary)
            raise

    def _files(self) -> Iterable[tuple[Path, int, float]]:
        if self.directory is None:
            return
        with contextlib.suppress(OSError), os.scandir(self.directory) as found:
            for file in found:
                if file.name.endswith((SUFFIX, TEMPORARY)):
                    with contextlib.suppress(OSError):
                        status = file.stat(follow_symlinks=False)
                        yield Path(file.path), status.st_size, status.st_mtime


def _open_entry(path: str, flags: int) -> int:
    return os.open(path, flags | _READ)


def _create_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _remove(path: Path) -> bool:
    """Whether the file is gone because of this."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


@functools.cache
def default_cache() -> Cache:
    """The cache of this process."""
    return Cache(default_directory(), default_limit())
