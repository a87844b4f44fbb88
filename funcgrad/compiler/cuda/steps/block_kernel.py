"""A kernel of one block that does the work of many: functions in turn, arrays in shared memory between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.compiler.cuda.launches import Slot, Source
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.text import named

SHARED_BYTES = 96 << 10  # what any GPU since 2020 gives one block
ALIGNMENT = 16
WARP = 32
MOST_THREADS = 512
WORDS = {8: "unsigned long long", 4: "unsigned", 2: "unsigned short", 1: "unsigned char"}


class BlockKernel:
    """The kernel while it is written.

    Args:
        writer: gets the launch, and gives memory for what shared memory has no room for.

    Attributes:
        body: its statements; every thread executes all of them.
        names: for variables.
        threads: of the block.
    """

    def __init__(self, writer: LaunchWriter) -> None:
        self.writer = writer
        self.body = Block()
        self.names = Names()
        self.functions: dict[str, str] = {}
        self.prelude: set[str] = {"core"}
        self.slots: dict[Slot, int] = {}
        self.used = self.top = 0
        self.threads = WARP

    # --- memory: C expressions of the type `char *` ---

    def external(self, slot: Slot) -> str:
        """Memory outside of the kernel."""
        return f"g{self.slots.setdefault(slot, len(self.slots))}"

    def room(self, nbytes: int) -> str:
        """Memory of the block: shared, or outside where that is full."""
        size = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        if self.used + size > SHARED_BYTES:
            return self.external(self.writer.scratch(nbytes))
        start, self.used = self.used, self.used + size
        self.top = max(self.top, self.used)
        return f"(fg_room + {start})"

    @contextmanager
    def released(self) -> Iterator[None]:
        """What shared memory the body takes is free again after it."""
        used = self.used
        yield
        self.used = used

    # --- statements ---

    def want_threads(self, points: int) -> None:
        """Note that so many threads could work at the same time."""
        wanted = min(MOST_THREADS, -(-points // WARP) * WARP)
        self.threads = max(self.threads, wanted)

    def call(self, block: Block, function: tuple[str, str], pointers: Sequence[str]) -> None:
        """Add the call of a function of the block."""
        name, text = function
        self.functions[name] = text
        block.add(f"{{ char *const q[] = {{{', '.join(pointers)}}}; {name}(q); }}")

    def copy(self, block: Block, target: str, source: str, nbytes: int, itemsize: int) -> None:
        """Add a copy of contiguous elements."""
        if not nbytes or target == source:
            return
        size = min(itemsize, 8)
        head = f"for (int i = threadIdx.x; i < {nbytes // size}; i += blockDim.x)"
        block.add(f"{head} (({WORDS[size]} *){target})[i] = ((const {WORDS[size]} *){source})[i];")

    def launch(self) -> None:
        """Add the launch."""
        lines = [f"  char *const g{i} = (char *)p.at[{i}];" for i in self.slots.values()]
        room = "  FG_DYNAMIC_SHARED(fg_room);\n" if self.top else ""
        inside = "\n".join(lines) + f"\n{room}{self.body}\n"
        functions = "\n".join(self.functions.values())
        name = named("block", functions, inside, *sorted(self.prelude))
        pointers = f"const Pointers<{max(1, len(self.slots))}> p"
        head = f'extern "C" __global__ void __launch_bounds__({self.threads}) {name}({pointers})'
        text = f"{functions}\n{head} {{\n{inside}}}\n"
        block = (self.threads, 1, 1)
        source = Source(name, text, frozenset(self.prelude), block=block, shared=self.top)
        self.writer.launch(source, *self.slots)
