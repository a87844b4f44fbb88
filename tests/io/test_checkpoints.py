"""R74 to R76 for directories: whole checkpoints or none, the newest and the best kept, exact resume."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import CheckpointError
from funcgrad.io import CheckpointManager, directories
from tests.io.failing_calls import Failing

TREE = {"w": np.arange(6.0).reshape(2, 3), "step": 3, "key": np.array([0, 7], np.uint32)}


@pytest.fixture
def manager(tmp_path):
    with CheckpointManager(tmp_path / "run", keep=3) as found:
        yield found


def filled(step):
    return {"x": np.full(1000, float(step))}


# --- what is kept ---


def test_round_trip(manager):
    path = manager.save(3, TREE, metrics={"loss": np.float32(0.5)}, meta={"epoch": 1, "seed": [1]})
    assert path.name == "step_00000003" and (path / "commit_success").is_file()
    restored = manager.restore(TREE)
    assert fg.tree_equal(restored, TREE) and type(restored["step"]) is int
    assert fg.tree_equal(manager.restore(), TREE)
    manifest = manager.manifest()
    assert manifest["metrics"] == {"loss": 0.5} and manifest["meta"] == {"epoch": 1, "seed": [1]}
    assert manifest["arrays"]["w"] == "float64[2,3]" and "python" in manifest["versions"]


def test_newest_are_kept(manager):
    for step in (1, 5, 20, 300_000_000):
        manager.save(step, filled(step))
    assert manager.steps() == [5, 20, 300_000_000] and manager.latest() == 300_000_000
    assert manager.restore(filled(0), step=5)["x"][0] == 5


@pytest.mark.parametrize(("mode", "best"), [("min", [2, 5]), ("max", [1, 4])])
def test_best_are_kept(tmp_path, mode, best):
    manager = CheckpointManager(tmp_path, keep=1, keep_best=2, metric="loss", mode=mode)
    for step, loss in enumerate((0.9, 0.1, 0.5, 0.8, 0.2, np.nan), 1):
        manager.save(step, filled(step), metrics={"loss": loss})
    assert manager.best() == best[0] and manager.steps() == [*best, 6]
    assert manager.restore(filled(0), step=manager.best())["x"][0] == best[0]


def test_everything_is_kept(tmp_path):
    manager = CheckpointManager(tmp_path, keep=None)
    for step in range(5):
        manager.save(step, filled(step))
    assert manager.steps() == [0, 1, 2, 3, 4]


def test_a_step_is_replaced(manager):
    manager.save(1, filled(1))
    manager.save(1, filled(2))
    assert manager.steps() == [1] and manager.restore()["x"][0] == 2
    assert not list(manager.directory.glob(".old-*"))


def test_nothing_to_restore(manager):
    assert manager.latest() is manager.best() is None
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        manager.restore()
    manager.save(1, filled(1))
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 2 .* there are \[1\]"):
        manager.restore(step=2)


# --- damage ---


def damage(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_damage_is_noticed(manager):
    for step in (1, 2):
        manager.save(step, filled(step))
    damage(manager.directory / "step_00000002" / "tree.safetensors")
    with pytest.raises(CheckpointError, match=r"checksum .* Other checkpoints: \[1\]"):
        manager.restore()
    assert manager.restore(step=1)["x"][0] == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2}', "[" * 100_000, json.dumps({"format": 1, "step": "1"}), "\xff"],
)
def test_damaged_manifest(manager, text):
    manager.save(1, filled(1))
    (manager.directory / "step_00000001" / "MANIFEST.json").write_text(text, "latin-1")
    with pytest.raises(CheckpointError):
        manager.restore()


def test_manifest_names_no_other_files(manager):
    path = manager.save(1, filled(1)) / "MANIFEST.json"
    content = json.loads(path.read_text())
    content["files"]["../../secret"] = {"size": 0, "blake2b": ""}
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="no file of ours"):
        manager.restore()


def test_changed_model(manager):
    manager.save(1, {"w": np.zeros(3)})
    with pytest.raises(CheckpointError, match="w: the file has"):
        manager.restore({"w": np.zeros(4)})


# --- failures and kills while saving ---


@pytest.mark.parametrize("name", ["urandom", "rename"])
def test_failure_at_every_call(manager, monkeypatch, name):
    manager.save(1, filled(1))
    failures = 0
    while True:
        monkeypatch.setattr(directories, "os", Failing(name, failures + 1))
        try:
            manager.save(1, filled(2))
        except OSError:
            failures += 1
            monkeypatch.undo()
            assert manager.steps() in ([1], [])  # replacing is the only thing that is not one step
            assert not list(manager.directory.glob(".tmp-*"))
            manager.save(1, filled(1))
        else:
            break
    assert failures and manager.restore()["x"][0] == 2


KILLED = """
import sys
import numpy as np
from funcgrad.io import CheckpointManager
manager = CheckpointManager(sys.argv[1], keep=2)
step = manager.latest() or 0
print("ready", flush=True)
while True:
    step += 1
    manager.save(step, {"x": np.full(20_000, float(step)), "step": step})
"""


def test_kill_at_any_time(tmp_path):
    manager, random = CheckpointManager(tmp_path, keep=2), np.random.default_rng(0)
    manager.save(1, {"x": np.full(20_000, 1.0), "step": 1})
    manager.close()
    last = 1
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
        found = manager.restore()
        assert found["step"] >= last and (found["x"] == found["step"]).all()
        last = found["step"]
    manager.save(last + 1, {"x": np.zeros(1), "step": last + 1})
    assert not list(tmp_path.glob(".old-*"))


def test_leftovers_are_swept(manager):
    manager.save(1, filled(1))
    stale, young = manager.directory / ".tmp-a", manager.directory / ".tmp-b"
    linked, target = manager.directory / ".old-link", manager.directory.parent / "precious"
    for leftover in (stale, young, target):
        leftover.mkdir()
    linked.symlink_to(target)
    os.utime(stale, (0, 0))
    manager.save(2, filled(2))
    assert not stale.exists() and young.exists() and target.exists() and linked.is_symlink()


def test_half_a_checkpoint_does_not_count(manager):
    manager.save(1, filled(1))
    (manager.directory / "step_00000002").mkdir()
    os.symlink(manager.directory / "step_00000001", manager.directory / "step_00000003")
    assert manager.steps() == [1]
    manager.save(4, filled(4))
    assert manager.steps() == [1, 4] and not (manager.directory / "step_00000002").exists()
    assert (manager.directory / "step_00000003").is_symlink()


# --- two writers ---


def test_two_writers(manager):
    manager.save(1, filled(1))
    other = CheckpointManager(manager.directory)
    assert other.restore()["x"][0] == 1
    with pytest.raises(BlockingIOError, match="writes to"):
        other.save(2, filled(2))
    manager.close()
    other.save(2, filled(2))
    other.close()


# --- arguments ---


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="keep must be"):
        CheckpointManager(tmp_path, keep=0)
    with pytest.raises(ValueError, match="mode must be"):
        CheckpointManager(tmp_path, mode="least")
    with pytest.raises(ValueError, match="name of a metric"):
        CheckpointManager(tmp_path, keep_best=1)
    manager = CheckpointManager(tmp_path, keep_best=1, metric="loss")
    with pytest.raises(ValueError, match="metrics must have 'loss'"):
        manager.save(1, filled(1))
    with pytest.raises(TypeError, match="step must be an int"):
        manager.save(1.5, filled(1), metrics={"loss": 1})
    with pytest.raises(TypeError, match="what JSON holds"):
        manager.save(1, filled(1), metrics={"loss": 1}, meta={"key": np.zeros(1)})
    assert manager.steps() == [] and not list(tmp_path.glob(".tmp-*"))
    manager.close()
