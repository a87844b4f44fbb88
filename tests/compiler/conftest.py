"""Every Program that these tests record is checked after tracing and after each stage."""

import pytest

from funcgrad.config import config
from tests.compiler.dispatched import record_programs


@pytest.fixture(autouse=True)
def checked_programs():
    with config.override(check_programs=True):
        yield


@pytest.fixture
def programs(monkeypatch):
    """All programs that are made in a test of the dispatcher, in order."""
    return record_programs(monkeypatch)
