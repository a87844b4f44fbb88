"""When to stop: the metric has not improved for a while."""

from __future__ import annotations

import math


class EarlyStopping:
    """Says when a metric has not improved for a number of evaluations.

    Args:
        patience: evaluations without improvement before it says stop.
        min_delta: what counts as an improvement.
        mode: whether less ("min") or more ("max") is better.

    Example:
        >>> stopping = EarlyStopping(patience=2)
        >>> [stopping.update(loss) for loss in (1.0, 0.5, 0.6, 0.55)]
        [False, False, False, True]
        >>> stopping.best, stopping.best_step
        (0.5, 1)
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0, mode: str = "min") -> None:
        if patience < 1 or min_delta < 0 or mode not in ("min", "max"):
            raise ValueError(
                f"[EarlyStopping] patience must be at least 1, min_delta not negative and mode 'min' or 'max', "
                f"but got {patience}, {min_delta} and {mode!r}."
            )
        self.patience, self.min_delta = patience, min_delta
        self.sign = 1.0 if mode == "min" else -1.0
        self.best, self.best_step, self.step = self.sign * math.inf, -1, -1

    def __repr__(self) -> str:
        return f"EarlyStopping(best={self.best:g} at {self.best_step}, now at {self.step}, patience={self.patience})"

    def update(self, value: float) -> bool:
        """Take the next value; whether it is time to stop. NaN is no improvement."""
        self.step += 1
        if self.sign * float(value) < self.sign * self.best - self.min_delta:
            self.best, self.best_step = float(value), self.step
        return self.step - self.best_step >= self.patience

    @property
    def improved(self) -> bool:
        """Whether the last value was the best: the time for a checkpoint."""
        return self.step == self.best_step >= 0

    @property
    def state(self) -> dict[str, float]:
        """What it remembers: for a checkpoint."""
        return {"best": self.best, "best_step": self.best_step, "step": self.step}

    def restore(self, state: dict) -> EarlyStopping:
        """Go on from a state; returns itself."""
        self.best = float(state["best"])
        self.best_step, self.step = int(state["best_step"]), int(state["step"])
        return self
