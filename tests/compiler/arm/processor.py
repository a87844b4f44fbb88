"""Machine code for 64-bit ARM, run by an emulator of the processor.

LLVM compiles for any machine; a small linker lays the objects out in the memory of the emulator, and functions of C
are answered by Python.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
import unicorn
from unicorn import arm64_const as arm

from funcgrad.compiler.llvm.loading.elf import ABSOLUTE, ALLOCATED, UNDEFINED, Object, read_object

TRIPLE = "aarch64-unknown-linux-gnu"
CPU = "neoverse-n1"
FEATURES = "+neon,+fp-armv8,+fullfp16,+lse,+dotprod"

PAGE = 1 << 12
CODE, OUTSIDE, STACK, HEAP = 0x1000_0000, 0x1100_0000, 0x3000_0000, 0x4000_0000
CODE_BYTES, OUTSIDE_BYTES, STACK_BYTES, HEAP_BYTES = 16 << 20, 1 << 16, 8 << 20, 512 << 20
RETURN = struct.pack("<I", 0xD65F03C0)
FLOATING_POINT_ON = 0x300000
INSTRUCTIONS = 2_000_000_000  # after which a call counts as endless

# Numbers of relocations, by what they patch.
WORDS = {257: "<Q", 258: "<I"}
DISTANCES = {260: "<q", 261: "<i"}
CALLS = (282, 283)
PAGES, GOT_PAGE, GOT_PLACE = (275, 276), 311, 312
LOW_BITS = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}  # and how far they are shifted


def compile_for_arm(text: str, level: int) -> Object:
    """The object file of a module of LLVM assembly."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=CPU, features=FEATURES, opt=level, reloc="pic", codemodel="small"
    )
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.triple, module.data_layout = TRIPLE, str(machine.target_data)
        module.verify()
        return read_object(machine.emit_object(module))


class Processor:
    """An emulated processor with its memory.

    Args:
        objects: what to load.
        outside: by name, what Python does when code calls a function that no object defines.
    """

    def __init__(
        self, objects: Iterable[Object], outside: dict[str, Callable[[Processor], None]]
    ) -> None:
        self.emulator: Any = unicorn.unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.emulator.ctl_set_cpu_model(arm.UC_CPU_ARM64_MAX)
        for start, size in (
            (CODE, CODE_BYTES),
            (OUTSIDE, OUTSIDE_BYTES),
            (STACK, STACK_BYTES),
            (HEAP, HEAP_BYTES),
        ):
            self.emulator.mem_map(start, size)
        self.emulator.reg_write(arm.UC_ARM64_REG_CPACR_EL1, FLOATING_POINT_ON)
        self.emulator.mem_write(OUTSIDE, RETURN * (OUTSIDE_BYTES // 4))
        self.emulator.hook_add(
            unicorn.UC_HOOK_CODE, self._answer, begin=OUTSIDE, end=OUTSIDE + OUTSIDE_BYTES
        )
        self.outside = outside
        self.answers: list[Callable[[Processor], None] | None] = [None]
        self.symbols: dict[str, int] = {}
        self.heap = HEAP
        self.sizes: dict[int, int] = {}
        self.error: BaseException | None = None
        Linker(self).load([*objects])

    # --- memory ---

    def allocate(self, size: int) -> int:
        """Bytes that nobody else has, between others that nobody may touch."""
        place = self.heap
        self.sizes[place] = size
        self.heap += -(-size // PAGE) * PAGE + PAGE
        if self.heap > HEAP + HEAP_BYTES:
            raise MemoryError("[arm] the memory of the emulator is full")
        return place

    def write(self, place: int, data: bytes) -> None:
        self.emulator.mem_write(place, data)

    def read(self, place: int, size: int) -> bytes:
        return bytes(self.emulator.mem_read(place, size))

    # --- registers ---

    def word(self, number: int) -> int:
        """A register of integers: the arguments of a call in order, and its result in 0."""
        return self.emulator.reg_read(arm.UC_ARM64_REG_X0 + number)

    def set_word(self, value: int) -> None:
        self.emulator.reg_write(arm.UC_ARM64_REG_X0, value & (1 << 64) - 1)

    def number(self, register: int, letter: str) -> float:
        """A float ("f") or double ("d") among the arguments of a call."""
        bits = self.emulator.reg_read(arm.UC_ARM64_REG_Q0 + register).to_bytes(16, "little")
        return struct.unpack_from("<" + letter, bits)[0]

    def set_number(self, value: float, letter: str) -> None:
        bits = int.from_bytes(struct.pack("<" + letter, value), "little")
        self.emulator.reg_write(arm.UC_ARM64_REG_Q0, bits)

    # --- calls ---

    def call(self, name: str, *words: int) -> int:
        """Call a function of integers and addresses; its result."""
        for number, word in enumerate(words):
            self.emulator.reg_write(arm.UC_ARM64_REG_X0 + number, word)
        self.emulator.reg_write(arm.UC_ARM64_REG_SP, STACK + STACK_BYTES - PAGE)
        self.emulator.reg_write(arm.UC_ARM64_REG_LR, OUTSIDE)
        self.error = None
        self.emulator.emu_start(self.symbols[name], OUTSIDE, count=INSTRUCTIONS)
        if self.error is not None:
            raise self.error
        if self.emulator.reg_read(arm.UC_ARM64_REG_PC) != OUTSIDE:
            raise TimeoutError(f"[arm] {name} did not come to an end")
        return self.word(0)

    def place_outside(self, name: str) -> int:
        """The address of a function that Python answers."""

        def refuse(processor: Processor) -> None:
            raise NotImplementedError(f"[arm] nobody defines {name}")

        if name not in self.symbols:
            self.symbols[name] = OUTSIDE + 4 * len(self.answers)
            self.answers.append(self.outside.get(name, refuse))
        return self.symbols[name]

    def _answer(self, emulator: Any, address: int, size: int, data: Any) -> None:
        answer = self.answers[(address - OUTSIDE) // 4]
        if answer is not None:
            try:
                answer(self)
            except BaseException as error:
                self.error = error
                emulator.emu_stop()


class Linker:
    """Lays object files out in the memory of a processor."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.end = CODE
        self.table: dict[int, int] = {}  # addresses of addresses

    def load(self, objects: Sequence[Object]) -> None:
        placed = [self.place(file) for file in objects]
        for file, places in zip(objects, placed, strict=True):
            for name, number in file.exported().items():
                symbol = file.symbols[number]
                self.processor.symbols[name] = places[symbol.section] + symbol.value
        for file, places in zip(objects, placed, strict=True):
            for number, section in enumerate(file.sections):
                for relocation in section.relocations if section.flags & ALLOCATED else ():
                    self.patch(file, places, places[number], *relocation)

    def reserve(self, size: int, alignment: int) -> int:
        place = -(-self.end // alignment) * alignment
        self.end = place + size
        assert self.end < CODE + CODE_BYTES
        return place

    def place(self, file: Object) -> dict[int, int]:
        """Where the sections of a file lie, by number."""
        places = {}
        for number, section in enumerate(file.sections):
            if section.flags & ALLOCATED and section.size:
                places[number] = self.reserve(section.size, section.alignment)
                self.processor.write(places[number], section.data)
        return places

    def address(self, file: Object, places: dict[int, int], number: int) -> int:
        symbol = file.symbols[number]
        if symbol.section == UNDEFINED:
            found = self.processor.symbols.get(symbol.name)
            return self.processor.place_outside(symbol.name) if found is None else found
        return symbol.value if symbol.section == ABSOLUTE else places[symbol.section] + symbol.value

    def patch(
        self,
        file: Object,
        places: dict[int, int],
        base: int,
        offset: int,
        kind: int,
        number: int,
        addend: int,
    ) -> None:
        place, target = base + offset, self.address(file, places, number) + addend
        if kind in WORDS:
            self.processor.write(place, struct.pack(WORDS[kind], target))
        elif kind in DISTANCES:
            self.processor.write(place, struct.pack(DISTANCES[kind], target - place))
        else:
            (old,) = struct.unpack("<I", self.processor.read(place, 4))
            self.processor.write(
                place, struct.pack("<I", self.instruction(old, kind, place, target))
            )

    def instruction(self, old: int, kind: int, place: int, target: int) -> int:
        """An instruction with its address filled in."""
        if kind in (GOT_PAGE, GOT_PLACE):
            target = self.address_of_address(target)
            kind = PAGES[0] if kind == GOT_PAGE else 286
        if kind in CALLS:
            return old & ~0x3FFFFFF | (target - place) // 4 & 0x3FFFFFF
        if kind in PAGES:
            pages = target // PAGE - place // PAGE
            return old & ~0x60FFFFE0 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
        if kind in LOW_BITS:
            return old & ~(0xFFF << 10) | (target % PAGE >> LOW_BITS[kind]) << 10
        raise NotImplementedError(f"[arm] relocation {kind}")

    def address_of_address(self, target: int) -> int:
        if target not in self.table:
            self.table[target] = self.reserve(8, 8)
            self.processor.write(self.table[target], struct.pack("<Q", target))
        return self.table[target]


# --- functions of C ---


def copy_memory(processor: Processor) -> None:
    to, source, size = (processor.word(i) for i in range(3))
    processor.write(to, processor.read(source, size))


def fill_memory(processor: Processor) -> None:
    to, byte, size = (processor.word(i) for i in range(3))
    processor.write(to, bytes([byte & 255]) * size)


def allocate(processor: Processor) -> None:
    processor.set_word(processor.allocate(processor.word(0)))


def allocate_again(processor: Processor) -> None:
    old, size = processor.word(0), processor.word(1)
    new = processor.allocate(size)
    if old:
        processor.write(new, processor.read(old, min(size, processor.sizes[old])))
    processor.set_word(new)


def forget(processor: Processor) -> None:
    """Memory is never used again, so that late reads would be found."""


def of_numbers(
    function: Callable[..., float], count: int, letter: str
) -> Callable[[Processor], None]:
    """A function of some floats or doubles."""

    def answer(processor: Processor) -> None:
        numbers = [processor.number(i, letter) for i in range(count)]
        try:
            result = function(*numbers)
        except ValueError:
            result = math.nan
        processor.set_number(result, letter)

    return answer


C_FUNCTIONS: dict[str, Callable[[Processor], None]] = {
    "memcpy": copy_memory,
    "memmove": copy_memory,
    "memset": fill_memory,
    "malloc": allocate,
    "realloc": allocate_again,
    "free": forget,
    "fmod": of_numbers(math.fmod, 2, "d"),
    "fmodf": of_numbers(math.fmod, 2, "f"),
}
