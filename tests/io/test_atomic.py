"""R74, R75: whatever happens while saving, the file is the old one or the new one."""

import errno
import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from funcgrad.io import atomic, load, save
from tests.io.failing_calls import Failing

OLD, NEW = {"x": np.zeros(1000)}, {"x": np.ones(1000)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.safetensors"
    save(path, OLD)
    return path


def is_alone(path):
    return os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", ["open", "fsync", "replace"])
def test_r74_failure_at_every_call(path, monkeypatch, name):
    failures = 0
    while True:
        monkeypatch.setattr(atomic, "os", Failing(name, failures + 1))
        try:
            save(path, NEW)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            failures += 1
            assert load(path)["x"].sum() in (0, 1000)
            assert is_alone(path)
            save_was_undone = load(path)["x"].sum() == 0
            assert save_was_undone or failures > 1  # only the directory's fsync comes after
            monkeypatch.undo()
            save(path, OLD)
        else:
            break
    assert failures == {"open": 2, "fsync": 2, "replace": 1}[name]
    assert load(path)["x"].sum() == 1000


def test_r74_disk_full_while_writing(path, monkeypatch):
    class Full:
        def __init__(self, descriptor, mode):
            self.file = open(descriptor, mode)  # noqa: SIM115 - closed by `__exit__`

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            self.file.close()

        def write(self, data):
            self.file.write(data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        save(path, NEW)
    assert load(path)["x"].sum() == 0 and is_alone(path)


KILLED = """
import sys
import numpy as np
from funcgrad.io import save
number = 0
print("ready", flush=True)
while True:
    number += 1
    save(sys.argv[1], {"x": np.full(50_000, float(number))})
"""


def test_r74_kill_at_any_time(tmp_path):
    path = tmp_path / "file.safetensors"
    save(path, {"x": np.zeros(50_000)})
    random = np.random.default_rng(0)
    process = None
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.0, 0.03))
        process.kill()
        process.wait()
        process.stdout.close()
        found = load(path)["x"]
        assert (found == found[0]).all()


def test_leftovers_of_killed_processes_are_swept(path):
    old, young = path.parent / ".funcgrad-00.tmp", path.parent / ".funcgrad-11.tmp"
    linked = path.parent / ".funcgrad-22.tmp"
    for leftover in (old, young):
        leftover.write_bytes(b"half")
    linked.symlink_to(old)
    os.utime(old, (0, 0))
    save(path, NEW)
    assert not old.exists() and young.exists() and linked.is_symlink()


def test_r74_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path / "file", OLD)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640


def test_r75_a_link_in_the_place_of_the_temporary_file_is_not_followed(path, monkeypatch):
    victim = path.parent / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(atomic.os, "urandom", bytes)
    (path.parent / ".funcgrad-0000000000000000.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        save(path, NEW)
    assert victim.read_bytes() == b"precious" and load(path)["x"].sum() == 0


def test_r75_a_link_at_the_path_is_replaced_and_not_followed(path):
    link = path.parent / "link.safetensors"
    link.symlink_to(path)
    save(link, NEW)
    assert not link.is_symlink()
    assert load(path)["x"].sum() == 0 and load(link)["x"].sum() == 1000


def test_two_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "file.safetensors"
    code = KILLED.replace("while True", "while number < 30")
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert load(path)["x"][0] == 30 and is_alone(path)


def test_missing_directory_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "nowhere" / "file", OLD)


def test_arrays_of_any_order_are_unchanged_by_saving(path):
    array = np.arange(6.0).reshape(2, 3).T
    array.flags.writeable = False
    save(path, {"x": array})
    assert array.flags.f_contiguous and not array.flags.writeable
