"""Launches as text, to be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from funcgrad.compiler.cuda.launches import (
    Choose,
    Copy,
    Fill,
    Item,
    Launch,
    Launches,
    LibraryCall,
    Product,
    Repeat,
    Slot,
    Source,
    all_items,
)


def listing(launches: Launches) -> str:
    """What is launched, in order, on which memory."""
    names: dict[int, str] = {}
    head = f"{len(launches.items)} launches, arena of {launches.arena} bytes"
    lines = [head, *item_lines(launches.items, names, "  ")]
    lines += [f"  output {k} may lie in input {i}" for k, i in launches.in_place]
    return "\n".join(lines)


def sources(items: Iterable[Item]) -> dict[str, Source]:
    """The kernels of items, and of those in their loops and branches, by name."""
    return {item.source.name: item.source for item in all_items(items) if isinstance(item, Launch)}


def cuda_text(launches: Launches) -> str:
    """The kernels, each once."""
    return "\n".join(source.text for source in sources(launches.items).values())


def item_lines(items: Iterable[Item], names: dict[int, str], indent: str) -> Iterator[str]:
    for item in items:
        yield indent + item_text(item, names)
        if isinstance(item, Repeat):
            yield from item_lines((*item.condition_items, *item.items), names, indent + "  ")
        elif isinstance(item, Choose):
            for number, branch in enumerate(item.branches):
                yield f"{indent}  {number}:"
                yield from item_lines(branch, names, indent + "    ")


def item_text(item: Item, names: dict[int, str]) -> str:
    if isinstance(item, Launch):
        grid, block = (shape_text(size) for size in (item.source.grid, item.source.block))
        return f"{item.source.name}<<<{grid}, {block}>>> {slots_text(item.slots, names)}"
    if isinstance(item, Product):
        roles = ", ".join(f"{role}: {slot_text(s, names)}" for role, s in item.slots.items())
        return f"product {item.plan} ({roles})"
    if isinstance(item, Copy):
        places = [slot_text(slot, names) for slot in (item.target, item.source)]
        return f"copy {item.nbytes} bytes to {places[0]} from {places[1]}"
    if isinstance(item, Fill):
        return f"fill {item.nbytes} bytes of {slot_text(item.target, names)} with {item.value}"
    if isinstance(item, LibraryCall):
        operands = slots_text([slot for slot, _ in item.operands], names)
        results = slots_text([slot for slot, _ in item.results], names)
        return f"call {item.equation.primitive.name} {operands} -> {results}"
    if isinstance(item, Choose):
        return f"choose by {slot_text(item.index, names)}"
    return repeat_text(item, names)


def repeat_text(item: Repeat, names: dict[int, str]) -> str:
    loop = name_of(item.loop, names)
    pairs = [
        f"{loop}.{i} = {slot_text(first, names)} | {slot_text(second, names)}"
        for i, (first, second) in enumerate(item.loop.carries)
    ]
    carried = f" ({', '.join(pairs)})" if pairs else ""
    if item.count is None:
        assert item.condition is not None  # the count or the condition ends a loop
        return f"{loop}: while {slot_text(item.condition, names)}{carried}"
    count = slot_text(item.count, names) if isinstance(item.count, Slot) else item.count
    return f"{loop}: {count} times{carried}"


def slots_text(slots: Sequence[Slot], names: dict[int, str]) -> str:
    return f"({', '.join(slot_text(slot, names) for slot in slots)})"


def slot_text(slot: Slot, names: dict[int, str]) -> str:
    kind, *rest = slot.base
    if kind in ("now", "next"):
        text = f"{kind} {name_of(rest[0], names)}.{rest[1]}"
    elif kind == "stack":
        text = f"stack {name_of(rest[0], names)}"
    else:
        text = "arena" if kind == "arena" else f"{kind} {rest[0]}"
    text += f" + {slot.offset}" if slot.offset else ""
    return text + "".join(f" + {nbytes} {name_of(loop, names)}" for loop, nbytes in slot.steps)


def name_of(thing: Any, names: dict[int, str]) -> str:
    """A letter for a loop or stack."""
    return names.setdefault(id(thing), chr(ord("i") + len(names) % 18))


def shape_text(shape: tuple[int, int, int]) -> str:
    kept = [str(n) for n in shape]
    while len(kept) > 1 and kept[-1] == "1":
        kept.pop()
    return "x".join(kept)
