"""Machine code laid out once: bringing it into a process is copying it and writing a few addresses.

Only for x86-64 ELF. The layout is code, a jump for each outside function, constants, and a table of addresses: all
this is executable but not writable at the end. Variables follow on pages of their own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from funcgrad.compiler.llvm.loading import elf
from funcgrad.compiler.llvm.loading.elf import Object, Section

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


def lay_out(
    objects: Sequence[Object],
    roots: Collection[str] | None = None,
    own: Mapping[str, Object | None] | None = None,
) -> Image:
    """The image of object files that belong together, without what nobody needs.

    Args:
        objects: the files.
        roots: the names that others may use; None for all that are not local.
        own: names that belong into this image, and the files with those that `objects` do not define. References to
            others stay open, even if one of the files defines them. None for all.

    Errors:
        Unsupported: they hold what this linker does not know.
    """
    layout = _Layout(objects, own)
    for found in objects:
        if found.machine != X86_64:
            raise Unsupported(f"[image] objects for CPU family {found.machine} are not supported")
    return layout.make(layout.defined if roots is None else roots)


class Place(NamedTuple):
    """A place in a section of an object file."""

    file: Object
    section: int
    offset: int


class _Layout:
    """The state of one layout. What a relocation refers to is a `Place`, or the name of an outside symbol."""

    def __init__(self, objects: Sequence[Object], own: Mapping[str, Object | None] | None) -> None:
        self.own = own
        self.image = Image(bytearray())
        self.defined: dict[str, Place] = {}
        self.targets: dict[tuple[Object, int], Place | str] = {}
        self.offsets: dict[tuple[Object, int], int] = {}
        self.slots: dict[Place | str, int] = {}
        self.jumps: dict[str, int] = {}
        for found in objects:
            self.add(found)

    def add(self, found: Object) -> None:
        for name, number in found.exported().items():
            symbol = found.symbols[number]
            self.defined.setdefault(name, Place(found, symbol.section, symbol.value))

    def make(self, roots: Iterable[str]) -> Image:
        roots = [name for name in roots if name in self.defined]
        parts: list[list[tuple[Object, int]]] = [[], [], []]
        for file, number in self.reachable(roots):
            section = file.sections[number]
            if section.flags & elf.ALLOCATED and section.name != SKIPPED:
                parts[_part_of(section)].append((file, number))
        self.place(parts[0])
        self.make_jumps([*parts[0], *parts[1], *parts[2]])
        self.place(parts[1])
        self.make_slots()
        self.image.code_size = _up(len(self.image.content), PAGE)
        if parts[2]:
            self.extend(PAGE)
            self.place(parts[2])
        self.image.size = _up(len(self.image.content), PAGE)
        for target, slot in self.slots.items():
            self.note_address(slot, target, 0)
        for (file, number), base in self.offsets.items():
            for offset, kind, symbol, addend in file.sections[number].relocations:
                self.relocate(base + offset, kind, self.target(file, symbol), addend)
        self.image.symbols = {name: self.place_of(self.defined[name]) for name in roots}
        self.drop_zeros()
        return self.image

    def reachable(self, roots: Iterable[str]) -> dict[tuple[Object, int], None]:
        """The sections that the roots need, in a fixed order."""
        found: dict[tuple[Object, int], None] = {}
        pending = [self.defined[name] for name in reversed(sorted(roots))]
        while pending:
            place = pending.pop()
            key = (place.file, place.section)
            if key in found or place.section >= len(place.file.sections):
                continue
            found[key] = None
            for _, _, symbol, _ in place.file.sections[place.section].relocations:
                target = self.target(place.file, symbol)
                if isinstance(target, Place):
                    pending.append(target)
        return found

    def target(self, file: Object, number: int) -> Place | str:
        """What a symbol stands for."""
        key = (file, number)
        if key not in self.targets:
            symbol = file.symbols[number]
            found: Place | str | None = Place(file, symbol.section, symbol.value)
            if not symbol.is_local:
                found = self.global_target(symbol.name) or symbol.name
            self.targets[key] = found
        return self.targets[key]

    def global_target(self, name: str) -> Place | None:
        """The place in this image of what others may use; None if it is outside."""
        if self.own is not None:
            if name not in self.own:
                return None
            file = self.own[name]
            if name not in self.defined and file is not None:
                self.add(file)
        return self.defined.get(name)

    def drop_zeros(self) -> None:
        """Drop the zeros at the end."""
        image = self.image
        written = [place for places in image.outer.values() for place, _ in places]
        written += [place for place, _ in image.inner]
        kept = max([len(image.content.rstrip(b"\0")), *[place + WORD for place in written]])
        del image.content[kept:]

    # --- places ---

    def extend(self, alignment: int) -> int:
        content = self.image.content
        content.extend(bytes(-len(content) % alignment))
        return len(content)

    def place(self, sections: list[tuple[Object, int]]) -> None:
        for file, number in sections:
            section = file.sections[number]
            self.offsets[file, number] = self.extend(section.alignment)
            self.image.content += section.data or bytes(section.size)

    def make_jumps(self, sections: list[tuple[Object, int]]) -> None:
        """Room for a jump to each outside function that is called, and note which symbols need a slot."""
        for file, number in sections:
            for _, kind, symbol, _ in file.sections[number].relocations:
                target = self.target(file, symbol)
                is_outside = isinstance(target, str)
                if is_outside and kind in (DISTANCE, CALL) and target not in self.jumps:
                    self.jumps[target] = self.extend(WORD)
                    self.image.content += bytes(WORD)
                if kind in SLOTS or (is_outside and target in self.jumps):
                    self.slots.setdefault(target, 0)

    def make_slots(self) -> None:
        """The table of addresses, and the jumps that use it."""
        content = self.image.content
        for target in self.slots:
            self.slots[target] = self.extend(WORD)
            content += bytes(WORD)
        for name, place in self.jumps.items():
            distance = self.slots[name] - place - JUMP_BYTES
            content[place : place + JUMP_BYTES] = JUMP + struct.pack("<i", distance)

    # --- relocations ---

    def relocate(self, place: int, kind: int, target: Place | str, addend: int) -> None:
        if kind == ADDRESS:
            self.note_address(place, target, addend)
            return
        if kind in SLOTS:
            found = self.slots[target]
        elif kind not in (DISTANCE, CALL):
            raise Unsupported(f"[image] relocation {kind}")
        else:
            found = self.jumps[target] if isinstance(target, str) else self.place_of(target)
        struct.pack_into("<i", self.image.content, place, found + addend - place)

    def note_address(self, place: int, target: Place | str, addend: int) -> None:
        """A place that will hold the address of a symbol."""
        if isinstance(target, str):
            self.image.outer.setdefault(target, []).append((place, addend))
        else:
            self.image.inner.append((place, self.place_of(target) + addend))

    def place_of(self, target: Place) -> int:
        key = (target.file, target.section)
        if key not in self.offsets:
            raise Unsupported(f"[image] a symbol lies in section {target.section}")
        return self.offsets[key] + target.offset


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
