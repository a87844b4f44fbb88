"""`stop_gradient`: values that derivatives treat as constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad import tree
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Linear
from funcgrad.transforms.arguments import is_array_leaf


class StopGradient(Linear):
    """The operand itself, without derivative."""

    def jvp(self, primals: Sequence, tangents: Sequence) -> tuple[Any, Any]:
        del tangents
        return self(*primals), None

    def vjp(self, primals: Sequence, active: Sequence[bool]) -> tuple[Any, Any]:
        del active
        return self(*primals), None

    def type_rule(self, x: ArrayType) -> ArrayType:
        return x.strong()

    def simplify(self, known: Any, x: Any) -> Any:
        del known
        return x

    def numpy(self, xp: Any, x: Any) -> Any:
        return x if hasattr(x, "dtype") else xp.asarray(x)[()]

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        del size
        return self(*args), axes[0]

    def lower(self, emit: Any, x: Any) -> Any:
        del emit
        return x


STOP_GRADIENT = StopGradient()


def stop_gradient(x: Any) -> Any:
    """A tree of arrays that derivatives treat as constant.

    Outside `jit` and `vmap` the result is a plain array, also inside `grad`.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.grad(lambda x: x * fg.stop_gradient(x))(3.0))
        3.0
    """
    return tree.map(lambda leaf: STOP_GRADIENT(leaf) if is_array_leaf(leaf) else leaf, x)
