"""Losses: Optax's, with one value per example; and PyTorch's, with `reduction=` and its mean by default."""

from funcgrad.nn.losses.names import *  # noqa: F403 - a list of names, all of them public
