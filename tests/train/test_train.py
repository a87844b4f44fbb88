"""Batches, metrics, stopping, progress, images and plots of a training loop."""

import sys

import numpy as np
import pytest
import sklearn.metrics

import funcgrad as fg
from funcgrad import nn, optim, train
from funcgrad.io import CheckpointManager

# --- batches ---


def test_every_row_once_in_every_epoch():
    x = np.arange(10)
    batches = train.Minibatches((x, 2 * x), 3, seed=1)
    first, second = ([batch for batch in batches] for _ in range(2))
    assert [len(a) for a, _ in first] == [3, 3, 3, 1] and len(batches) == 4
    for epoch in (first, second):
        assert sorted(np.concatenate([a for a, _ in epoch])) == list(range(10))
        assert all((b == 2 * a).all() for a, b in epoch)
    assert not np.array_equal(first[0][0], second[0][0])
    again = train.Minibatches((x, 2 * x), 3, seed=1)
    assert np.array_equal(next(iter(again))[0], first[0][0])


def test_order_and_last_batch():
    batches = train.Minibatches(np.arange(5), 2, shuffle=False, drop_last=True)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3]]
    doubled = train.Minibatches(np.arange(4), 2, shuffle=False, transform=lambda x: 2 * x)
    assert [batch.tolist() for batch in doubled] == [[0, 2], [4, 6]]


def test_restored_batches_go_on():
    whole = [batch.tolist() for batch in train.Minibatches(np.arange(7), 2, seed=3).epochs(3)]
    first = train.Minibatches(np.arange(7), 2, seed=3)
    seen = []
    for batch in first.epochs(3):
        seen.append(batch.tolist())
        if len(seen) == 6:
            break
    second = train.Minibatches(np.arange(7), 2, seed=3).restore(first.state)
    seen += [batch.tolist() for batch in second.epochs(3)]
    assert seen == whole


def test_bad_batches():
    with pytest.raises(ValueError, match="one length"):
        train.Minibatches({"x": np.zeros(3), "y": np.zeros(4)}, 2)
    with pytest.raises(ValueError, match="batch_size must be from 1 to 3"):
        train.Minibatches(np.zeros(3), 0)
    with pytest.raises(ValueError, match="not one of these batches"):
        train.Minibatches(np.zeros(3), 1).restore({"epoch": 0, "position": 0, "seed": 5})


def test_split():
    x, y = np.arange(20), np.arange(20) * 10
    x_train, x_test, y_train, y_test = train.train_test_split(x, y, test_size=5, seed=2)
    assert len(x_test) == 5 and sorted([*x_train, *x_test]) == list(range(20))
    assert (y_train == 10 * x_train).all() and (y_test == 10 * x_test).all()
    with pytest.raises(ValueError, match="leaves nothing"):
        train.train_test_split(x, test_size=0.0)


# --- resuming a whole run: model, optimizer, key, batches ---


def resumable(directory, stop=None):
    """Trains 3 epochs with dropout noise; a new call goes on from the last checkpoint."""
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    batches = train.Minibatches(x, 6, seed=4)
    model, optimizer = nn.MLP(3, 1, 4, 1, key=0), optim.adamw(1e-2)
    run = {
        "model": model, "state": optimizer.init(model), "key": fg.random.key(1), "data": batches.state
    }  # fmt: skip
    manager = CheckpointManager(directory)
    if manager.latest() is not None:
        run = manager.restore(run)
        batches.restore(run["data"])

    @fg.jit
    def step(model, state, key, batch):
        def loss(model):
            return np.mean(model(batch + 0.1 * fg.random.normal(key, batch.shape)) ** 2)

        updates, state = optimizer.update(fg.grad(loss)(model), state, model)
        return optim.apply_updates(model, updates), state

    number = manager.latest() or 0
    for batch in batches.epochs(3):
        key, subkey = fg.random.split(run["key"])
        run["model"], run["state"] = step(run["model"], run["state"], subkey, batch)
        number += 1
        run = {**run, "key": key, "data": batches.state}
        manager.save(number, run)
        if number == stop:
            break
    manager.close()
    return run


@pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")
@pytest.mark.parametrize("stop", [2, 4, 7])
def test_resume_is_exact(tmp_path, stop):
    whole = resumable(tmp_path / "whole")
    resumable(tmp_path / "parts", stop)
    resumed = resumable(tmp_path / "parts")
    assert nn.tree_equal(resumed["model"], whole["model"])
    assert nn.tree_equal(resumed["state"], whole["state"])


# --- metrics ---

LABELS = np.array([0, 1, 2, 2, 1, 0, 2])
SCORES = np.random.default_rng(0).normal(size=(7, 3))
PREDICTED = SCORES.argmax(1)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_metrics_of_classes(wrap):
    assert wrap(train.accuracy)(SCORES, LABELS) == sklearn.metrics.accuracy_score(LABELS, PREDICTED)
    expected = sklearn.metrics.top_k_accuracy_score(LABELS, SCORES, k=2)
    assert wrap(lambda s, y: train.top_k_accuracy(s, y, 2))(SCORES, LABELS) == expected
    matrix = wrap(lambda s, y: train.confusion_matrix(s, y))(SCORES, LABELS)
    assert (matrix == sklearn.metrics.confusion_matrix(LABELS, PREDICTED)).all()
    found = [wrap(f)(matrix) for f in (train.precision, train.recall, train.f1_score)]
    scores = sklearn.metrics.precision_recall_fscore_support(LABELS, PREDICTED, zero_division=0)
    np.testing.assert_allclose(found, scores[:3])


def test_metrics_of_numbers():
    x, y = SCORES[:, 0], SCORES[:, 1]
    assert train.r2_score(x, y) == pytest.approx(sklearn.metrics.r2_score(y, x))
    assert train.perplexity(np.log([2.0, 8.0])) == pytest.approx(4.0)


def test_average():
    mean = fg.jit(lambda m, x: m.add(x))(train.Average(), np.array([1.0, 3.0]))
    mean = mean.add(8.0, weights=2)
    assert mean.value == pytest.approx(5.0) and np.isnan(train.Average().value)


def test_bad_metrics():
    with pytest.raises(ValueError, match="need labels of shape"):
        train.accuracy(SCORES, LABELS[:3])
    with pytest.raises(IndexError):
        train.confusion_matrix([0, 5], [0, 1], 3)
    with pytest.raises(ValueError, match="one shape"):
        train.r2_score(np.zeros((3, 1)), np.zeros(3))


# --- stopping ---


def test_early_stopping():
    stopping = train.EarlyStopping(patience=2, min_delta=0.1, mode="max")
    assert [stopping.update(x) for x in (0.5, 0.55, np.nan)] == [False, False, True]
    assert stopping.best == 0.5 and not stopping.improved
    again = train.EarlyStopping(patience=2, min_delta=0.1, mode="max").restore(stopping.state)
    assert not again.update(0.9) and again.improved and again.best_step == 3
    with pytest.raises(ValueError, match="patience must be"):
        train.EarlyStopping(patience=0)


# --- progress ---


def test_progress_by_lines(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    bar = train.progress(range(3), label="train", every=0.0)
    for element in bar:
        bar.show(loss=np.array([element / 3]), name="a")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("train 1/3") and lines[-1].endswith("loss=0.6667 name=a")


def test_progress_by_tqdm(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    bar = train.progress(iter(range(4)), total=4)
    assert list(bar) == [0, 1, 2, 3]
    assert "4/4" in capsys.readouterr().err


# --- images ---


def test_images_there_and_back():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    images = train.to_chw(pixels)
    assert images.shape == (2, 3, 5, 4) and images.dtype == np.float32 and images.max() <= 1
    assert (train.to_hwc(images) == pixels).all()
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    normal = train.normalize(images, mean, std)
    np.testing.assert_allclose(normal[:, 1], (images[:, 1] - 0.4) / 0.3, rtol=1e-5)
    np.testing.assert_allclose(train.unnormalize(normal, mean, std), images, atol=1e-6)
    assert normal.dtype == np.float32


def test_grid():
    grid = train.image_grid(np.stack([np.full((1, 2, 2), i + 1.0) for i in range(3)]), 2, padding=1)
    assert (
        grid.shape == (1, 7, 7) and grid[0, 1, 1] == 1 and grid[0, 4, 1] == 3 and grid[0, 0, 0] == 0
    )


def test_bad_images():
    with pytest.raises(ValueError, match=r"images\[..., None\]"):
        train.to_chw(np.zeros((28, 28)))
    with pytest.raises(ValueError, match="to_hwc"):
        train.to_hwc(np.zeros((28, 28, 3)))
    with pytest.raises(ValueError, match="one number per channel"):
        train.normalize(np.zeros((3, 4, 4)), [0.5], [0.5])


def test_texts_of_objects():
    batches = train.Minibatches(np.zeros((5, 2)), 2)
    next(iter(batches))
    assert repr(batches) == "Minibatches(5 rows, batch_size=2, epoch=0, position=1 of 3)"
    stopping = train.EarlyStopping(patience=2)
    assert repr(stopping) == "EarlyStopping(best=inf at -1, now at -1, patience=2)"
    stopping.update(0.5)
    assert repr(stopping) == "EarlyStopping(best=0.5 at 0, now at 0, patience=2)"


# --- plots ---


def test_plots():
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    axes = train.plot_curves({"loss": [3.0, 2.0, 1.0], "test": [3.0, 2.5, 2.0]}, smooth=2)
    assert axes.lines[0].get_ydata().tolist() == [2.5, 1.5]
    assert train.plot_curves([3.0, 2.0]).get_legend_handles_labels()[1] == ["loss"]
    grid = train.plot_images(np.zeros((3, 8, 8)), titles=["a", "b", "c"], columns=2)
    assert grid.shape == (2, 2) and grid[1, 0].get_title() == "c" and not grid[1, 1].images
    assert train.plot_images(np.zeros((3, 3, 8, 8))).images[0].get_array().shape[-1] == 3
    texts = train.plot_confusion([[3, 1], [0, 2]], ["cat", "dog"]).texts
    assert [text.get_text() for text in texts] == ["3", "1", "0", "2"]
    plt.close("all")
