"""A module in parts that can be compiled side by side: its functions are divided, and each part declares the others."""

from __future__ import annotations

import re
from collections.abc import Sequence

FUNCTION = re.compile(r"^define [^\n]*\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"define (?:(?:internal|private) )?([^@(]*@([\w.$-]+)\([^()]*\))[^()]*\{")
GLOBAL = re.compile(r"@([\w.$-]+) = ((?:internal|private) )?(constant|global) .*")
DECLARATION = re.compile(r"declare [^@]*@[\w.$-]+\(.*")
DECLARED = re.compile(r"^declare [^@\n]*@([\w.$-]+)", re.MULTILINE)
PARAMETER = re.compile(r" %[\w.]+")


def split_module(text: str, count: int) -> list[str]:
    """Texts of up to so many modules that together define what one defines; just that one if it cannot be divided.

    Args:
        text: LLVM assembly with one global or declaration on each line.
        count: how many parts to make.
    """
    functions = [match.group() + "\n" for match in FUNCTION.finditer(text + "\n")]
    headers = [HEADER.match(function) for function in functions]
    lines = [line for line in FUNCTION.sub("", text + "\n").splitlines() if line]
    globals_ = [GLOBAL.fullmatch(line) for line in lines]
    is_plain = all(
        g or DECLARATION.fullmatch(line) for g, line in zip(globals_, lines, strict=True)
    )
    if count < 2 or len(functions) < 2 or not is_plain or not all(headers):
        return [text]
    declared = [line for g, line in zip(globals_, lines, strict=True) if not g]
    names = [header.group(2) for header in headers if header]
    outside = [_declaration(header) for header in headers if header]
    parts = []
    for place, chosen in enumerate(_balanced([len(function) for function in functions], count)):
        own = {names[i] for i in chosen}
        bodies = [re.sub("^define (internal|private) ", "define ", functions[i]) for i in chosen]
        head = [_shared_global(found, place == 0) for found in globals_ if found]
        head += [line for name, line in zip(names, outside, strict=True) if name not in own]
        parts.append("\n".join([*head, *declared, *bodies]))
    return parts


def exported_names(text: str) -> set[str]:
    """The functions and globals of a module that others may use."""
    defined = re.finditer(
        r"^define ((?:internal|private) )?[^@\n]*@([\w.$-]+)\(", text, re.MULTILINE
    )
    data = (GLOBAL.match(line) for line in text.splitlines() if line.startswith("@"))
    found = {match.group(2) for match in defined if not match.group(1)}
    return found | {match.group(1) for match in data if match and not match.group(2)}


def declared_names(text: str) -> list[str]:
    """The functions that a module expects from others."""
    return DECLARED.findall(text)


def _balanced(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Numbers in groups of about equal total size, each in order."""
    groups: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    totals = [0] * len(groups)
    for number in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        lightest = totals.index(min(totals))
        totals[lightest] += sizes[number]
        groups[lightest].append(number)
    return [sorted(group) for group in groups]


def _declaration(header: re.Match[str]) -> str:
    return "declare " + PARAMETER.sub("", header.group(1))


def _shared_global(found: re.Match[str], is_first: bool) -> str:
    """A global in one of the parts: constants are repeated, variables lie in the first."""
    name, linkage, kind = found.group(1), found.group(2), found.group(3)
    if is_first or (kind == "constant" and linkage):
        return (
            found.group().replace(f"= {linkage}", "= ", 1)
            if kind == "global" and linkage
            else found.group()
        )
    return f"@{name} = external {kind} i8"
