"""LLVM instructions as text: one method call writes one instruction to the current block.

A block keeps its terminator apart from its instructions, so that code can still be added to a block that is already
left: loop-invariant code goes into the `preheader` of a loop while its body is being written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.llvm.types import (
    Value,
    constant,
    element_of,
    is_pair,
    lanes_of,
    mangled,
    pair_of,
    part_of,
    trivial,
    vector,
    with_element,
)


class Block:
    """A basic block: instructions, and the terminator that is written last.

    Code added later may split it (`Function.at`); `end` is the block in which its last part lies.
    """

    __slots__ = ("label", "lines", "tail", "terminator")

    def __init__(self, label: str) -> None:
        self.label = label
        self.lines: list[str] = []
        self.terminator = ""
        self.tail: Block | None = None

    @property
    def end(self) -> Block:
        block = self
        while block.tail is not None:
            block = block.tail
        return block


class Declarations:
    """What the functions of a module refer to.

    Attributes:
        is_fast: whether products and sums of the user may be contracted.
    """

    def __init__(self) -> None:
        self.declarations: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.is_fast = False

    def declare(self, name: str, result: str, types: Sequence[str]) -> None:
        """Make an external function known; once is enough."""
        self.declarations.setdefault(name, f"declare {result} @{name}({', '.join(types)})")

    def data(self, name: str, definition: str) -> Value:
        """A global, such as `data("table", "private constant [2 x i64] [i64 1, i64 2]")`; its address."""
        self.globals.setdefault(name, f"@{name} = {definition}")
        return Value("ptr", f"@{name}")


class Instructions:
    """Writes instructions.

    Attributes:
        block: where they go.
        entry: the first block of the function.
        count: of names in use.
    """

    def __init__(self, known: Declarations) -> None:
        self.known = known
        self.count = 0
        self.pairs: dict[str, tuple[Value, Value]] = {}  # the halves of those made here
        self.entry = Block("entry")
        self.block = self.entry

    def emit(self, type: str, text: str) -> Value:
        """Any instruction with a result of this type."""
        self.count += 1
        name = f"%v{self.count}"
        self.block.lines.append(f"  {name} = {text}")
        return Value(type, name)

    def do(self, text: str) -> None:
        """Any instruction without a result."""
        self.block.lines.append(f"  {text}")

    def op(self, name: str, a: Value, b: Value) -> Value:
        """Binary instruction on operands of one type: `op("fadd", x, y)`; none for indices where that is trivial."""
        known = trivial(name, a, b) if a.type == "i64" else None
        return known or self.emit(a.type, f"{name} {a.type} {a.text}, {b.text}")

    def arithmetic(self, name: str, a: Value, b: Value) -> Value:
        """`op`, for floating point arithmetic that the user wrote."""
        return self.op(f"{name} contract arcp" if self.known.is_fast else name, a, b)

    def fneg(self, a: Value) -> Value:
        return self.emit(a.type, f"fneg {a.type} {a.text}")

    def icmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.emit(
            with_element(a.type, "i1"), f"icmp {predicate} {a.type} {a.text}, {b.text}"
        )

    def fcmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.emit(
            with_element(a.type, "i1"), f"fcmp {predicate} {a.type} {a.text}, {b.text}"
        )

    def pair(self, a: Value, b: Value) -> Value:
        """Two values of one type as one."""
        type = pair_of(a.type)
        if "%" not in a.text + b.text:
            found = Value(type, f"{{{a}, {b}}}")
            self.pairs[found.text] = a, b
            return found
        first = self.emit(type, f"insertvalue {type} poison, {a}, 0")
        found = self.emit(type, f"insertvalue {first}, {b}, 1")
        self.pairs[found.text] = a, b
        return found

    def parts(self, a: Value) -> tuple[Value, Value]:
        """The two halves of a pair."""
        if a.text in self.pairs:
            return self.pairs[a.text]
        part = part_of(a.type)
        if a.text[0] == "{":
            middle = a.text.index(f", {part} ")
            first, second = a.text[1:middle], a.text[middle + 2 : -1]
            return Value(part, first[len(part) + 1 :]), Value(part, second[len(part) + 1 :])
        first = self.emit(part, f"extractvalue {a}, 0")
        return first, self.emit(part, f"extractvalue {a}, 1")

    def each_part(self, operation: Callable[..., Value], *operands: Value) -> Value:
        """An operation on both halves of pairs."""
        first, second = zip(*[self.parts(operand) for operand in operands], strict=True)
        return self.pair(operation(*first), operation(*second))

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        if is_pair(a.type):
            return self.each_part(lambda x, y: self.select(condition, x, y), a, b)
        return self.emit(
            a.type,
            f"select {condition.type} {condition.text}, {a.type} {a.text}, {b.type} {b.text}",
        )

    def cast(self, name: str, a: Value, type: str) -> Value:
        """`cast("sitofp", x, "<8 x double>")`, `bitcast`, `zext`, `trunc`, ..."""
        return self.emit(type, f"{name} {a.type} {a.text} to {type}")

    def splat(self, a: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if not lanes or lanes_of(a.type):
            return a
        if is_pair(a.type):
            return self.each_part(lambda x: self.splat(x, lanes), a)
        type = vector(lanes, a.type)
        if not a.text.startswith("%"):
            return Value(type, f"splat ({a.type} {a.text})")
        first = self.emit(type, f"insertelement {type} poison, {a.type} {a.text}, i64 0")
        return self.emit(
            type,
            f"shufflevector {type} {first.text}, {type} poison, <{lanes} x i32> zeroinitializer",
        )

    def extract(self, a: Value, lane: int) -> Value:
        if is_pair(a.type):
            return self.each_part(lambda x: self.extract(x, lane), a)
        return self.emit(element_of(a.type), f"extractelement {a.type} {a.text}, i64 {lane}")

    def insert(self, a: Value, element: Value, lane: int) -> Value:
        if is_pair(a.type):
            return self.each_part(lambda x, y: self.insert(x, y, lane), a, element)
        return self.emit(
            a.type,
            f"insertelement {a.type} {a.text}, {element.type} {element.text}, i64 {lane}",
        )

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes of `a` and `b` (numbered on); -1 is any value."""
        if is_pair(a.type):
            return self.each_part(lambda x, y: self.shuffle(x, y, lanes), a, b)
        mask = ", ".join("i32 poison" if lane < 0 else f"i32 {lane}" for lane in lanes)
        type = vector(len(lanes), element_of(a.type))
        return self.emit(
            type,
            f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(lanes)} x i32> <{mask}>",
        )

    def gep(self, base: Value, index: Value | int, element: str = "i8") -> Value:
        """Address `base + index * sizeof(element)`."""
        index = constant("i64", index) if isinstance(index, int) else index
        if index.text == "0":
            return base
        return self.emit(
            "ptr", f"getelementptr {element}, ptr {base.text}, {index.type} {index.text}"
        )

    def load(self, type: str, address: Value, align: int = 1, note: str = "") -> Value:
        """`note` is appended, for metadata or ", !nontemporal !0"."""
        return self.emit(type, f"load {type}, ptr {address.text}, align {align}{note}")

    def store(self, value: Value, address: Value, align: int = 1, note: str = "") -> None:
        self.do(f"store {value.type} {value.text}, ptr {address.text}, align {align}{note}")

    def alloca(self, type: str, count: int = 1, align: int = 64) -> Value:
        """Stack memory, in the entry block."""
        self.count += 1
        name = f"%v{self.count}"
        self.entry.lines.insert(0, f"  {name} = alloca {type}, i64 {count}, align {align}")
        return Value("ptr", name)

    def call(self, name: str, result: str, arguments: Sequence[Value], flags: str = "") -> Any:
        """Call a function of this module or a declared one; returns its Value, or None for void."""
        given = ", ".join(f"{a.type} {a.text}" for a in arguments)
        text = f"call {flags}{' ' if flags else ''}{result} @{name}({given})"
        if result == "void":
            self.do(text)
            return None
        return self.emit(result, text)

    def external(self, name: str, result: str, arguments: Sequence[Value]) -> Any:
        """Call a function defined elsewhere, declaring it."""
        self.known.declare(name, result, [a.type for a in arguments])
        return self.call(name, result, arguments)

    def intrinsic(
        self, name: str, result: str, arguments: Sequence[Value], suffix: str | None = None
    ) -> Any:
        """`intrinsic("llvm.fma", x.type, [x, y, z])`: the overloaded suffix is that of the result type."""
        suffix = mangled(result) if suffix is None else suffix
        full = f"{name}.{suffix}" if suffix else name
        self.known.declare(full, result, [a.type for a in arguments])
        return self.call(full, result, arguments)
