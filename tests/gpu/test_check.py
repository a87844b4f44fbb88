"""What `tests/gpu/check.py` makes of tests that pass, fail, crash, hang, or lose the device."""

import json
import re
import time
from pathlib import Path

import pytest

from tests.gpu import check
from tests.gpu.progress import is_lost

TESTS = """
import os, time

def test_passes(): pass
def test_fails(): assert 1 == 2
def test_crashes(): os._exit(7)
def test_loses_the_device(): raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access")
def test_hangs(): time.sleep(1000)
def test_passes_afterwards(): pass
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "test_of_many_kinds.py"
    path.write_text(TESTS)
    return path


def options(*arguments):
    return check.parse(["--marks", "", "--quiet", "5", *arguments])


def test_every_test_has_a_result(file):
    job = check.Job(str(file), 0, 1)
    job.run(options(), time.monotonic() + 120)
    outcomes = {name.partition("::")[2]: found["outcome"] for name, found in job.results.items()}
    assert outcomes == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_crashes": "crashed",
        "test_loses_the_device": "failed",
        "test_hangs": "crashed",
        "test_passes_afterwards": "passed",
    }
    assert not job.troubles
    said = "\n".join(job.lines())
    assert "2 passed" in said and "assert 1 == 2" in said
    assert "exit code 7" in said and "it hung" in said and "illegal memory access" in said


def test_what_was_not_run_is_said(file):
    job = check.Job(str(file), 0, 1)
    job.run(options(), time.monotonic() - 1)
    assert not job.results and "out of time" in "\n".join(job.lines())


def test_a_file_that_cannot_be_read(tmp_path):
    file = tmp_path / "test_broken.py"
    file.write_text("import there_is_no_such_module\n")
    job = check.Job(str(file), 0, 1)
    job.run(options(), time.monotonic() + 60)
    assert not job.results and "there_is_no_such_module" in "\n".join(job.lines())


def test_parts_have_every_test_once(tmp_path, monkeypatch, capsys):
    file = tmp_path / "test_numbers.py"
    file.write_text("\n".join(f"def test_{i}(): pass" for i in range(8)))
    monkeypatch.setattr(check, "FILES", {str(file): 2})
    target = tmp_path / "results.json"
    assert check.main(["--marks", "", "--json", str(target)]) == 0
    assert "all: 8 passed" in capsys.readouterr().out
    known = json.loads(target.read_text())
    assert [len(job["tests"]) > 0 for job in known.values()] == [True, True]


def test_every_file_with_gpu_tests_is_run():
    """A mark, or a fixture with a place on a GPU."""
    found = re.compile(r"pytest\.mark\.gpu|def test_\w+\([^)]*\b(eager|compiled)\b")
    files = Path(check.__file__).parent.glob("test_*.py")
    marked = {f"tests/gpu/{path.name}" for path in files if found.search(path.read_text())}
    assert marked - {"tests/gpu/test_check.py"} == set(check.FILES)


def test_errors_that_lose_the_device():
    assert is_lost("CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access")
    assert is_lost("CUDADriverError: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access")
    assert not is_lost("OutOfMemoryError: Out of memory allocating 8 bytes")
