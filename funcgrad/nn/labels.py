"""Class labels: checked before they choose, because a wrong label would silently choose nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.attribution import attributed
from funcgrad.ir.source import user_location
from funcgrad.ir.tracer import Tracer
from funcgrad.ops.sequences import as_array


def checked_labels(name: str | Callable[[], str], labels: Any, count: int) -> Any:
    """Integer labels as an array, after a check that all lie in 0 ... count - 1.

    Traced labels are checked when the compiled code runs; its error has a note with the name. `name` may be a
    function that returns it.

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
        # Looking the label up among all of them raises where it is not there; a negative one must not wrap.
        location = user_location()
        if location is not None:
            note = f"[{_text(name)}] labels are 0 to {count - 1}; for a negative one the error says {count} less."
            location = location.noted(note)
        with attributed(location):
            below = fnp.subtract(labels, count)
            return fnp.take(np.arange(count), fnp.where(fnp.less(labels, 0), below, labels))
    wrong = labels[(labels < 0) | (labels >= count)]
    if wrong.size:
        raise IndexError(
            f"[{_text(name)}] label {wrong.ravel()[0]} is out of range: with {count} classes the labels are 0 to "
            f"{count - 1}. Leave such examples out with a mask, for example np.where(mask, loss, 0.0)."
        )
    return labels


def _text(name: str | Callable[[], str]) -> str:
    return name() if callable(name) else name
