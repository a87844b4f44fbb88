"""What packages offer is marked as theirs, so that type checkers and editors offer it too."""

import ast
from pathlib import Path

import pytest

import funcgrad as fg

PACKAGE = Path(fg.__file__).parent
LISTS = [
    *[f"{name}/__init__.py" for name in ("nn", "optim", "random", "distributions", "train")],
    *["optim/contrib/__init__.py", "optim/tree/__init__.py", "nn/losses/names.py"],
    *["numpy/linalg/__init__.py", "numpy/fft/__init__.py", "scipy/linalg/__init__.py"],
]


@pytest.mark.parametrize("file", LISTS)
def test_names_are_exported(file):
    """PEP 484: in a typed package `import A` is private, `import A as A` is public."""
    nodes = ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body
    names = [alias for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert names and not [one.name for one in names if one.asname is None and one.name != "*"]


def test_names_of_losses_are_all_in_both_places():
    names = {name for name in vars(fg.nn.losses.names) if not name.startswith("_")}
    assert "cross_entropy" in names and "MSELoss" in names
    for namespace in (fg.nn, fg.nn.losses):
        assert all(getattr(namespace, name) is getattr(fg.nn.losses.names, name) for name in names)
