"""Which tasks of a run may go on side by side, on streams that wait for each other only where one needs the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from funcgrad.compiler.cuda.launches import Bytes, Task

STREAMS = 2


class Run(NamedTuple):
    """Begin a task on a stream."""

    stream: int
    task: int


class Mark(NamedTuple):
    """Note what a stream was given so far."""

    stream: int
    task: int  # the last one


class Wait(NamedTuple):
    """Let a stream go on only when everything before a mark is done."""

    stream: int
    task: int  # of the mark


Order = list[Run | Mark | Wait]
BEGIN = -1  # stands for a task before all others


def dependencies(tasks: Sequence[Task], same: Mapping[tuple, tuple]) -> list[set[int]]:
    """For each task those before it that it must wait for.

    Args:
        tasks: in an order in which they could run one after the other.
        same: bases that may lie in the memory of others.
    """
    reads = [_ranges(task.reads, same) for task in tasks]
    writes = [_ranges(task.writes, same) for task in tasks]
    found: list[set[int]] = []
    for j in range(len(tasks)):
        found.append(
            {
                i
                for i in range(j)
                if _overlap(writes[i], reads[j])
                or _overlap(writes[i], writes[j])
                or _overlap(reads[i], writes[j])
            }
        )
    return found


Ranges = dict[tuple, list[tuple[int, int]]]


def _ranges(used: frozenset[Bytes], same: Mapping[tuple, tuple]) -> Ranges:
    found: Ranges = {}
    for base, start, stop in used:
        if stop > start:
            found.setdefault(same.get(base, base), []).append((start, stop))
    return found


def _overlap(a: Ranges, b: Ranges) -> bool:
    return any(
        start < end and begin < stop
        for base in a.keys() & b.keys()
        for start, stop in a[base]
        for begin, end in b[base]
    )


def schedule(needs: Sequence[set[int]], streams: int = STREAMS) -> Order:
    """An order of tasks on streams. Each begins where it can begin first, if all take equally long.

    Stream 0 is there from the beginning and ends when everything is done; the others branch off from it.
    """
    ends: list[int] = []  # when each task is done
    places: list[int] = []  # the stream of each task
    free = [0] * streams
    for needed in needs:
        ready = max((ends[i] for i in needed), default=0)
        starts = [max(ready, time) for time in free]
        # Behind something that it needs where there is a choice: nobody has to wait then.
        last = {places[i] for i in needed if ends[i] == ready}
        stream = min(range(streams), key=lambda s: (starts[s], s not in last, s))
        places.append(stream)
        ends.append(starts[stream] + 1)
        free[stream] = ends[-1]
    return _with_waits(needs, places, streams)


def _with_waits(needs: Sequence[set[int]], places: Sequence[int], streams: int) -> Order:
    """The tasks in their order, with the waits that are not implied by others."""
    # What is known to be done when a stream gets its next task, and when each task is done.
    known: list[set[int]] = [set() for _ in range(streams)]
    behind: list[set[int]] = []
    waits: list[list[int]] = []
    for j, (needed, stream) in enumerate(zip(needs, places, strict=True)):
        waits.append([])
        for i in sorted(needed, reverse=True):
            if i not in known[stream]:
                waits[j].append(i)
                known[stream] |= behind[i]
        known[stream].add(j)
        behind.append(set(known[stream]))
    rest = []
    for i in reversed(range(len(needs))):
        if i not in known[0]:
            rest.append(i)
            known[0] |= behind[i]
    marked = {i for found in (*waits, rest) for i in found}
    begun = {0}
    order: Order = [Mark(0, BEGIN)] if any(places) else []
    for j, stream in enumerate(places):
        if stream not in begun:
            begun.add(stream)
            order.append(Wait(stream, BEGIN))
        order += [Wait(stream, i) for i in waits[j]]
        order.append(Run(stream, j))
        if j in marked:
            order.append(Mark(stream, j))
    return order + [Wait(0, i) for i in rest]
