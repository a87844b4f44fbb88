"""`docs/errors.md`: every page that a message names exists, and every snippet on it runs."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import funcgrad as fg
from funcgrad import errors

ROOT = Path(fg.__file__).parents[1]
PAGE = ROOT / "docs" / "errors.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
INTRODUCTION = TEXT.split("\n## ")[0]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages_in_the_code():
    found = set()
    for file in (ROOT / "funcgrad").rglob("*.py"):
        found |= set(re.findall(r'page="([^"]+)"', file.read_text(encoding="utf-8")))
    return sorted(found)


@pytest.mark.parametrize("page", pages_in_the_code())
def test_every_page_that_a_message_names_has_a_section(page):
    assert page in SECTIONS


@pytest.mark.parametrize(
    "name", [n for n in errors.__all__ if n not in ("compose", "ProgramError")]
)
def test_every_error_class_is_explained(name):
    parents = {"ConcretizationTypeError", "KeyReuseError"}
    assert name in TEXT or name in parents, f"docs/errors.md does not explain {name}"


NEEDS_TWO_DEVICES = {"mixed-devices"}


@pytest.mark.parametrize("section", sorted(set(SECTIONS) - NEEDS_TWO_DEVICES))
def test_section_fails_and_then_works(section):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    text = INTRODUCTION + SECTIONS[section]
    test = parser.get_doctest(text, {}, f"docs/errors.md#{section}", str(PAGE), 0)
    examples = parser.get_examples(SECTIONS[section])
    if section != "key-reuse":
        assert any(example.exc_msg for example in examples), "no snippet that fails"
    assert any(example.want and not example.exc_msg for example in examples), (
        "no snippet that works"
    )
    report: list[str] = []
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
