"""All losses: the names that `funcgrad.nn` and `funcgrad.nn.losses` have."""

# ruff: noqa: F401 - it only lists names

from funcgrad.nn.losses.classes import (
    cross_entropy,
    ctc_loss_by_lengths,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
)
from funcgrad.nn.losses.classification import (
    hinge_loss,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    perceptron_loss,
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from funcgrad.nn.losses.divergences import (
    convex_kl_divergence,
    generalized_kl_divergence,
    kl_divergence,
    kl_divergence_with_log_targets,
)
from funcgrad.nn.losses.embeddings import (
    ntxent,
    triplet_margin_loss,
)
from funcgrad.nn.losses.margins import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_by_norm,
    triplet_margin_with_distance_loss,
)
from funcgrad.nn.losses.modules import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    CTCLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MarginRankingLoss,
    MSELoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from funcgrad.nn.losses.overlap import (
    binary_dice_loss,
    dice_loss,
    multiclass_generalized_dice_loss,
)
from funcgrad.nn.losses.pytorch import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from funcgrad.nn.losses.regression import (
    cosine_distance,
    cosine_similarity,
    huber_loss,
    l2_loss,
    log_cosh,
    mse,
    squared_error,
)
from funcgrad.nn.losses.sequences import (
    ctc_loss,
    ctc_loss_with_forward_probs,
)
from funcgrad.nn.losses.sparse import (
    make_fenchel_young_loss,
    multiclass_sparsemax_loss,
    ranking_softmax_loss,
    sparsemax_loss,
)
