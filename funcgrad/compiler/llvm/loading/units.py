"""Modules divided into units: functions that can be compiled in any company, under names that say what they do.

A function that only its module sees is named by its content, and so are the constants in it. Equal functions of two
modules are then one unit: it is compiled once, and its machine code belongs to every program that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

FUNCTION = re.compile(r"^define [^\n]*\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"define ((?:internal|private) )?([^@(]*)@([\w.$-]+)(\([^()]*\)[^(){\n]*)\{")
GLOBAL = re.compile(r"@([\w.$-]+) = ((?:internal|private) )?(constant|global) (.*)")
DECLARATION = re.compile(r"declare [^@]*@([\w.$-]+)\(.*|@([\w.$-]+) = external .*")
METADATA = re.compile(r"!\d+ = .*")
DECLARED = re.compile(r"^declare [^@\n]*@([\w.$-]+)", re.MULTILINE)
PARAMETER = re.compile(r" %[\w.]+")
NAME = re.compile(r"@([\w.$-]+)")
SHARED = "fg_unit."
UNOPTIMIZED = " optnone"


@dataclass
class Unit:
    """A function or global.

    Attributes:
        name: its own if others may use it, else one that no different unit has.
        text: its definition, in a section of its own.
        declaration: for modules that use it and do not define it; "" for constants, which each defines anew.
        needs: the names in the definition.
        level: effort of the code generator.
    """

    name: str
    text: str
    declaration: str
    needs: tuple[str, ...]
    level: int

    @property
    def is_function(self) -> bool:
        return self.text.startswith("define")

    @property
    def is_shared(self) -> bool:
        """Whether modules that have this unit may use the same machine code."""
        return self.name.startswith(SHARED)


@dataclass
class Units:
    """A divided module.

    Attributes:
        exported: the names that others may use.
        units: by name.
        outside: declarations of what is defined elsewhere, by name.
        metadata: lines that every part needs.
    """

    exported: set[str] = field(default_factory=set)
    units: dict[str, Unit] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=list)


def divide(text: str, level: int) -> Units | None:
    """The units of a module; None if it has something that cannot be divided.

    Args:
        text: LLVM assembly with one global or declaration on each line.
        level: effort of the code generator.
    """
    functions = [match.group() for match in FUNCTION.finditer(text + "\n")]
    found = Units()
    definitions: list[_Definition] = []
    for line in FUNCTION.sub("", text + "\n").splitlines():
        if match := GLOBAL.fullmatch(line):
            name, linkage, kind, content = match.groups()
            definitions.append(_Definition(name, bool(linkage), kind, content))
        elif match := DECLARATION.fullmatch(line):
            found.outside[match.group(1) or match.group(2)] = line
        elif METADATA.fullmatch(line):
            found.metadata.append(line)
        elif line:
            return None
    for function in functions:
        match = HEADER.match(function)
        if match is None:
            return None
        linkage, result, name, rest = match.groups()
        body = function[match.end() :]
        definitions.append(_Definition(name, bool(linkage), "define", body, result, rest))
    _Division(found, definitions, text, level).run()
    return found


@dataclass
class _Definition:
    """A line or function of a module: `result @name rest {content`, or `@name = kind content`."""

    name: str
    is_internal: bool
    kind: str
    content: str
    result: str = ""
    rest: str = ""

    def unit(self, name: str, content: str, needs: tuple[str, ...], level: int) -> Unit:
        """The same under another name."""
        if self.kind == "define":
            level = 0 if UNOPTIMIZED in self.rest else level
            text = f'define {self.result}@{name}{self.rest}section ".text.{name}" {{{content}'
            parameters = self.rest[: self.rest.index(")") + 1]
            declaration = f"declare {self.result}@{name}{PARAMETER.sub('', parameters)}"
            return Unit(name, text, declaration, needs, level)
        if self.kind == "constant" and self.is_internal:
            start = content.rfind(", align")
            end = len(content) if start < 0 else start
            place = f', section ".data.rel.ro.{name}"'
            text = f"@{name} = private constant {content[:end]}{place}{content[end:]}"
            return Unit(name, text, "", needs, level)
        # With the entry, which mostly is of level 0 too.
        text = f"@{name} = {self.kind} {content}"
        return Unit(name, text, f"@{name} = external {self.kind} i8", needs, 0)


class _Division:
    """Names the definitions of one module, those first that others need."""

    def __init__(self, found: Units, definitions: list[_Definition], text: str, level: int) -> None:
        self.found = found
        self.definitions = {definition.name: definition for definition in definitions}
        self.text = text
        self.level = level
        self.names: dict[str, str] = {}
        self.salt = ""

    def run(self) -> None:
        for name in self.definitions:
            self.name_of(name)

    def name_of(self, own: str) -> str:
        """The name of a unit, which is made if there is none yet."""
        if own not in self.names:
            self.names[own] = own  # if it names itself
            self.names[own] = self.make(self.definitions[own])
        return self.names[own]

    def make(self, known: _Definition) -> str:
        needs: dict[str, None] = dict.fromkeys(NAME.findall(known.content))
        renamed = {n: self.name_of(n) for n in needs if n in self.definitions}
        content = _replaced(known.content, renamed)
        name = self.chosen_name(known, content, all(n.startswith(SHARED) for n in renamed.values()))
        needed = tuple([renamed.get(n, n) for n in needs])
        self.found.units[name] = known.unit(name, content, needed, self.level)
        return name

    def chosen_name(self, known: _Definition, content: str, is_free: bool) -> str:
        """One made from the content if that says all; for others the name that others know, or one of this module."""
        if not known.is_internal:
            self.found.exported.add(known.name)
            return known.name
        if is_free and known.kind != "global":
            return SHARED + _hash(f"{self.level} {known.result}{known.rest}{content}")
        self.salt = self.salt or _hash(self.text)
        return f"{known.name}.{self.salt}"


def _replaced(text: str, names: dict[str, str]) -> str:
    if all(old == new for old, new in names.items()):
        return text
    return NAME.sub(lambda match: "@" + names.get(match.group(1), match.group(1)), text)


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


# --- modules made of units ---


class Pool:
    """Units of several modules that are compiled together.

    Attributes:
        modules: those that were taken.
        units: of all, by name.
    """

    def __init__(self) -> None:
        self.modules: list[Units] = []
        self.units: dict[str, Unit] = {}
        self.outside: dict[str, str] = {}
        self.metadata: dict[str, None] = {}

    def take(self, module: Units) -> bool:
        """Add a module; not if it defines names of another one, or means something else by one of LLVM's."""
        is_other = any(
            name.startswith("llvm.") and self.outside.get(name, line) != line
            for name, line in module.outside.items()
        )
        if is_other or any(name in self.units for name in module.exported):
            return False
        self.modules.append(module)
        self.units.update(module.units)
        self.outside.update(module.outside)
        self.metadata.update(dict.fromkeys(module.metadata))
        return True

    def missing(self, knows: Callable[[Unit], bool]) -> list[Unit]:
        """The units to compile: what others may use, and what that needs and nobody knows."""
        found: list[Unit] = []
        pending = [name for module in self.modules for name in module.exported]
        seen = set()
        while pending:
            unit = self.units.get(pending.pop())
            if unit is None or unit.name in seen:
                continue
            seen.add(unit.name)
            pending += unit.needs
            # Constants are part of what needs them.
            if unit.declaration and not (unit.is_shared and knows(unit)):
                found.append(unit)
        return found

    def text(self, chosen: Sequence[Unit]) -> str:
        """A module that defines some units, and declares what else they need."""
        defined = {unit.name for unit in chosen}
        lines, bodies = dict(self.metadata), []
        pending, seen = [unit.name for unit in chosen], set()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            unit = self.units.get(name)
            if unit is None:
                lines[self.outside.get(name, "")] = None
            elif name not in defined and unit.declaration:
                lines[unit.declaration] = None
            else:
                pending += unit.needs
                (bodies.append(unit.text) if unit.is_function else lines.setdefault(unit.text))
        return "\n".join([*lines, *bodies]) + "\n"


def balanced(units: Iterable[Unit], count: int, first: int = 0) -> list[list[Unit]]:
    """Units in so many groups of about equal length, none of them empty; whoever has the first has `first` besides."""
    groups: list[list[Unit]] = [[] for _ in range(count)]
    totals = [first, *[0] * (count - 1)]
    for unit in sorted(units, key=lambda unit: -len(unit.text)):
        lightest = totals.index(min(totals))
        totals[lightest] += len(unit.text)
        groups[lightest].append(unit)
    return [group for group in groups if group]


def declared_names(text: str) -> list[str]:
    """The functions that a module expects from others."""
    return DECLARED.findall(text)
