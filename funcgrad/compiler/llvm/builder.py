"""LLVM assembly as text: one method call writes one instruction.

Types are LLVM's own spelling ("float", "i64", "ptr", "<16 x float>"). Complex numbers are pairs of real ones,
"{float, float}", and vectors of them pairs of vectors. A block keeps its terminator apart from its
instructions, so that code can still be added to a block that is already left: loop-invariant code goes into the
`preheader` of a loop while its body is being written.
"""

from __future__ import annotations

import contextlib
import operator
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Value:
    """An operand: an SSA name or a constant, and its type."""

    __slots__ = ("text", "type")

    def __init__(self, type: str, text: str) -> None:
        self.type = type
        self.text = text

    def __repr__(self) -> str:
        return f"{self.type} {self.text}"


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


class Module:
    """Functions, declarations and global data of one LLVM module. Contains no addresses of this process."""

    def __init__(self) -> None:
        self.declarations: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.functions: list[Function] = []
        self.sites: list[Any] = []  # equations that the code names by number in its errors
        self.site: Any = None  # the equation whose code is being written
        self.is_fast = False  # whether products and sums of the user may be contracted

    def declare(self, name: str, result: str, types: Sequence[str]) -> None:
        """Make an external function known; once is enough."""
        self.declarations.setdefault(name, f"declare {result} @{name}({', '.join(types)})")

    def data(self, name: str, definition: str) -> Value:
        """A global, such as `data("table", "private constant [2 x i64] [i64 1, i64 2]")`; its address."""
        self.globals.setdefault(name, f"@{name} = {definition}")
        return Value("ptr", f"@{name}")

    def function(
        self, name: str, result: str, parameters: Sequence[str], linkage: str = ""
    ) -> Function:
        """A new function with parameters of these types (attributes allowed: "ptr noalias")."""
        function = Function(self, name, result, parameters, linkage)
        self.functions.append(function)
        return function

    def defines(self, name: str) -> bool:
        """Whether the module already has a function of this name."""
        return any(function.name == name for function in self.functions)

    def text(self) -> str:
        parts = [*self.globals.values(), *self.declarations.values()]
        parts += [function.text() for function in self.functions]
        return "\n".join(parts) + "\n"


def is_pair(type: str) -> bool:
    return type[0] == "{"


def pair_of(part: str) -> str:
    return f"{{{part}, {part}}}"


def part_of(type: str) -> str:
    """The type of each half of a pair."""
    return type[1 : type.index(",")]


def lanes_of(type: str) -> int:
    """The number of lanes of a vector type, 0 for a scalar."""
    if is_pair(type):
        type = part_of(type)
    return int(type[1 : type.index(" ")]) if type[0] == "<" else 0


def element_of(type: str) -> str:
    """The type of one lane."""
    if is_pair(type):
        return pair_of(element_of(part_of(type)))
    return type[type.index("x") + 2 : -1] if type[0] == "<" else type


def vector(lanes: int, element: str) -> str:
    """`<lanes x element>`; the element type itself for 0 lanes."""
    if is_pair(element):
        return pair_of(vector(lanes, part_of(element)))
    return f"<{lanes} x {element}>" if lanes else element


def with_element(type: str, element: str) -> str:
    """The type with other elements and as many lanes."""
    return vector(lanes_of(type), element)


def float_text(value: float, type: str) -> str:
    """A floating constant in LLVM's exact hexadecimal spelling."""
    if type == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def constant(type: str, value: Any) -> Value:
    """A number of a scalar or vector type (all lanes the same)."""
    if is_pair(type):
        parts = [constant(part_of(type), part) for part in (value.real, value.imag)]
        return Value(type, f"{{{parts[0]}, {parts[1]}}}")
    element = element_of(type)
    if element in ("float", "double"):
        text = float_text(float(value), element)
    elif element == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    lanes = lanes_of(type)
    if lanes:
        text = "splat (" + element + " " + text + ")"
    return Value(type, text)


def zero(type: str) -> Value:
    return Value(
        type,
        "null"
        if type == "ptr"
        else "zeroinitializer"
        if type[0] in "<{" or type == "half"
        else constant(type, 0).text,
    )


def trivial(name: str, a: Value, b: Value) -> Value | None:
    """What `add`, `sub` and `mul` of i64 give without an instruction: for two constants, or 0 or 1."""
    if b.text == ("1" if name == "mul" else "0") and name in ("add", "sub", "mul"):
        return a
    if a.text == {"add": "0", "mul": "1"}.get(name):
        return b
    if name not in _EXACT or not (_is_number(a.text) and _is_number(b.text)):
        return None
    exact = _EXACT[name](int(a.text), int(b.text))
    return constant("i64", (exact + 2**63) % 2**64 - 2**63)


_EXACT = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdigit()


class Loop:
    """A counted loop that is being written. `index` is the counter, `preheader` runs once before it."""

    def __init__(self, index: Value, preheader: Block, body: Block) -> None:
        self.index = index
        self.preheader = preheader
        self.body = body
        self.carried: list[tuple[Value, Value, list[Value]]] = []
        self.exit: Block | None = None


class Function:
    """Writes the instructions of one function into its current block."""

    def __init__(
        self, module: Module, name: str, result: str, parameters: Sequence[str], linkage: str = ""
    ) -> None:
        self.module = module
        self.name = name
        self.result = result
        self.linkage = linkage
        self.attributes = "nounwind"
        self.parameters = list(parameters)
        self.arguments = [
            Value(parameter.split(" ")[0] if parameter[0] != "<" else parameter, f"%a{i}")
            for i, parameter in enumerate(parameters)
        ]
        self.count = 0
        self.pairs: dict[str, tuple[Value, Value]] = {}  # the halves of those made here
        self.entry = Block("entry")
        self.blocks = [self.entry]
        self.block = self.entry

    def text(self) -> str:
        parameters = ", ".join(
            f"{p} {a.text}" for p, a in zip(self.parameters, self.arguments, strict=True)
        )
        linkage = self.linkage + " " if self.linkage else ""
        lines = [f"define {linkage}{self.result} @{self.name}({parameters}) {self.attributes} {{"]
        for block in self.blocks:
            lines.append(f"{block.label}:")
            lines += block.lines
            lines.append(f"  {block.terminator or 'unreachable'}")
        lines.append("}")
        return "\n".join(lines)

    # --- blocks ---

    def new_block(self, hint: str = "b") -> Block:
        self.count += 1
        block = Block(f"{hint}{self.count}")
        self.blocks.append(block)
        return block

    @contextlib.contextmanager
    def at(self, block: Block) -> Iterator[None]:
        """Write at the end of another block meanwhile, before its terminator."""
        saved, start = self.block, block.end
        terminator = start.terminator
        self.block = start
        yield
        if self.block is not start:
            start.tail = self.block
            self.block.terminator = terminator
        self.block = saved

    def branch(self, target: Block) -> None:
        self.block.terminator = f"br label %{target.label}"

    def branch_if(self, condition: Value, then: Block, otherwise: Block) -> None:
        self.block.terminator = (
            f"br i1 {condition.text}, label %{then.label}, label %{otherwise.label}"
        )

    def ret(self, value: Value | None = None) -> None:
        self.block.terminator = "ret void" if value is None else f"ret {value.type} {value.text}"

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run the body of the `with` only if the i1 holds."""
        then, after = self.new_block("then"), self.new_block("after")
        self.branch_if(condition, then, after)
        self.block = then
        yield
        self.branch(after)
        self.block = after
        self._to_end(after)

    def _to_end(self, block: Block) -> None:
        self.blocks.remove(block)
        self.blocks.append(block)

    @contextlib.contextmanager
    def loop(self, start: Value, stop: Value, step: int = 1, hint: str = "loop") -> Iterator[Loop]:
        """Count from `start` to `stop` (i64) by `step`. The body runs at least once: guard empty ranges yourself."""
        preheader = self.new_block(hint + "_pre")
        self.branch(preheader)
        body = self.new_block(hint)
        preheader.terminator = f"br label %{body.label}"
        self.count += 1
        index = Value("i64", f"%i{self.count}")
        loop = Loop(index, preheader, body)
        self.block = body
        yield loop
        following = self.op("add nuw nsw", index, constant("i64", step))
        more = self.icmp("slt", following, stop)
        latch = self.block
        after = self.new_block(hint + "_end")
        latch.terminator = f"br i1 {more.text}, label %{body.label}, label %{after.label}"
        phis = [(index, start, following), *[(p, s, n[0]) for p, s, n in loop.carried]]
        entry = preheader.end
        body.lines[:0] = [
            f"  {phi.text} = phi {phi.type} [{first.text}, %{entry.label}], [{then.text}, %{latch.label}]"
            for phi, first, then in phis
        ]
        loop.exit = after
        self.block = after

    def carry(self, loop: Loop, start: Value) -> Value:
        """A value carried from iteration to iteration of `loop`; give its next value with `update`."""
        self.count += 1
        phi = Value(start.type, f"%c{self.count}")
        loop.carried.append((phi, start, [phi]))
        return phi

    def update(self, loop: Loop, phi: Value, following: Value) -> Value:
        """Set the value that `phi` has in the next iteration; after the loop it is what remained."""
        for known, _, slot in loop.carried:
            if known is phi:
                slot[0] = following
        return following

    # --- instructions ---

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
        return self.op(f"{name} contract arcp" if self.module.is_fast else name, a, b)

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
        self.module.declare(name, result, [a.type for a in arguments])
        return self.call(name, result, arguments)

    def intrinsic(
        self, name: str, result: str, arguments: Sequence[Value], suffix: str | None = None
    ) -> Any:
        """`intrinsic("llvm.fma", x.type, [x, y, z])`: the overloaded suffix is that of the result type."""
        suffix = mangled(result) if suffix is None else suffix
        full = f"{name}.{suffix}" if suffix else name
        self.module.declare(full, result, [a.type for a in arguments])
        return self.call(full, result, arguments)


def mangled(type: str) -> str:
    """The suffix LLVM gives an intrinsic overloaded on this type: v16f32, i64, p0."""
    short = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
    element = element_of(type)
    lanes = lanes_of(type)
    name = short.get(element, element)
    return f"v{lanes}{name}" if lanes else name
