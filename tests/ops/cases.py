"""The table of primitives: one row or more for each, from every `cases_<family>.py` beside this file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.ops.case import Case

FAMILIES = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
CASES: list[Case] = [
    case for family in FAMILIES for case in import_module(f"tests.ops.{family}").CASES
]
