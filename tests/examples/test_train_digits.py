"""The main example: training, file, fresh process, picture, command line."""

import re
import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
from tests.examples.loading import EXAMPLES

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


def run(*arguments):
    command = [sys.executable, EXAMPLES / "train_digits.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def accuracy_of(result):
    assert result.returncode == 0, result.stderr
    return float(re.search(r"test accuracy ([\d.]+)%", result.stdout)[1])


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    output = tmp_path_factory.mktemp("digits")
    return output, run("--epochs", 5, "--seed", 3, "--output", output)


def test_short_run_learns(short_run):
    _, result = short_run
    assert accuracy_of(result) > 90
    assert "1437 training images, 360 test images" in result.stdout


def test_progress_bar_has_loss_and_accuracy(short_run):
    _, result = short_run
    assert "110/110" in result.stderr and re.search(r"accuracy=[\d.]+, loss=[\d.]+", result.stderr)


def test_file_holds_the_parameters(short_run):
    output, _ = short_run
    found = fg.load_dict(output / "digits.safetensors")
    assert {name: array.shape for name, array in found.items()} == {
        **{"layers.0.weight": (128, 64), "layers.0.bias": (128,)},
        **{"layers.1.weight": (128, 128), "layers.1.bias": (128,)},
        **{"layers.2.weight": (10, 128), "layers.2.bias": (10,)},
    }
    assert all(array.dtype == np.float32 for array in found.values())


def test_fresh_process_agrees_bit_by_bit(short_run):
    output, result = short_run
    assert "a fresh process predicts the same 3600 logits, bit by bit" in result.stdout
    path = output / "digits.safetensors"
    command = [sys.executable, EXAMPLES / "train_digits.py", "--predict-from", path, "--seed", "3"]
    first, second = [subprocess.run(command, capture_output=True, check=True) for _ in range(2)]
    assert len(first.stdout) == 360 * 10 * 4 and first.stdout == second.stdout


def test_picture(short_run):
    from matplotlib import image

    output, _ = short_run
    picture = image.imread(output / "digits.png")
    assert picture.shape[:2] == (600, 1200) and picture[..., :3].std() > 0.1


def test_same_seed_gives_the_same_model(tmp_path):
    for name in "ab":
        run("--epochs", 1, "--quiet", "--optimizer", "sgd", "--output", tmp_path / name)
    first, second = [fg.load_dict(tmp_path / name / "digits.safetensors") for name in "ab"]
    assert fg.tree_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", 0), "--epochs: must be a whole number from 1 on, got '0'"),
        (("--epochs", "many"), "--epochs: must be a whole number from 1 on, got 'many'"),
        (("--seed", -1), "--seed: must be a whole number from 0 on, got '-1'"),
        (("--seed", 2**70), "--seed: must be a whole number"),
        (("--optimizer", "newton"), "--optimizer: invalid choice: 'newton'"),
        (("--backend", "torch"), "--backend: must be numpy or cupy, got 'torch'"),
        (("--speed", 1), "unrecognized arguments: --speed 1"),
    ],
)
def test_bad_arguments(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr


def test_help():
    result = run("--help")
    assert result.returncode == 0
    for option in ("--epochs", "--seed", "--optimizer", "--backend", "--output"):
        assert option in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_full_run_reaches_97_percent(tmp_path, optimizer):
    assert accuracy_of(run("--optimizer", optimizer, "--quiet", "--output", tmp_path)) >= 97
