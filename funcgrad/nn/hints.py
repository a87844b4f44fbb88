"""Texts of errors about arguments, attributes and names that are not there: what to write, for PyTorch users too."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from funcgrad.nn.foreign_names import METHODS, RENAMED, WITHOUT

# --- arguments of constructors ---


def arguments_error(cls: type, error: TypeError) -> TypeError | None:
    """Another error for a call of a class whose arguments do not fit; None if the error came from elsewhere."""
    match = re.fullmatch(r"([\w.<>]+)\.__init__\(\) (.*)", str(error), re.DOTALL)
    if match is None or match[1] not in {base.__qualname__ for base in cls.__mro__}:
        return None
    name, quoted = cls.__name__, re.findall(r"'(\w+)'", match[2])
    if match[2].startswith("missing") and quoted == ["key"]:
        return TypeError(
            f"[{name}] needs key=, a random key or a seed, for its first parameters. Write {name}(..., key=0), and "
            "another key for each layer: first, second = funcgrad.random.split(funcgrad.random.key(0))."
        )
    if "unexpected keyword" in match[2] and quoted:
        return TypeError(unknown_argument(cls, quoted[0]))
    return TypeError(f"[{name}] {match[2]}. It takes {', '.join(argument_names(cls)) or 'none'}.")


def check_keywords(cls: Any, keywords: Mapping[str, Any]) -> None:
    """Raise TypeError if there are arguments that a generated `__init__` has no field for."""
    known = cls.__dataclass_fields__
    for name in keywords:
        if name not in known and name not in inspect.signature(cls.__init__).parameters:
            instead = instead_of(cls.__name__, name, known, RENAMED, WITHOUT)
            raise TypeError(instead or unknown_field(cls, name, known))


def unknown_argument(cls: type, name: str) -> str:
    """What to write in place of an argument that a constructor does not have."""
    known = argument_names(cls)
    return instead_of(cls.__name__, name, known, RENAMED, WITHOUT) or (
        f"[{cls.__name__}] there is no argument {name!r}; it takes {', '.join(known) or 'none'}."
        f"{did_you_mean(name, known)}"
    )


def instead_of(
    owner: str,
    name: str,
    known: Iterable[str],
    renamed: Mapping[str, tuple[str, ...]],
    without: Mapping[str, str],
) -> str:
    """What to write in place of another library's argument; empty if it is not in the tables.

    Args:
        owner: what was called.
        name: the argument.
        known: the arguments that there are.
        renamed: name -> arguments that do the same.
        without: name -> a sentence about what does, where it is no argument.
    """
    found = [f"{new}=" for new in renamed.get(name, ()) if new in known]
    text = f"Write {' and '.join(found)}." if found else without.get(name, "")
    return f"[{owner}] there is no argument {name!r}. {text}" if text else ""


def argument_names(cls: type) -> list[str]:
    """The names of a constructor's arguments, also of those that it hands on to its parents' as `**kwargs`."""
    found: dict[str, None] = {}
    for base in cls.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        found |= {
            p.name: None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        }
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)


# --- fields and attributes ---


def unknown_field(cls: type, name: str, known: Iterable[str]) -> str:
    """About a field that a module does not have."""
    listed = ", ".join(known) or "no fields"
    return (
        f"[{cls.__name__}] there is no field {name!r}; it has {listed}.{did_you_mean(name, known)} "
        f"A new field is annotated in the class body: `{name}: Any`."
    )


def unknown_attribute(
    cls: type, name: str, known: Iterable[str], instead: Mapping[str, str] = METHODS
) -> str:
    """About an attribute that is read and not there; `instead` has what to write for those of other libraries."""
    text = f"{cls.__name__!r} object has no attribute {name!r}."
    if name in instead:
        return f"{text} Write {instead[name]}."
    return text if name.startswith("__") else text + did_you_mean(name, known)


def frozen_field(cls: type, name: str) -> str:
    """About a field that is set after `__init__`."""
    return (
        f"[{cls.__name__}] cannot set {name!r}: a module never changes after __init__. Make a new one:\n"
        f"  model = model.replace({name}=value)\n"
        f"  model = funcgrad.tree_at(lambda m: m.{name}, model, value)   # also deep inside: m.layers[0].{name}"
    )


def call_is_forward(module: Any, *args: Any, **kwargs: Any) -> Any:
    """`__call__` of a class that has PyTorch's `forward` in its place: raises TypeError."""
    del args, kwargs
    raise TypeError(
        f"[{type(module).__name__}] has a method forward, but no __call__, which model(x) calls. Rename forward to "
        "__call__."
    )


# --- names in packages ---


def unknown_name(package: str, name: str, known: Iterable[str], instead: Mapping[str, str]) -> str:
    """About a name that a package does not have; `instead` holds texts for names that other libraries have."""
    text = f"module {package!r} has no attribute {name!r}."
    if name in instead:
        return f"{text} {instead[name]}"
    return text if name.startswith("__") else text + did_you_mean(name, known)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the most similar name, if there is one."""
    names = {one.lower(): one for one in known if not one.startswith("_")}
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f" Did you mean {names[close[0]]!r}?" if close else ""
