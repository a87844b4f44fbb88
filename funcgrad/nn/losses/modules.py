"""PyTorch's loss classes: a function and its settings, called with predictions and targets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from funcgrad.nn.filters import is_array
from funcgrad.nn.hints import did_you_mean
from funcgrad.nn.losses import classes, margins, pytorch, regression, sequences
from funcgrad.nn.losses.shapes import check_reduction
from funcgrad.nn.module import Module, field


class Loss(Module):
    """A loss function with its settings. Subclasses name the function and take PyTorch's arguments.

    Example:
        >>> MSELoss(reduction="sum")([1.0, 2.0], [1.0, 4.0])
        np.float64(4.0)
    """

    arrays: dict[str, Any] = field(buffer=True)
    settings: dict[str, Any] = field(static=True)

    def __init__(self, *given: Any, reduction: str = "mean", **settings: Any) -> None:
        name, known = type(self).__name__, setting_names(self.function)
        if given:
            raise TypeError(
                f"[{name}] settings have names: {', '.join(f'{one}=' for one in known)}. Arrays belong to the call of "
                f"the loss: {name}()(predictions, targets)."
            )
        for setting in settings:
            if setting not in known:
                raise TypeError(
                    f"[{name}] there is no setting {setting!r}; it has {', '.join(known)}."
                    f"{did_you_mean(setting, known)}"
                )
        check_reduction(name, reduction, ("batchmean",) if name == "KLDivLoss" else ())
        self.arrays = {name: value for name, value in settings.items() if is_array(value)}
        others = {name: value for name, value in settings.items() if name not in self.arrays}
        self.settings = {"reduction": reduction, **others}

    def function(self, *args: Any, **settings: Any) -> Any:
        """The loss function."""
        raise NotImplementedError

    def __call__(self, *args: Any) -> Any:
        """The loss of predictions and targets."""
        return self.function(*args, **self.arrays, **self.settings)


def setting_names(function: Callable[..., Any]) -> list[str]:
    """The arguments of a loss function that are no predictions or targets."""
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.default is not one.empty and one.name != "targets"]


def _loss_class(name: str, function: Callable[..., Any], of: str) -> type[Loss]:
    """A subclass of `Loss` for a function."""
    settings = ", ".join(setting_names(function))
    doc = (
        f"`{of}` as an object: call it with predictions and targets.\n\n"
        f"    Keyword arguments are those of `{of}`: {settings}."
    )
    namespace = {"__doc__": doc, "function": staticmethod(function), "__module__": __name__}
    return type(name, (Loss,), namespace)


MSELoss = _loss_class("MSELoss", pytorch.mse_loss, "mse_loss")
L1Loss = _loss_class("L1Loss", pytorch.l1_loss, "l1_loss")
SmoothL1Loss = _loss_class("SmoothL1Loss", pytorch.smooth_l1_loss, "smooth_l1_loss")
HuberLoss = _loss_class("HuberLoss", regression.huber_loss, "huber_loss")
CrossEntropyLoss = _loss_class("CrossEntropyLoss", classes.cross_entropy, "cross_entropy")
NLLLoss = _loss_class("NLLLoss", classes.nll_loss, "nll_loss")
BCELoss = _loss_class("BCELoss", pytorch.binary_cross_entropy, "binary_cross_entropy")
BCEWithLogitsLoss = _loss_class(
    "BCEWithLogitsLoss",
    pytorch.binary_cross_entropy_with_logits,
    "binary_cross_entropy_with_logits",
)
KLDivLoss = _loss_class("KLDivLoss", pytorch.kl_div, "kl_div")
PoissonNLLLoss = _loss_class("PoissonNLLLoss", pytorch.poisson_nll_loss, "poisson_nll_loss")
GaussianNLLLoss = _loss_class("GaussianNLLLoss", pytorch.gaussian_nll_loss, "gaussian_nll_loss")
SoftMarginLoss = _loss_class("SoftMarginLoss", margins.soft_margin_loss, "soft_margin_loss")
MarginRankingLoss = _loss_class(
    "MarginRankingLoss", margins.margin_ranking_loss, "margin_ranking_loss"
)
HingeEmbeddingLoss = _loss_class(
    "HingeEmbeddingLoss", margins.hinge_embedding_loss, "hinge_embedding_loss"
)
CosineEmbeddingLoss = _loss_class(
    "CosineEmbeddingLoss", margins.cosine_embedding_loss, "cosine_embedding_loss"
)
MultiMarginLoss = _loss_class("MultiMarginLoss", classes.multi_margin_loss, "multi_margin_loss")
MultiLabelMarginLoss = _loss_class(
    "MultiLabelMarginLoss", classes.multilabel_margin_loss, "multilabel_margin_loss"
)
MultiLabelSoftMarginLoss = _loss_class(
    "MultiLabelSoftMarginLoss",
    classes.multilabel_soft_margin_loss,
    "multilabel_soft_margin_loss",
)
TripletMarginLoss = _loss_class(
    "TripletMarginLoss", margins.triplet_margin_by_norm, "triplet_margin_by_norm"
)
TripletMarginWithDistanceLoss = _loss_class(
    "TripletMarginWithDistanceLoss",
    margins.triplet_margin_with_distance_loss,
    "triplet_margin_with_distance_loss",
)
CTCLoss = _loss_class("CTCLoss", sequences.ctc_loss_by_lengths, "ctc_loss_by_lengths")
