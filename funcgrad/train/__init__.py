"""Conveniences of a training loop, small and optional: batches, progress, metrics, stopping, plots, images."""

from funcgrad.train.batches import Minibatches as Minibatches
from funcgrad.train.images import (
    image_grid as image_grid,
    normalize as normalize,
    to_chw as to_chw,
    to_hwc as to_hwc,
    unnormalize as unnormalize,
)
from funcgrad.train.metrics import (
    Average as Average,
    accuracy as accuracy,
    confusion_matrix as confusion_matrix,
    f1_score as f1_score,
    perplexity as perplexity,
    precision as precision,
    r2_score as r2_score,
    recall as recall,
    top_k_accuracy as top_k_accuracy,
)
from funcgrad.train.plots import (
    plot_confusion as plot_confusion,
    plot_curves as plot_curves,
    plot_images as plot_images,
)
from funcgrad.train.progress import progress as progress
from funcgrad.train.splits import train_test_split as train_test_split
from funcgrad.train.stopping import EarlyStopping as EarlyStopping
