"""Every Program that these tests record is checked after tracing and after each stage."""

import pytest

from funcgrad.config import config


@pytest.fixture(autouse=True)
def checked_programs():
    with config.override(check_programs=True):
        yield
