"""Images as arrays: bytes (H, W, C) and floats (C, H, W), normalised for a network and back for a picture.

PyTorch: torchvision's to_tensor, Normalize and make_grid. Here: funcgrad.train.
"""

import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_sample_image

from funcgrad import nn, random, train

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main():
    photo = load_sample_image("china.jpg")
    print("file:", photo.dtype, photo.shape, "from", photo.min(), "to", photo.max())

    image = train.to_chw(photo)
    print(
        "for a network:", image.dtype, image.shape, f"from {image.min():.2f} to {image.max():.2f}"
    )
    assert image.shape == (3, *photo.shape[:2])

    normal = train.normalize(image, MEAN, DEVIATION)
    features = nn.Conv2d(3, 8, 3, key=random.key(0))(normal)
    print("features:", features.shape)

    back = train.to_hwc(train.unnormalize(normal, MEAN, DEVIATION))
    assert np.abs(back.astype(int) - photo).max() <= 1

    matplotlib.use("Agg")  # writes files, needs no screen
    heat = np.abs(features[:, None]) / np.abs(features).max()
    axes = train.plot_images(heat, [f"feature {i}" for i in range(len(heat))])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "features.png"
        np.ravel(axes)[0].figure.savefig(path)
        print("a picture of", len(heat), "features:", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
