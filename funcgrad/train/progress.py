"""A progress bar: tqdm's where it is installed, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any


def progress(
    iterable: Iterable[Any], *, total: int | None = None, label: str = "", every: float = 0.5
) -> Progress:
    """Show how far a loop is, with numbers beside it.

    Args:
        iterable: what the loop runs over.
        total: its length, where `len` does not know it.
        label: text before the bar.
        every: least seconds between two lines.

    Returns:
        An iterable; `show(loss=...)` puts numbers beside the bar.

    Example:
        >>> bar = progress(range(3), every=1e9)
        >>> for step in bar:
        ...     bar.show(loss=step)
    """
    return Progress(iterable, total, label, every)


class Progress:
    """The iterable that `progress` returns."""

    def __init__(self, iterable: Iterable[Any], total: int | None, label: str, every: float):
        self.iterable, self.label, self.every = iterable, label, every
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.numbers: dict[str, Any] = {}
        self.bar: Any = None

    def __iter__(self) -> Iterator[Any]:
        """The elements, while the bar moves."""
        tqdm = _tqdm()
        if tqdm is None:
            yield from self._by_lines()
            return
        with tqdm(total=self.total, desc=self.label or None, mininterval=self.every) as bar:
            self.bar = bar
            for element in self.iterable:
                yield element
                bar.set_postfix(self._texts(), refresh=False)
                bar.update()
        self.bar = None

    def show(self, **numbers: Any) -> None:
        """Numbers to show beside the bar; arrays of one element are taken too."""
        self.numbers.update(numbers)

    def _by_lines(self) -> Iterator[Any]:
        begin = shown = time.monotonic()
        count = 0
        for count, element in enumerate(self.iterable, 1):
            yield element
            now = time.monotonic()
            if now - shown >= self.every:
                shown = now
                self._write(count, now - begin)
        if count and shown > begin:
            self._write(count, time.monotonic() - begin)

    def _write(self, count: int, seconds: float) -> None:
        of = f"/{self.total}" if self.total else ""
        texts = " ".join(f"{name}={text}" for name, text in self._texts().items())
        line = f"{self.label} {count}{of} {count / max(seconds, 1e-9):.1f}/s {texts}"
        print(line.strip(), file=sys.stderr, flush=True)

    def _texts(self) -> dict[str, str]:
        return {name: _short(value) for name, value in self.numbers.items()}


def _short(value: Any) -> str:
    number = value.item() if getattr(value, "size", 0) == 1 else value
    return f"{number:.4g}" if isinstance(number, int | float) else str(value)


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm
