"""Losses by name, written once for funcgrad, Optax and PyTorch, with the inputs that they are compared on."""

import numpy as np

RNG = np.random.default_rng(0)
INPUTS = {
    "x": RNG.normal(size=(5, 4)),
    "y": RNG.normal(size=(5, 4)),
    "z": RNG.normal(size=(5, 4)),
    "signs": np.where(RNG.random((5, 4)) > 0.5, 1.0, -1.0),
    "bits": np.where(RNG.random((5, 4)) > 0.5, 1.0, 0.0),
    "chances": RNG.dirichlet(np.ones(4), 5),
    "others": RNG.dirichlet(np.ones(4), 5),
    "logs": np.log(RNG.dirichlet(np.ones(4), 5)),
    "positive": RNG.random((5, 4)) + 0.1,
    "counts": RNG.integers(0, 6, (5, 4)).astype(float),
    "labels": np.array([0, 3, 1, 2, 3]),
    "ignored": np.array([0, -100, 1, -100, 3]),
    "groups": np.array([0, 1, 0, 1, 1]),
    "several": np.array(
        [[3, 0, -1, 1], [1, -1, 0, 2], [0, 1, 2, 3], [-1, 0, 1, 2], [2, 1, -1, -1]]
    ),
    "weight": np.array([0.5, 1.0, 2.0, 0.7]),
    "sign": np.array([1.0, -1.0, 1.0, 1.0, -1.0]),
    "image": RNG.normal(size=(3, 4, 2, 3)),
    "pixels": RNG.integers(0, 4, (3, 2, 3)),
    "maps": RNG.normal(size=(2, 4, 4, 3)),
    "masks": np.eye(3)[RNG.integers(0, 3, (2, 4, 4))],
    "speech": RNG.normal(size=(3, 7, 5)),
    "speech_paddings": (np.arange(7) >= np.array([7, 6, 5])[:, None]).astype(float),
    "words": np.array([[1, 1, 3], [2, 4, 1], [3, 3, 2]]),
    "word_paddings": (np.arange(3) >= np.array([3, 2, 1])[:, None]).astype(float),
    "times": np.array([7, 6, 5]),
    "lengths": np.array([3, 2, 1]),
}

# name -> (inputs, function of the library and the inputs); the first input is differentiated.
OPTAX = {
    "squared_error": ("x y", lambda o, x, y: o.squared_error(x, y)),
    "l2_loss": ("x y", lambda o, x, y: o.l2_loss(x, y)),
    "huber_loss": ("x y", lambda o, x, y: o.huber_loss(x, y, delta=0.7)),
    "log_cosh": ("x y", lambda o, x, y: o.log_cosh(x, y)),
    "cosine_similarity": ("x y", lambda o, x, y: o.cosine_similarity(x, y)),
    "cosine_distance": ("x y", lambda o, x, y: o.cosine_distance(x, y, epsilon=1e-6)),
    "sigmoid_binary_cross_entropy": ("x bits", lambda o, x, y: o.sigmoid_binary_cross_entropy(x, y)),
    "sigmoid_focal_loss": ("x bits", lambda o, x, y: o.sigmoid_focal_loss(x, y)),
    "sigmoid_focal_loss alpha": (
        "x bits", lambda o, x, y: o.sigmoid_focal_loss(x, y, alpha=0.3, gamma=1.5)
    ),
    "hinge_loss": ("x signs", lambda o, x, y: o.hinge_loss(x, y)),
    "perceptron_loss": ("x signs", lambda o, x, y: o.perceptron_loss(x, y)),
    "sparsemax_loss": ("x bits", lambda o, x, y: o.sparsemax_loss(x, y)),
    "softmax_cross_entropy": ("x chances", lambda o, x, y: o.softmax_cross_entropy(x, y)),
    "softmax_cross_entropy axis": ("x chances", lambda o, x, y: o.softmax_cross_entropy(x, y, axis=0)),
    "safe_softmax_cross_entropy": ("x chances", lambda o, x, y: o.safe_softmax_cross_entropy(x, y)),
    "integer labels": (
        "x labels", lambda o, x, y: o.softmax_cross_entropy_with_integer_labels(x, y)
    ),
    "integer labels axis": (
        "image pixels", lambda o, x, y: o.softmax_cross_entropy_with_integer_labels(x, y, axis=1)
    ),
    "multiclass_hinge_loss": ("x labels", lambda o, x, y: o.multiclass_hinge_loss(x, y)),
    "multiclass_perceptron_loss": ("x labels", lambda o, x, y: o.multiclass_perceptron_loss(x, y)),
    "multiclass_sparsemax_loss": ("x labels", lambda o, x, y: o.multiclass_sparsemax_loss(x, y)),
    "poly_loss_cross_entropy": ("x chances", lambda o, x, y: o.poly_loss_cross_entropy(x, y)),
    "kl_divergence": ("logs chances", lambda o, x, y: o.kl_divergence(x, y)),
    "kl log targets": ("logs x", lambda o, x, y: o.kl_divergence_with_log_targets(x, y)),
    "generalized_kl_divergence": ("logs positive", lambda o, x, y: o.generalized_kl_divergence(x, y)),
    "ntxent": ("x groups", lambda o, x, y: o.ntxent(x, y, 0.5)),
    "triplet_margin_loss": ("x y z", lambda o, x, y, z: o.triplet_margin_loss(x, y, z)),
    "dice_loss": ("maps masks", lambda o, x, y: o.dice_loss(x, y, alpha=0.3, beta=0.7)),
    "dice_loss background": (
        "maps masks", lambda o, x, y: o.dice_loss(x, y, reduction="sum", ignore_background=True)
    ),
    "multiclass_generalized_dice_loss": (
        "maps masks", lambda o, x, y: o.multiclass_generalized_dice_loss(x, y)
    ),
    "binary_dice_loss": ("x bits", lambda o, x, y: o.binary_dice_loss(x, y)),
    "ranking_softmax_loss": ("x counts", lambda o, x, y: o.ranking_softmax_loss(x, y)),
    "ranking_softmax_loss where": (
        "x counts bits",
        lambda o, x, y, b: o.ranking_softmax_loss(x, y, where=b > 0, weights=y + 1, reduce_fn=None),
    ),
    "smooth_labels": ("chances", lambda o, x: o.smooth_labels(x, 0.2)),
    "ctc_loss": (
        "speech speech_paddings words word_paddings", lambda o, *args: o.ctc_loss(*args)
    ),
    "ctc_loss forward": (
        "speech speech_paddings words word_paddings",
        lambda o, *args: o.ctc_loss_with_forward_probs(*args, blank_id=0)[0],
    ),
}  # fmt: skip

REDUCTIONS = ("mean", "sum", "none")
TORCH = {
    "mse_loss": ("x y", lambda f, r, x, y: f.mse_loss(x, y, reduction=r)),
    "l1_loss": ("x y", lambda f, r, x, y: f.l1_loss(x, y, reduction=r)),
    "smooth_l1_loss": ("x y", lambda f, r, x, y: f.smooth_l1_loss(x, y, beta=0.7, reduction=r)),
    "huber_loss": ("x y", lambda f, r, x, y: f.huber_loss(x, y, delta=0.7, reduction=r)),
    "binary_cross_entropy": (
        "chances bits weight",
        lambda f, r, x, y, w: f.binary_cross_entropy(x, y, w, reduction=r),
    ),
    "binary_cross_entropy_with_logits": (
        "x bits weight positive",
        lambda f, r, x, y, w, p: f.binary_cross_entropy_with_logits(
            x, y, weight=w, pos_weight=w + 1, reduction=r
        ),
    ),
    "kl_div": ("logs chances", lambda f, r, x, y: f.kl_div(x, y, reduction=r)),
    "kl_div log": ("logs x", lambda f, r, x, y: f.kl_div(x, y, reduction=r, log_target=True)),
    "poisson_nll_loss": ("x counts", lambda f, r, x, y: f.poisson_nll_loss(x, y, reduction=r)),
    "poisson_nll_loss full": (
        "positive counts",
        lambda f, r, x, y: f.poisson_nll_loss(x, y, log_input=False, full=True, reduction=r),
    ),
    "gaussian_nll_loss": (
        "x y positive", lambda f, r, x, y, v: f.gaussian_nll_loss(x, y, v, full=True, reduction=r)
    ),
    "soft_margin_loss": ("x signs", lambda f, r, x, y: f.soft_margin_loss(x, y, reduction=r)),
    "margin_ranking_loss": (
        "x y signs", lambda f, r, x, y, s: f.margin_ranking_loss(x, y, s, margin=0.3, reduction=r)
    ),
    "hinge_embedding_loss": (
        "x signs", lambda f, r, x, y: f.hinge_embedding_loss(x, y, margin=0.5, reduction=r)
    ),
    "cosine_embedding_loss": (
        "x y sign", lambda f, r, x, y, s: f.cosine_embedding_loss(x, y, s, margin=0.1, reduction=r)
    ),
    "triplet": (
        "x y z",
        lambda f, r, x, y, z: f.triplet_margin_with_distance_loss(x, y, z, swap=True, reduction=r),
    ),
    "cross_entropy": (
        "x labels weight",
        lambda f, r, x, y, w: f.cross_entropy(x, y, w, reduction=r, label_smoothing=0.1),
    ),
    "cross_entropy ignored": (
        "x ignored weight",
        lambda f, r, x, y, w: f.cross_entropy(x, y, w, reduction=r, label_smoothing=0.2),
    ),
    "cross_entropy probabilities": (
        "x chances weight",
        lambda f, r, x, y, w: f.cross_entropy(x, y, w, reduction=r, label_smoothing=0.1),
    ),
    "cross_entropy image": ("image pixels", lambda f, r, x, y: f.cross_entropy(x, y, reduction=r)),
    "nll_loss": ("logs labels weight", lambda f, r, x, y, w: f.nll_loss(x, y, w, reduction=r)),
    "multi_margin_loss": (
        "x labels weight",
        lambda f, r, x, y, w: f.multi_margin_loss(x, y, p=2, margin=0.8, weight=w, reduction=r),
    ),
    "multilabel_margin_loss": (
        "x several", lambda f, r, x, y: f.multilabel_margin_loss(x, y, reduction=r)
    ),
    "multilabel_soft_margin_loss": (
        "x bits weight", lambda f, r, x, y, w: f.multilabel_soft_margin_loss(x, y, w, reduction=r)
    ),
}  # fmt: skip


def arrays(names, dtype):
    found = [INPUTS[name] for name in names.split()]
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in found]
