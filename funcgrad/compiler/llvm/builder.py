"""Functions of LLVM assembly as text: blocks, branches and loops, and the modules that hold them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from funcgrad.compiler.llvm.instructions import Block, Declarations, Instructions
from funcgrad.compiler.llvm.types import Value, constant


class Module(Declarations):
    """Functions, declarations and global data of one LLVM module. Contains no addresses of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[Function] = []
        self.sites: list[Any] = []  # equations that the code names by number in its errors
        self.site: Any = None  # the equation whose code is being written

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


class Loop:
    """A counted loop that is being written. `index` is the counter, `preheader` runs once before it."""

    def __init__(self, index: Value, preheader: Block, body: Block) -> None:
        self.index = index
        self.preheader = preheader
        self.body = body
        self.carried: list[tuple[Value, Value, list[Value]]] = []
        self.exit: Block | None = None


class Function(Instructions):
    """Writes the instructions of one function into its current block."""

    def __init__(
        self, module: Module, name: str, result: str, parameters: Sequence[str], linkage: str = ""
    ) -> None:
        super().__init__(module)
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
        self.blocks = [self.entry]

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
