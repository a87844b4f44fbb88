"""Words that functions of NumPy take as options, for type checkers."""

from typing import Literal

Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]
Order = Literal["C", "F"]
OutOfBounds = Literal["raise", "wrap", "clip"]
