"""Equality of static (aux) data: by value *and* type.

`1`, `True` and `1.0` differ, so do `0.0` and `-0.0`; a NaN equals itself.  Mutable data may be
compared but not hashed.
"""

from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

# Values of these exact types are equal to values of their own type only.
_PLAIN = frozenset({str, bytes, int, type(None), type, FunctionType, BuiltinFunctionType})


def strict_key(value: Any) -> Any:
    """A stand-in for `value` whose `==` is the equality described above.

    It can be hashed exactly when the value can.

    >>> strict_key((1, 2.0)) == strict_key((1, 2.0))
    True
    >>> strict_key(1) == strict_key(True)
    False
    """
    cls = type(value)
    if cls in _PLAIN:
        return value
    # User tuples come out with their own class in front, so the forms below never collide.
    if isinstance(value, tuple):
        return (cls, *[strict_key(item) for item in value])
    make = _KEYS.get(cls)
    if make is not None:
        return (cls, *make(value))
    if isinstance(value, np.generic):
        return (cls, value.dtype, value.tobytes())
    if isinstance(value, np.ndarray):
        return (cls, value.dtype, value.shape, [value.tobytes()])
    return (cls, value)


def same(first: Any, second: Any) -> bool:
    """Whether two pieces of static data are equal in value and type."""
    return first is second or equal_keys(strict_key(first), strict_key(second))


def equal_keys(first: Any, second: Any) -> bool:
    """Compare two strict keys; a value whose `==` gives no bool is an error."""
    try:
        return bool(first == second)
    except Exception as error:
        raise ValueError(
            f"[tree] static data must be comparable by ==, but comparing it raised: {error}. "
            "Make it a data field, or give its class an __eq__ that returns a bool."
        ) from error


# The list, dict and set inside a key are there on purpose: they keep it unhashable.
_KEYS = {
    bool: lambda value: (value,),
    float: lambda value: (value.hex(),),
    complex: lambda value: (value.real.hex(), value.imag.hex()),
    slice: lambda value: tuple(map(strict_key, (value.start, value.stop, value.step))),
    list: lambda value: ([strict_key(item) for item in value],),
    dict: lambda value: ({strict_key(key): strict_key(item) for key, item in value.items()},),
    set: lambda value: ({strict_key(item) for item in value},),
    frozenset: lambda value: (frozenset(map(strict_key, value)),),
}
