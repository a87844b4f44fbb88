"""What the tasks of convolutions share: the values they are given, their shares of the work, Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant

# Work for one thread is at least this many multiply-adds of vectors, or bytes to copy.
LEAST_WORK = 20_000
LEAST_BYTES = 1 << 15
# Ctrl-C is looked for in convolutions longer than this.
POLL_WORK = 5_000_000


class TaskWriter:
    """Writes the functions that `fg_parallel` calls for the function of this name."""

    def __init__(self, module: Module, name: str) -> None:
        self.module = module
        self.name = name

    def parallel(self, f: Function, task: Function, values: list[Value], chunks: Value) -> None:
        """Run a task for each chunk; it finds the values in an array."""
        data = f.alloca("i64", len(values))
        for i, value in enumerate(values):
            f.store(value, f.gep(data, 8 * i), 8)
        f.external("fg_parallel", "void", [Value("ptr", f"@{task.name}"), data, chunks])

    def task(self, name: str, types: list[str]) -> tuple[Function, Value, list[Value]]:
        """A function that `fg_parallel` calls, its chunk, and the values it was given."""
        f = self.module.function(f"{self.name}_{name}", "void", ["ptr", "i64"], "internal")
        data, chunk = f.arguments
        return f, chunk, [f.load(type, f.gep(data, 8 * i), 8) for i, type in enumerate(types)]


def flag(f: Function) -> Value:
    """A word that is 0 until a task raises it."""
    word = f.alloca("i64", 1)
    f.store(index(0), word, 8)
    return word


def is_raised(f: Function, word: Value) -> Value:
    value = f.emit("i64", f"load atomic i64, ptr {word.text} monotonic, align 8")
    return f.icmp("ne", value, index(0))


def raise_if(f: Function, condition: Value, word: Value) -> None:
    with f.when(condition):
        f.do(f"store atomic i64 1, ptr {word.text} monotonic, align 8")


@contextlib.contextmanager
def unless_raised(f: Function, word: Value) -> Iterator[None]:
    """What is done only while a word is 0."""
    with f.when(f.op("xor", is_raised(f, word), constant("i1", 1))):
        yield


@contextlib.contextmanager
def unless_stopped(f: Function, stopped: Value, polls: Value | bool) -> Iterator[None]:
    """What a task does unless Ctrl-C came, for which it looks afterwards if it `polls`."""
    with f.when(f.op("xor", is_raised(f, stopped), constant("i1", 1))):
        yield
        polls = constant("i1", polls) if isinstance(polls, bool) else polls
        with f.when(polls):
            raised = f.external("fg_poll", "i32", [])
            raise_if(f, f.icmp("ne", raised, constant("i32", 0)), stopped)


def divided(f: Function, number: Value, by: int) -> tuple[Value, Value]:
    return f.op("udiv", number, index(by)), f.op("urem", number, index(by))


def share(f: Function, chunk: Value, count: int, chunks: int) -> tuple[Value, Value]:
    """Where an equal share of `count` things begins and ends."""
    following = f.op("add", chunk, index(1))
    start, stop = (
        f.op("udiv", f.op("mul", number, index(count)), index(chunks))
        for number in (chunk, following)
    )
    return start, stop
