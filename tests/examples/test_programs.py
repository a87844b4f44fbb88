"""The example programs: each runs, and learns or finds what its text says."""

import subprocess
import sys

import numpy as np
import pytest

from tests.examples.loading import EXAMPLES, load_example

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

# Loss after 500 steps; the three programs start at losses of millions, hundreds and millions.
GOALS = {"two_layer_numpy": 1e-5, "two_layer_sequential": 1e-9, "custom_relu": 1e-5}
# Programs that check themselves, and those that train for longer.
NOTES = sorted(path.stem for path in (EXAMPLES / "pytorch_notes").glob("*.py"))
TRAINED = {"cartpole", "conv_network", "image_classifier", *GOALS}


@pytest.mark.parametrize("name", GOALS)
def test_program_learns(name):
    lines = []
    losses = load_example(f"pytorch_notes/{name}").train(steps=500, report=lines.append)
    assert len(losses) == 500 and len(lines) == 5 and lines[-1].startswith("step  500   loss")
    assert losses[0] > 100 and losses[-1] < GOALS[name]


def test_hand_written_rule_is_used_and_equals_the_usual_one():
    plain, custom = (
        load_example(f"pytorch_notes/{name}") for name in ("two_layer_numpy", "custom_relu")
    )
    first, second = plain.train(20, report=print), custom.train(20, report=print)
    assert first == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize("name", GOALS)
def test_program_runs_from_the_command_line(name):
    command = [sys.executable, EXAMPLES / "pytorch_notes" / f"{name}.py", "--steps", "100"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("step  100   loss") and not result.stderr


@pytest.mark.parametrize("name", [name for name in NOTES if name not in TRAINED])
def test_note_holds_what_it_says(name, capsys):
    load_example(f"pytorch_notes/{name}").main()
    assert capsys.readouterr().out


def test_networks_recognise_digits():
    _, accuracy = load_example("pytorch_notes/conv_network").train()
    assert accuracy >= 0.985
    _, accuracy = load_example("pytorch_notes/image_classifier").train()
    assert accuracy >= 0.96


def test_pole_is_balanced():
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    program = load_example("pytorch_notes/cartpole")
    _, lengths = program.train()
    assert np.mean(lengths[-100:]) >= program.SOLVED


def test_autoencoder_compresses_digits(tmp_path):
    program = load_example("vae_digits")
    model, bound = program.train(epochs=40)
    assert bound < 25.0
    program.draw(model, tmp_path / "new" / "digits.png")
    assert (tmp_path / "new" / "digits.png").stat().st_size > 1000


def test_samples_have_the_exact_posterior():
    program = load_example("bayesian_regression")
    found, accepted = program.sample()
    mean, covariance = program.exact_posterior(*program.make_data())
    assert accepted > 0.9
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=6e-4)


def test_low_rank_updates_beat_a_new_last_layer():
    lines = []
    last_layer, low_rank = load_example("finetune_lora").main(report=lines.append)
    assert low_rank > 0.95 > last_layer and len(lines) == 3


@pytest.mark.slow
def test_transformer_writes():
    program = load_example("char_transformer")
    _, loss, unread = program.train()
    assert loss < 1.3 and unread < 2.2
