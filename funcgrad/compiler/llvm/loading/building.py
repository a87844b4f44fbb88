"""Several modules compiled together, by several threads, also while this one goes on with something else."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from funcgrad.compiler.cache import Sections
from funcgrad.compiler.llvm.loading.elf import Object, read_object
from funcgrad.compiler.llvm.loading.image import Image, Unsupported, lay_out
from funcgrad.compiler.llvm.loading.known_units import KnownUnits
from funcgrad.compiler.llvm.loading.machine_code import (
    Source,
    fewer_passes,
    lock,
    machine,
    module_of,
    object_code,
    symbols_of,
)
from funcgrad.compiler.llvm.loading.mapped import is_supported
from funcgrad.compiler.llvm.loading.units import Pool, Unit, Units, balanced, divide
from funcgrad.compiler.llvm.runtime import limits
from funcgrad.compiler.report import count, timed
from funcgrad.config import config

PART = 12 << 10  # bytes of text that are worth a thread
QUICKER = 4  # how many times faster level 0 is than the others
MAX_THREADS = 8


def build(source: Source) -> Sections:
    """Compile: an image, or an object file with the names of what it defines and needs."""
    return build_all([source])[0]


def build_all(sources: Sequence[Source], known: KnownUnits | None = None) -> list[Sections]:
    """Compile several modules by as many threads as compiled code may use.

    Args:
        sources: the modules.
        known: machine code that is used again, and to which the new one is added.
    """
    with Build(sources, known) as build:
        return build.finish()


def thread_count() -> int:
    """How many threads may compile."""
    return min(config.num_threads or limits.available_cpus(), MAX_THREADS)


class Build:
    """Modules on their way through LLVM: `with Build(sources) as build: build.begin(); ...; build.finish()`.

    Args:
        sources: the modules.
        known: machine code that is used again, and to which the new one is added.
        spared: how many of the threads that may compile are needed for something else.
    """

    def __init__(
        self, sources: Sequence[Source], known: KnownUnits | None = None, spared: int = 0
    ) -> None:
        self.sources = sources
        self.known = known or KnownUnits()
        self.threads = max(1, thread_count() - spared)
        self.helpers: list[threading.Thread] = []
        self.waiting: deque[_Job] = deque()
        self.held = contextlib.ExitStack()

    def __enter__(self) -> Build:
        with self.held:
            self.held.enter_context(lock)
            with timed("llvm"):
                self.divide()
                self.held.enter_context(fewer_passes())
            self.held = (
                self.held.pop_all()
            )  # until the end of the block, unless something went wrong
        return self

    def __exit__(self, *exception: Any) -> None:
        with self.held:
            self.waiting.clear()
            self.join()

    def divide(self) -> None:
        """Jobs of about equal length, for what nobody has compiled yet."""
        pool = Pool()
        self.units = [_divided(source, pool) for source in self.sources]
        self.known.look_for(pool.units.values())
        self.groups = _groups(pool.missing(self.known.has), self.threads)
        levels = [max(unit.level for unit in units) for units in self.groups]
        self.jobs = [
            _Job(Source(pool.text(units), (), level))
            for units, level in zip(self.groups, levels, strict=True)
        ]
        self.whole = [
            None if units is not None else _Job(source)
            for source, units in zip(self.sources, self.units, strict=True)
        ]
        # Taken now: new files may drive them out.
        self.library = {name: self.known.get(name) for name in pool.units}
        jobs = [*self.jobs, *filter(None, self.whole)]
        self.waiting.extend(sorted(jobs, key=lambda job: -len(job.source.text)))

    def begin(self) -> None:
        """Let other threads do the jobs, while this one goes on with something else."""
        with timed("llvm"):
            # Here, for in another thread each of these calls would wait for Python code of this one.
            for job in self.waiting:
                job.prepare()
            self.start(min(self.threads, len(self.waiting)))

    def finish(self) -> list[Sections]:
        """What the modules have become, when all jobs are done: this thread takes part."""
        with timed("llvm"):
            # Where there are enough jobs, it does those of level 0: its machine for them exists mostly.
            quick = [job for job in self.waiting if not job.source.level]
            if len(self.waiting) > self.threads:
                for job in quick:
                    self.waiting.remove(job)
            else:
                quick = []
            self.start(min(self.threads, len(self.waiting)) - 1 - len(self.helpers))
            for job in quick:
                job.run()
            self.work()
            self.join()
        for job in [*self.jobs, *filter(None, self.whole)]:
            if job.error is not None:
                raise job.error
        return self.sections()

    def start(self, count: int) -> None:
        """Start some helpers, or fewer where the system allows no more threads."""
        for _ in range(count):
            helper = threading.Thread(target=self.work)
            try:
                helper.start()
            except RuntimeError:
                return
            self.helpers.append(helper)

    def work(self) -> None:
        while self.waiting:
            with contextlib.suppress(IndexError):  # another thread was faster
                self.waiting.popleft().run()

    def join(self) -> None:
        while self.helpers:
            self.helpers[-1].join()
            self.helpers.pop()

    def sections(self) -> list[Sections]:
        with timed("load"):
            files = [
                self.known.add(job.code, units)
                for job, units in zip(self.jobs, self.groups, strict=True)
            ]
        count("text_bytes", sum(len(source.text) for source in self.sources))
        made = []
        for source, units, job in zip(self.sources, self.units, self.whole, strict=True):
            image = _image(units, job, files, self.library)
            made.append(_object_sections(source, job) if image is None else image.sections())
        count("object_bytes", sum(len(next(iter(sections.values()))) for sections in made))
        return made


class _Job:
    """A module to compile, and what became of it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.code = b""
        self.error: BaseException | None = None
        self.module: Any = None
        self.held = contextlib.ExitStack()

    def prepare(self) -> None:
        """Have it parsed."""
        try:
            self.module = self.held.enter_context(module_of(self.source))
            self.machine = self.held.enter_context(machine(self.source.level))
        except Exception as error:
            self.error = error

    def run(self) -> None:
        try:
            with self.held:
                if self.module is None:
                    self.prepare()
                if self.error is None:
                    self.code = object_code(self.machine, self.module)
        except BaseException as error:
            self.error = error


def _divided(source: Source, pool: Pool) -> Units | None:
    """The units of a module, which the pool has taken; None if it must be compiled as it is."""
    if source.passes or not is_supported():
        return None
    units = divide(source.text, source.level)
    return units if units is not None and pool.take(units) else None


def _groups(units: Sequence[Unit], threads: int) -> list[list[Unit]]:
    """Units to be compiled together: those of level 0, which take little time, and the others, divided."""
    quick = [unit for unit in units if not unit.level]
    rest = [unit for unit in units if unit.level]
    if not any(unit.is_function for unit in quick):
        quick, rest = [], [*rest, *quick]
    count = max(1, min(threads, sum(len(unit.text) for unit in rest) // PART))
    first = sum(len(unit.text) for unit in quick) // QUICKER
    return [*([quick] if quick else []), *balanced(rest, count, first)]


def _image(
    units: Units | None,
    job: _Job | None,
    files: Sequence[Object],
    library: Mapping[str, Object | None],
) -> Image | None:
    """What was compiled of a module, in units or as a whole, laid out; None where LLVM's linker must do it."""
    with contextlib.suppress(Unsupported), timed("load"):
        if units is not None:
            own = {name: library[name] for name in units.units}
            return lay_out(files, units.exported, own)
        if job is not None and is_supported():
            return lay_out([read_object(job.code)])
    return None


def _object_sections(source: Source, job: _Job | None) -> Sections:
    """A module as an object file with the names of what it defines and needs."""
    with timed("llvm"), module_of(source) as module:
        if job is None:
            with machine(source.level) as target:
                code = object_code(target, module)
        else:
            code = job.code
        return {"object": code, "symbols": json.dumps(symbols_of(module)).encode()}
