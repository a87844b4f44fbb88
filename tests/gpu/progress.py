"""A plugin of pytest for `tests/gpu/check.py`: notes each test as it begins and ends, and stops where CUDA is lost.

A line of JSON goes to the file that FUNCGRAD_GPU_PROGRESS names, so that nothing is lost by a crash. FUNCGRAD_GPU_PART
chooses tests: "1/4" is the second of four parts. FUNCGRAD_GPU_DONE names a file with a list of those to be left out.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import pytest

LOST = 99  # the exit code of a process whose device answers no more
# What an error of a kernel leaves behind: whatever this process asks the device for from now on fails as well.
LOST_CONTEXT = (
    "cudaErrorIllegalAddress",
    "cudaErrorLaunchFailure",
    "cudaErrorMisalignedAddress",
    "cudaErrorIllegalInstruction",
    "cudaErrorAssert",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
)


def is_lost(text: str) -> bool:
    """Whether an error says that the device can be used no more in this process."""
    return any(name in text for name in LOST_CONTEXT)


def note(**fields: object) -> None:
    """A line for `check.py`, if it has started this process."""
    if "FUNCGRAD_GPU_PROGRESS" not in os.environ:
        return
    with open(os.environ["FUNCGRAD_GPU_PROGRESS"], "a") as file:
        file.write(json.dumps(fields) + "\n")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, os.environ["FUNCGRAD_GPU_PART"].split("/"))
    done = set(json.loads(Path(os.environ["FUNCGRAD_GPU_DONE"]).read_text()))
    chosen, others = [], []
    for item in items:
        is_here = zlib.crc32(item.nodeid.encode()) % parts == part
        (chosen if is_here and item.nodeid not in done else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


def pytest_runtest_logstart(nodeid):
    note(test=nodeid, outcome="begun")


def pytest_runtest_logreport(report):
    if report.when != "call" and report.outcome == "passed":
        return
    text = "" if report.passed else report.longreprtext
    note(test=report.nodeid, outcome=report.outcome, seconds=report.duration, text=text[-4000:])
    if is_lost(text):
        pytest.exit("CUDA is lost in this process", returncode=LOST)
