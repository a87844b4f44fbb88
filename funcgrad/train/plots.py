"""Plots by matplotlib, where it is installed: curves, images, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.train.images import image_grid, to_hwc


def plot_curves(
    curves: Mapping[str, Sequence[float]] | Sequence[float],
    *,
    log: bool = False,
    smooth: int = 1,
    axes: Any = None,
) -> Any:
    """Losses and metrics over the steps.

    Args:
        curves: name -> values; or the values of one loss.
        log: a logarithmic axis.
        smooth: steps that are averaged.
        axes: matplotlib axes to draw into; new ones by default.

    Returns:
        The axes.

    Example:
        >>> axes = plot_curves({"loss": [1.0, 0.5, 0.25]}, log=True)
        >>> axes.get_legend_handles_labels()[1]
        ['loss']
    """
    axes = _axes() if axes is None else axes
    named = curves if isinstance(curves, Mapping) else {"loss": curves}
    for name, values in named.items():
        values = np.asarray(values, np.float64)
        steps = np.arange(len(values))
        if smooth > 1 and len(values) >= smooth:
            values = np.convolve(values, np.full(smooth, 1 / smooth), "valid")
            steps = steps[smooth - 1 :]
        axes.plot(steps, values, label=name)
    if log:
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend()
    return axes


def plot_images(
    images: Any,
    titles: Sequence[Any] | None = None,
    *,
    columns: int | None = None,
    axes: Any = None,
) -> Any:
    """Images in a grid.

    Args:
        images: (count, channels, height, width), or (count, height, width) grey ones.
        titles: one for each image: then every image has axes of its own.
        columns: images in a row.
        axes: matplotlib axes for the whole grid; new ones by default.

    Returns:
        The axes, or an array of them with titles.

    Example:
        >>> axes = plot_images(np.zeros((4, 1, 8, 8)))
        >>> len(axes.images)
        1
    """
    images = np.asarray(images)
    images = images[:, None] if images.ndim == 3 else images
    if titles is None:
        axes = _axes() if axes is None else axes
        _draw(axes, image_grid(images, columns, fill=1))
        return axes
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    _, grid = _pyplot().subplots(rows, columns, squeeze=False)
    for place, one in zip(grid.flat, range(rows * columns), strict=True):
        place.axis("off")
        if one < len(images):
            _draw(place, images[one])
            place.set_title(str(titles[one]))
    return grid


def plot_confusion(matrix: Any, names: Sequence[str] | None = None, *, axes: Any = None) -> Any:
    """A confusion matrix, with its counts.

    Args:
        matrix: from `confusion_matrix`.
        names: of the classes; their numbers by default.
        axes: matplotlib axes to draw into; new ones by default.

    Returns:
        The axes.

    Example:
        >>> axes = plot_confusion(np.eye(2, dtype=int), ["cat", "dog"])
        >>> axes.get_xlabel()
        'prediction'
    """
    axes, matrix = _axes() if axes is None else axes, np.asarray(matrix)
    names = [str(i) for i in range(len(matrix))] if names is None else list(names)
    axes.imshow(matrix, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if count > matrix.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("right class")
    return axes


def _draw(axes: Any, image: np.ndarray) -> None:
    pixels = to_hwc(image)
    is_grey = pixels.shape[-1] == 1
    axes.imshow(pixels[..., 0] if is_grey else pixels, cmap="gray" if is_grey else None)
    axes.axis("off")


def _axes() -> Any:
    return _pyplot().subplots()[1]


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            "[plots] matplotlib is not installed. Write: pip install matplotlib"
        ) from None
    return plt
