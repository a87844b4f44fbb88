"""Where the time of a compilation goes: stages write into the report of the signature that is being compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

BAR = 30  # columns
LABEL = 10
# How counts are shown; others appear under their own name.
COUNTS = {
    "kernels": "{} kernels",
    "text_bytes": "{:,} bytes of LLVM text",
    "object_bytes": "{:,} bytes of machine code",
}


@dataclass
class Compilation:
    """What compiling one signature took.

    Attributes:
        signature: the types of the arguments.
        reason: why it was compiled although other signatures were known; "" for the first one.
        stages: seconds by stage, in the order in which they began; a stage inside another is not counted twice.
        counts: "kernels", "text_bytes", "object_bytes", "cache_hits", "cache_misses", ...
    """

    signature: str
    reason: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _inner: float = field(default=0.0, repr=False)  # seconds of stages inside the one that runs

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())

    @property
    def cache(self) -> str:
        """Whether machine code was found: "hit", "miss", "2 hits, 1 miss", or "" where none was looked for."""
        hits, misses = self.counts.get("cache_hits", 0), self.counts.get("cache_misses", 0)
        if not hits or not misses:
            return "hit" if hits else "miss" if misses else ""
        return f"{hits} hit{'s' * (hits > 1)}, {misses} miss{'es' * (misses > 1)}"

    def __str__(self) -> str:
        head = f"{self.signature}: {_milliseconds(self.seconds)}"
        lines = [head + (f", cache {self.cache}" if self.cache else "")]
        if self.reason:
            lines.append(f"  {self.reason}")
        total = self.seconds or 1.0
        for name, seconds in self.stages.items():
            bar = "#" * round(BAR * seconds / total)
            lines.append(f"  {name:{LABEL}}{_milliseconds(seconds):>12}  {bar}".rstrip())
        shown = [
            COUNTS.get(name, "{:,} " + name.replace("_", " ")).format(count)
            for name, count in self.counts.items()
            if not name.startswith("cache_")
        ]
        return "\n".join(lines + (["  " + ", ".join(shown)] if shown else []))


@dataclass
class CompileReport:
    """Every compilation of one jitted function; prints as a table.

    Example:
        >>> first = Compilation("float32[3]", stages={"trace": 0.001, "llvm": 0.003})
        >>> print(CompileReport("loss", [first]))
        loss: 1 signature, 4.00 ms
        float32[3]: 4.00 ms
          trace          1.00 ms  ########
          llvm           3.00 ms  ######################
    """

    name: str
    compilations: list[Compilation]

    @property
    def seconds(self) -> float:
        return sum(compilation.seconds for compilation in self.compilations)

    def __str__(self) -> str:
        count = len(self.compilations)
        head = f"{self.name}: {count} signature{'s' * (count != 1)}, {_milliseconds(self.seconds)}"
        return "\n".join([head, *map(str, self.compilations)])

    __repr__ = __str__


_current: ContextVar[Compilation | None] = ContextVar("compilation", default=None)


def recording(signature: str, reason: str = "") -> contextlib.AbstractContextManager[Compilation]:
    """Collect the stages that run inside the `with` block."""
    return resuming(Compilation(signature, reason))


@contextlib.contextmanager
def resuming(compilation: Compilation) -> Iterator[Compilation]:
    """Add the stages that run inside the `with` block to what was recorded before."""
    token = _current.set(compilation)
    try:
        yield compilation
    finally:
        _current.reset(token)


class timed:
    """`with timed("fuse"):` adds the time of the block to the compilation that is being recorded, if any.

    Example:
        >>> with recording("float32[3]") as compilation, timed("fuse"):
        ...     pass
        >>> list(compilation.stages)
        ['fuse']
    """

    __slots__ = ("compilation", "outer", "stage", "start")

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __enter__(self) -> None:
        self.compilation = compilation = _current.get()
        if compilation is None:
            return
        compilation.stages.setdefault(self.stage, 0.0)
        self.outer, compilation._inner = compilation._inner, 0.0
        self.start = perf_counter()

    def __exit__(self, *exception: object) -> None:
        compilation = self.compilation
        if compilation is None:
            return
        elapsed = perf_counter() - self.start
        compilation.stages[self.stage] += elapsed - compilation._inner
        compilation._inner = self.outer + elapsed


def count(name: str, number: int = 1) -> None:
    """Add to a count of the compilation that is being recorded, if any."""
    compilation = _current.get()
    if compilation is not None:
        compilation.counts[name] = compilation.counts.get(name, 0) + number


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms"
