"""ELF object files taken apart: the sections, symbols and relocations of what LLVM writes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
# Types and flags of sections, places of symbols that lie in none, and the binding of local symbols.
SYMBOL_TABLE, RELOCATIONS, NO_BITS = 2, 4, 8
WRITABLE, ALLOCATED, EXECUTABLE, THREAD_LOCAL = 1, 2, 4, 0x400
UNDEFINED, COMMON, ABSOLUTE = 0, 0xFFF2, 0xFFF1
LOCAL = 0

_HEADER = struct.Struct("<16xHHI3QI6H")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


@dataclass
class Section:
    """Bytes that belong together.

    Attributes:
        kind, flags: as in the file.
        data: the content; empty where it is only zeros.
        size, alignment: in bytes.
        relocations: places in the content that depend on addresses: (offset, kind, number of a symbol, addend).
    """

    name: str
    kind: int
    flags: int
    data: bytes
    size: int
    alignment: int
    relocations: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass
class Symbol:
    """A name for a place: `value` bytes into the section with this number."""

    name: str
    section: int
    value: int
    is_local: bool


@dataclass(eq=False)
class Object:
    """An object file. `machine` is ELF's number of the CPU family."""

    machine: int
    sections: list[Section]
    symbols: list[Symbol]

    def exported(self) -> dict[str, int]:
        """The numbers of the symbols that other files may use."""
        return {
            symbol.name: number
            for number, symbol in enumerate(self.symbols)
            if not symbol.is_local and symbol.section != UNDEFINED
        }


def read_object(data: bytes) -> Object:
    """Take an object file apart.

    Errors:
        ValueError: this is not a whole object file of 64 bits and little-endian numbers.
    """
    if not data.startswith(MAGIC):
        raise ValueError("[elf] not an object file of 64-bit, little-endian ELF")
    try:
        return _read(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"[elf] the object file is damaged: {error}") from None


def _read(data: bytes) -> Object:
    header = _HEADER.unpack_from(data)
    machine, table, count, names = header[1], header[5], header[11], header[12]
    rows = [_SECTION.unpack_from(data, table + _SECTION.size * i) for i in range(count)]
    texts = [b"" if row[1] == NO_BITS else data[row[4] : row[4] + row[5]] for row in rows]
    sections = [
        Section(_string(texts[names], row[0]), row[1], row[2], text, row[5], max(1, row[8]))
        for row, text in zip(rows, texts, strict=True)
    ]
    symbols: list[Symbol] = []
    for row, text in zip(rows, texts, strict=True):
        if row[1] == SYMBOL_TABLE:
            symbols = [
                Symbol(_string(texts[row[6]], name), section, value, info >> 4 == LOCAL)
                for name, info, _, section, value, _ in _SYMBOL.iter_unpack(text)
            ]
        elif row[1] == RELOCATIONS:
            sections[row[7]].relocations = [
                (offset, info & 0xFFFFFFFF, info >> 32, addend)
                for offset, info, addend in _RELOCATION.iter_unpack(text)
            ]
    return Object(machine, sections, symbols)


def _string(table: bytes, start: int) -> str:
    return table[start : table.index(b"\0", start)].decode()
