"""Connectionist temporal classification: labels without positions (Graves et al., 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.losses.shapes import as_array, reduced
from funcgrad.nn.normalization import log_softmax


def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: float = -1e5,
) -> Any:
    """Minus the logarithm of the probability that the logits spell the labels (Graves et al., 2006).

    Args:
        logits: (examples, time, classes).
        logit_paddings: (examples, time), 1 after the end of an example, else 0.
        labels: (examples, length), classes other than `blank_id`.
        label_paddings: (examples, length), 1 after the end of the labels, else 0.
        blank_id: the class that stands for no label.
        log_epsilon: stands for the logarithm of 0.

    Returns:
        One value per example.

    Raises:
        IndexError: a label is no class.

    Example:
        >>> ctc_loss(np.zeros((1, 2, 2)), np.zeros((1, 2)), [[1]], [[0.0]]).round(4)
        array([0.2877])
    """
    return ctc_loss_with_forward_probs(
        logits, logit_paddings, labels, label_paddings, blank_id=blank_id, log_epsilon=log_epsilon
    )[0]


def ctc_loss_with_forward_probs(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: float = -1e5,
) -> tuple[Any, Any, Any]:
    """`ctc_loss`, and the logarithms of the forward probabilities.

    Args:
        logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon: as for `ctc_loss`.

    Returns:
        (losses (examples,), log probabilities (time, examples, length + 1) of having spelled so many labels
        and being at a blank, and (time, examples, length) of being at a label).

    Example:
        >>> losses, _, _ = ctc_loss_with_forward_probs(
        ...     np.zeros((1, 2, 2)), np.zeros((1, 2)), [[1]], [[0.0]]
        ... )
        >>> losses.round(4)
        array([0.2877])
    """
    logits, labels = _checked(logits, logit_paddings, labels, label_paddings)
    dtype = logits.dtype
    paddings, label_paddings = (as_array(x).astype(dtype) for x in (logit_paddings, label_paddings))
    scores = fnp.moveaxis(log_softmax(logits, -1), 1, 0)
    time, examples, length = scores.shape[0], labels.shape[0], labels.shape[1]
    index = fnp.broadcast_to(labels[None], (time, examples, length))
    emitted = fnp.take_along_axis(scores, index, axis=-1)
    blanks = scores[:, :, blank_id : blank_id + 1]
    # A label may follow its like only after a blank.
    repeats = fnp.equal(labels[:, :-1], labels[:, 1:]).astype(dtype)
    repeats = fnp.concatenate([repeats, fnp.zeros((examples, 1), dtype)], axis=1)

    def step(state: tuple, inputs: tuple) -> tuple[tuple, tuple]:
        at_blank, at_label = state
        label_score, blank_score, padding = inputs
        reachable = _onward(at_blank, at_label + log_epsilon * repeats)
        new_label = fnp.logaddexp(reachable[:, :-1], at_label) + label_score
        after_label = at_label + blank_score + log_epsilon * (1 - repeats)
        new_blank = _onward(reachable + blank_score, after_label)
        is_over = padding[:, None] > 0
        new = fnp.where(is_over, at_blank, new_blank), fnp.where(is_over, at_label, new_label)
        return new, new

    nothing = fnp.full((examples, length), log_epsilon, dtype)
    begin = fnp.concatenate([fnp.zeros((examples, 1), dtype), nothing], axis=1)
    inputs = (emitted, blanks, fnp.moveaxis(paddings, 1, 0))
    (at_blank, at_label), (blank_path, label_path) = lax.scan(step, (begin, nothing), inputs)
    done = _onward(at_blank, at_label)
    lengths = length - fnp.sum(label_paddings, axis=1).astype(np.int64)
    losses = -fnp.take_along_axis(done, lengths[:, None], axis=1)[:, 0]
    blank_path = fnp.concatenate([blank_path[:-1], done[None]])
    return losses, blank_path, label_path


def _onward(at_blank: Any, added: Any) -> Any:
    """Blanks that can also be reached from the label before them."""
    return fnp.concatenate([at_blank[:, :1], fnp.logaddexp(at_blank[:, 1:], added)], axis=1)


def _checked(logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any) -> tuple[Any, Any]:
    logits = as_array(logits)
    if logits.ndim != 3:
        raise ValueError(
            f"[ctc_loss] logits must be (examples, time, classes), but got the shape {logits.shape}."
        )
    labels = checked_labels("ctc_loss", labels, logits.shape[2])
    for name, array, shape in (
        ("logit_paddings", logit_paddings, logits.shape[:2]),
        ("labels", labels, (logits.shape[0], labels.shape[-1])),
        ("label_paddings", label_paddings, labels.shape),
    ):
        found = as_array(array).shape
        if found != shape:
            raise ValueError(f"[ctc_loss] {name} must have the shape {shape}, but got {found}.")
    return logits, labels


def ctc_loss_by_lengths(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """`ctc_loss` with the arguments of PyTorch's `ctc_loss`.

    Args:
        log_probs: (time, examples, classes), log probabilities; (time, classes) for one example.
        targets: (examples, length), or the labels of all examples one after the other.
        input_lengths, target_lengths: (examples,), or a number for one example.
        blank: the class that stands for no label.
        reduction: "mean" (each divided by its target length first), "sum" or "none".
        zero_infinity: 0 for labels that cannot be spelled in the time there is.

    Raises:
        ValueError: the arguments are not of equally many examples.
        IndexError: a label is no class.

    Example:
        >>> scores = fnp.log(np.full((2, 1, 2), 0.5))
        >>> ctc_loss_by_lengths(scores, [[1]], [2], [1], reduction="none").round(4)
        array([0.2877])
    """
    scores, targets = as_array(log_probs), as_array(targets)
    input_lengths, target_lengths = as_array(input_lengths), as_array(target_lengths)
    is_one = scores.ndim == 2
    if is_one:
        scores, targets = fnp.expand_dims(scores, 1), fnp.expand_dims(targets, 0)
        input_lengths, target_lengths = (
            fnp.reshape(n, (-1,)) for n in (input_lengths, target_lengths)
        )
    if targets.ndim == 1:
        targets = _one_row_each(targets, target_lengths)
    _check_examples(scores, targets, input_lengths, target_lengths)
    scores = fnp.moveaxis(scores, 0, 1)
    paddings = [
        fnp.greater_equal(fnp.arange(count), lengths[:, None]).astype(scores.dtype)
        for count, lengths in ((scores.shape[1], input_lengths), (targets.shape[1], target_lengths))
    ]
    losses = ctc_loss(scores, paddings[0], targets, paddings[1], blank_id=blank)
    # A path that cannot be is as unlikely as `log_epsilon`.
    cannot = losses > 5e4
    losses = fnp.where(cannot, 0.0 if zero_infinity else np.inf, losses)
    if reduction == "mean":
        losses = losses / fnp.maximum(target_lengths, 1).astype(losses.dtype)
    return reduced("ctc_loss", losses[0] if is_one else losses, reduction)


def _one_row_each(labels: Any, lengths: Any) -> Any:
    """Labels that stand one after the other, as (examples, length); what is over the length of a row is any label."""
    starts = fnp.cumsum(lengths) - lengths
    places = fnp.expand_dims(starts, 1) + fnp.arange(labels.shape[0])
    return fnp.take(labels, fnp.minimum(places, labels.shape[0] - 1))


def _check_examples(scores: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> None:
    shapes = (scores.shape, targets.shape, input_lengths.shape, target_lengths.shape)
    count = scores.shape[1] if scores.ndim == 3 else None
    if targets.ndim != 2 or any(s != (count,) for s in (targets.shape[:1], *shapes[2:])):
        raise ValueError(
            "[ctc_loss] expected log_probs (time, examples, classes), targets (examples, length) and two lengths per "
            f"example, but got the shapes {', '.join(map(str, shapes))}."
        )
