"""The order of instructions in long innermost loops: independent chains side by side, so that their latencies overlap.

A CPU looks some hundred instructions ahead. Written one function after the other, a sum of tanh, exp and sigmoid has
little for it to do at a time; here instructions stand in the order in which their operands are ready.
"""

from __future__ import annotations

import re

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.target import Target

NAMES = re.compile(r"%\w+")
VECTORS = re.compile(r"<(\d+) x (?:float|i32|double|i64)>")
WIDE = re.compile(r"x (?:double|i64)>")
FEW_LINES = 100  # shorter bodies are seen as a whole by the CPU
ENOUGH = 2.5  # instructions at work at a time, from which on an order of their own pays
# Cycles until a result is there, by opcode or function; most take as long as a multiplication.
LATENCY = {"fdiv": 14, "llvm.sqrt": 18, "llvm.rint": 8, "llvm.floor": 8, "getelementptr": 0}
LATENCY |= dict.fromkeys(("bitcast", "fneg", "shufflevector", "llvm.prefetch"), 0)
LATENCY |= dict.fromkeys(("select", "shl", "and", "or", "xor", "add", "sub", "ashr", "lshr"), 1)
LATENCY |= dict.fromkeys(("llvm.fabs", "llvm.copysign"), 1)
USUAL = 4
READING = frozenset({"load", "llvm.masked"})
CHANGING = frozenset({"store", "atomicrmw", "cmpxchg", "fence"})


def interleave(function: Function, target: Target) -> None:
    """Reorder the bodies of long innermost loops, where the registers are enough for it."""
    for block in function.blocks:
        is_loop = f"label %{block.label}," in block.terminator
        if is_loop and len(block.lines) >= FEW_LINES and fits(block.lines, target):
            lines, overlap = interleaved(block.lines)
            most = max(target.registers, most_alive(block.lines))
            if overlap >= ENOUGH and most_alive(lines) <= most:
                block.lines = lines


def fits(lines: list[str], target: Target) -> bool:
    """Whether no vector takes more than one register."""
    text = "\n".join(lines)
    lanes = max([int(n) for n in VECTORS.findall(text)], default=0)
    return lanes * (8 if WIDE.search(text) else 4) <= target.vector_bytes


def interleaved(lines: list[str]) -> tuple[list[str], float]:
    """The same instructions by the time at which their operands are ready, and how many are at work on average.

    What uses memory keeps its order.
    """
    ready: dict[str, int] = {}
    times: list[int] = []
    last_change = last_use = work = 0
    for line in lines:
        name, _, text = line.lstrip().rpartition(" = ")
        opcode = operation(text)
        if opcode == "phi":
            times.append(-1)
            continue
        time = max([ready.get(operand, 0) for operand in NAMES.findall(text)], default=0)
        if opcode in READING:
            time = max(time, last_change)
            last_use = max(last_use, time)
        elif opcode in CHANGING or opcode.startswith("@"):
            time = last_change = last_use = max(time, last_use)
        times.append(time)
        latency = LATENCY.get(opcode, USUAL)
        ready[name] = time + latency
        work += latency
    order = sorted(range(len(lines)), key=times.__getitem__)
    return [lines[i] for i in order], work / max(1, *ready.values())


def operation(text: str) -> str:
    """The opcode of an instruction, or the function that it calls: `llvm.fma` without its type, `@helper`."""
    opcode, _, rest = text.partition(" ")
    if opcode != "call":
        return opcode
    name = rest[rest.index("@") : rest.index("(")]
    return ".".join(name[1:].split(".")[:2]) if name.startswith("@llvm.") else name


def most_alive(lines: list[str]) -> int:
    """The largest number of vectors that are still needed at some instruction."""
    last = {name: i for i, line in enumerate(lines) for name in NAMES.findall(line)}
    ends = [0] * (len(lines) + 1)
    most = alive = 0
    for i, line in enumerate(lines):
        alive -= ends[i]
        name, _, text = line.lstrip().partition(" = ")
        if text and "<" in text and last[name] > i:
            alive += 1
            ends[last[name]] += 1
        most = max(most, alive)
    return most
