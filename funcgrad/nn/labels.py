"""Class labels: checked before they choose, because a wrong label would silently choose nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.attribution import attributed
from funcgrad.ir.source import SourceLocation, user_location
from funcgrad.ir.tracer import Tracer
from funcgrad.ops.cast import convert
from funcgrad.ops.sequences import as_array


def checked_labels(name: str | Callable[[], str], labels: Any, count: int) -> Any:
    """Integer labels as an array, after a check that all lie in 0 ... count - 1.

    Traced labels are checked when the compiled code runs, which raises the same error. `name` may be a function that
    returns it.

    Raises:
        TypeError: the labels are no integers.
        IndexError: a label is out of range.
    """
    labels = as_array(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"[{_text(name)}] expected integers from 0 to {count - 1}, but got {labels.dtype}. Write "
            "labels.astype(int), or use the function for probabilities."
        )
    if isinstance(labels, Tracer):
        return _looked_up(name, labels, count)
    wrong = labels[(labels < 0) | (labels >= count)]
    if wrong.size:
        raise IndexError(_out_of_range(_text(name), int(wrong.ravel()[0]), count))
    return labels


def _looked_up(name: str | Callable[[], str], labels: Any, count: int) -> Any:
    """Traced labels, looked up among all of them, which raises where one is not there."""
    line = user_location()
    location = None if line is None else LabelLocation(line, _text(name), count)
    with attributed(location):
        places = convert(labels, np.int64)  # smaller ones may not hold `count`
        below = fnp.subtract(places, count)  # a negative label must not count from the end
        return fnp.take(np.arange(count), fnp.where(fnp.less(places, 0), below, places))


class LabelLocation(SourceLocation):
    """The user's line of a look-up of labels: an index error that comes from it is one about labels."""

    __slots__ = ("count", "name")

    def __init__(self, line: SourceLocation, name: str, count: int) -> None:
        super().__init__(line.code, line.instruction, line.note)
        self.name = name
        self.count = count

    def explain(self, error: BaseException) -> None:
        index = vars(error).get("index")
        if isinstance(error, IndexError) and index is not None:
            label = index if index >= 0 else index + self.count
            error.args = (_out_of_range(self.name, label, self.count),)
        super().explain(error)


def _out_of_range(name: str, label: int, count: int) -> str:
    return (
        f"[{name}] label {label} is out of range: with {count} classes the labels are 0 to {count - 1}. Leave such "
        "examples out with a mask, for example np.where(mask, loss, 0.0)."
    )


def _text(name: str | Callable[[], str]) -> str:
    return name() if callable(name) else name
