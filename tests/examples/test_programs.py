"""The small example programs: each runs, and its loss falls as far as it should."""

import subprocess
import sys

import pytest

from tests.examples.loading import EXAMPLES, load_example

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

# Loss after 500 steps; the three programs start at losses of millions, hundreds and millions.
GOALS = {"two_layer_numpy": 1e-5, "two_layer_sequential": 1e-9, "custom_relu": 1e-5}


@pytest.mark.parametrize("name", GOALS)
def test_program_learns(name):
    lines = []
    losses = load_example(name).train(steps=500, report=lines.append)
    assert len(losses) == 500 and len(lines) == 5 and lines[-1].startswith("step  500   loss")
    assert losses[0] > 100 and losses[-1] < GOALS[name]


def test_hand_written_rule_is_used_and_equals_the_usual_one():
    plain, custom = load_example("two_layer_numpy"), load_example("custom_relu")
    first, second = plain.train(20, report=print), custom.train(20, report=print)
    assert first == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize("name", GOALS)
def test_program_runs_from_the_command_line(name):
    command = [sys.executable, EXAMPLES / f"{name}.py", "--steps", "100"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("step  100   loss") and not result.stderr
