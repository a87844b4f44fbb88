"""Machine code laid out once: bringing it into a process is copying it and writing a few addresses.

Only for x86-64 ELF. The layout is code, a jump for each outside function, constants, and a table of addresses: all
this is executable but not writable at the end. Variables follow on pages of their own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from funcgrad.compiler.llvm.loading import elf
from funcgrad.compiler.llvm.loading.elf import Object, Section, joined, read_object

X86_64 = 62
PAGE = 4096
JUMP, JUMP_BYTES = b"\xff\x25", 6  # to the address that lies so many bytes after the instruction
WORD = 8
# Kinds of relocations: an address, and distances to a symbol, to a function, or to the place of its address.
ADDRESS, DISTANCE, CALL, SLOTS = 1, 2, 4, (9, 41, 42)
SKIPPED = ".eh_frame"  # for exceptions of C++, which do not pass through this code


class Unsupported(ValueError):
    """An object that only LLVM's own linker can bring into a process."""


@dataclass
class Image:
    """Machine code without a place.

    Attributes:
        content: the bytes up to the last that is not zero.
        code_size, size: bytes of the part that is not writable, which fills its pages, and of the whole.
        symbols: offsets of the functions and variables that others may use.
        inner: places that hold addresses in the image: (offset, offset of what it points to).
        outer: places that hold addresses of outside symbols: by name, (offset, what is added) of each.
    """

    content: bytearray
    code_size: int = 0
    size: int = 0
    symbols: dict[str, int] = field(default_factory=dict)
    inner: list[tuple[int, int]] = field(default_factory=list)
    outer: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def sections(self) -> dict[str, bytes]:
        """The image as sections of a cache entry."""
        table = [self.code_size, self.size, self.symbols, self.inner, self.outer]
        return {"image": bytes(self.content), "layout": json.dumps(table).encode()}

    @classmethod
    def from_sections(cls, sections: Mapping[str, bytes]) -> Image:
        """The image that `sections` describes."""
        return cls(bytearray(sections["image"]), *json.loads(sections["layout"]))


def lay_out(objects: Sequence[bytes], exported: Container[str] | None = None) -> Image:
    """The image of object files that belong together.

    Args:
        objects: the files.
        exported: the names that others may use; None for all that are not local.

    Errors:
        Unsupported: they hold what this linker does not know.
    """
    found = joined([read_object(data) for data in objects])
    if found.machine != X86_64:
        raise Unsupported(f"[image] objects for CPU family {found.machine} are not supported")
    image = _Layout(found).image
    if exported is not None:
        image.symbols = {name: at for name, at in image.symbols.items() if name in exported}
    return image


class _Layout:
    """The state of one layout."""

    def __init__(self, found: Object) -> None:
        self.symbols = found.symbols
        self.sections = found.sections
        self.image = Image(bytearray())
        self.offsets: dict[int, int] = {}
        self.slots: dict[int, int] = {}
        self.jumps: dict[int, int] = {}
        parts: list[list[int]] = [[], [], []]
        for number, section in enumerate(found.sections):
            if section.flags & elf.ALLOCATED and section.name != SKIPPED:
                parts[_part_of(section)].append(number)
        self.place(parts[0])
        self.make_jumps([*parts[0], *parts[1], *parts[2]])
        self.place(parts[1])
        self.make_slots()
        self.image.code_size = _up(len(self.image.content), PAGE)
        if parts[2]:
            self.extend(PAGE)
            self.place(parts[2])
        self.image.size = _up(len(self.image.content), PAGE)
        for symbol, slot in self.slots.items():
            self.note_address(slot, symbol, 0)
        for number in self.offsets:
            for relocation in self.sections[number].relocations:
                self.relocate(self.offsets[number], *relocation)
        self.finish()

    def finish(self) -> None:
        """Name what others may use, and drop the zeros at the end."""
        image = self.image
        for symbol in self.symbols:
            if not symbol.is_local and symbol.section in self.offsets:
                image.symbols[symbol.name] = self.offsets[symbol.section] + symbol.value
        written = [place for places in image.outer.values() for place, _ in places]
        written += [place for place, _ in image.inner]
        kept = max([len(image.content.rstrip(b"\0")), *[place + WORD for place in written]])
        del image.content[kept:]

    # --- places ---

    def extend(self, alignment: int) -> int:
        content = self.image.content
        content.extend(bytes(-len(content) % alignment))
        return len(content)

    def place(self, numbers: list[int]) -> None:
        for number in numbers:
            section = self.sections[number]
            self.offsets[number] = self.extend(section.alignment)
            self.image.content += section.data or bytes(section.size)

    def make_jumps(self, numbers: list[int]) -> None:
        """Room for a jump to each outside function that is called, and note which symbols need a slot."""
        for number in numbers:
            for _, kind, symbol, _ in self.sections[number].relocations:
                is_outside = self.symbols[symbol].section == elf.UNDEFINED
                if kind in (DISTANCE, CALL) and is_outside and symbol not in self.jumps:
                    self.jumps[symbol] = self.extend(WORD)
                    self.image.content += bytes(WORD)
                if kind in SLOTS or symbol in self.jumps:
                    self.slots.setdefault(symbol, 0)

    def make_slots(self) -> None:
        """The table of addresses, and the jumps that use it."""
        content = self.image.content
        for symbol in self.slots:
            self.slots[symbol] = self.extend(WORD)
            content += bytes(WORD)
        for symbol, place in self.jumps.items():
            distance = self.slots[symbol] - place - JUMP_BYTES
            content[place : place + JUMP_BYTES] = JUMP + struct.pack("<i", distance)

    # --- relocations ---

    def relocate(self, base: int, offset: int, kind: int, symbol: int, addend: int) -> None:
        place = base + offset
        if kind == ADDRESS:
            self.note_address(place, symbol, addend)
            return
        if kind in SLOTS:
            target = self.slots[symbol]
        elif kind in (DISTANCE, CALL):
            target = self.jumps[symbol] if symbol in self.jumps else self.target(symbol)
        else:
            raise Unsupported(f"[image] relocation {kind} of {self.symbols[symbol].name!r}")
        struct.pack_into("<i", self.image.content, place, target + addend - place)

    def note_address(self, place: int, symbol: int, addend: int) -> None:
        """A place that will hold the address of a symbol."""
        found = self.symbols[symbol]
        if found.section == elf.UNDEFINED:
            self.image.outer.setdefault(found.name, []).append((place, addend))
        else:
            self.image.inner.append((place, self.target(symbol) + addend))

    def target(self, symbol: int) -> int:
        found = self.symbols[symbol]
        if found.section not in self.offsets:
            raise Unsupported(f"[image] symbol {found.name!r} lies in section {found.section}")
        return self.offsets[found.section] + found.value


def _part_of(section: Section) -> int:
    """0: code, 1: what is only read, also if addresses must be written there first, 2: variables."""
    if section.flags & elf.THREAD_LOCAL:
        raise Unsupported(f"[image] section {section.name} is thread-local")
    if section.flags & elf.EXECUTABLE:
        return 0
    is_variable = section.flags & elf.WRITABLE and not section.name.startswith(".data.rel.ro")
    return 2 if is_variable else 1


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
