"""Every exception funcgrad raises on purpose, and the one way its messages are put together.

A message has five parts, in this order: what happened and with which values, where in the user's file, why,
how to write it instead, and the page that explains it.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConcretizationTypeError",
    "KeyReuseError",
    "KeyReuseWarning",
    "MutatedResidualError",
    "NonConcreteBooleanIndexError",
    "ProgramError",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "UnexpectedTracerError",
    "compose",
]


class ConcretizationTypeError(TypeError):
    """A traced value was used where Python needs a concrete one."""


class TracerBoolConversionError(ConcretizationTypeError):
    """`if`, `while`, `and`, `or`, `not` or `assert` met a traced value."""


class TracerArrayConversionError(TypeError):
    """NumPy tried to turn a traced value into an ndarray."""


class TracerIntegerConversionError(TypeError):
    """`range`, `list[...]` or an index of a real ndarray met a traced value."""


class NonConcreteBooleanIndexError(IndexError):
    """A traced boolean mask would give a result whose size is known only at run time."""


class UnexpectedTracerError(Exception):
    """A traced value was used after its trace had ended, or in another thread."""


class KeyReuseError(Exception):
    """A random key was used twice where that is forbidden."""


class KeyReuseWarning(UserWarning):
    """A random key was used twice; the two results are correlated."""


class MutatedResidualError(ValueError):
    """An array that a backward pass still needs was written to."""


class ProgramError(Exception):
    """A Program breaks the rules of the IR: a fault of funcgrad, not of the user."""


class CheckpointError(ValueError):
    """A parameter file is damaged, hostile, or does not fit the model it is loaded into."""


DOCS = "docs/errors.md"


def compose(what: str, *, where: str = "", why: str = "", fix: str = "", page: str = "") -> str:
    """Join the parts of an error message; empty parts are left out."""
    parts = [what]
    if where:
        parts.append("\n".join("  " + line for line in where.splitlines()))
    if why:
        parts.append(why)
    if fix:
        parts.append("Write instead:\n" + "\n".join("  " + line for line in fix.splitlines()))
    if page:
        parts.append(f"See {DOCS}#{page}")
    return "\n".join(parts)
