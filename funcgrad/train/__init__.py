"""Conveniences of a training loop, small and optional: batches, progress, metrics, stopping, plots, images."""

from funcgrad.train.batches import Minibatches
from funcgrad.train.images import image_grid, normalize, to_chw, to_hwc, unnormalize
from funcgrad.train.metrics import (
    Average,
    accuracy,
    confusion_matrix,
    f1_score,
    perplexity,
    precision,
    r2_score,
    recall,
    top_k_accuracy,
)
from funcgrad.train.plots import plot_confusion, plot_curves, plot_images
from funcgrad.train.progress import progress
from funcgrad.train.splits import train_test_split
from funcgrad.train.stopping import EarlyStopping
