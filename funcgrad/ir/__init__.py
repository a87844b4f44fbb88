"""The intermediate representation: array types, Programs, the Primitive contract and tracers."""

from funcgrad.ir import printer

__all__ = ["printer"]
