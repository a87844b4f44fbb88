"""Errors about arguments that an optimizer does not have, for PyTorch's words too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from funcgrad.nn.hints import did_you_mean, instead_of
from funcgrad.optim.foreign_names import RENAMED, WITHOUT

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def known_arguments(make: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, with an error that says what to write if it is called with arguments that do not fit."""

    @functools.wraps(make)
    def made(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return make(*args, **kwargs)
        except TypeError as error:
            trace = error.__traceback__
            if (
                trace is not None and trace.tb_next is not None
            ):  # the call went well, what it did not
                raise
            text = describe(make.__name__, list(inspect.signature(make).parameters), kwargs, error)
        raise TypeError(text)

    return made


def describe(name: str, known: list[str], given: dict[str, object], error: TypeError) -> str:
    """What to write in place of a call with arguments that do not fit."""
    for argument in given:
        if argument not in known:
            return instead_of(name, argument, known, RENAMED, WITHOUT) or (
                f"[{name}] there is no argument {argument!r}; it takes {', '.join(known)}."
                f"{did_you_mean(argument, known)}"
            )
    if "missing" in str(error) and "'learning_rate'" in str(error):
        return f"[{name}] needs learning_rate, a number or a schedule. Write {name}(0.001)."
    return f"[{name}] {str(error).partition('() ')[2]}. It takes {', '.join(known)}."
