"""The shape of the package: layers, imports, docstrings, and a test row for every primitive."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "funcgrad"
FILES = sorted(PACKAGE.rglob("*.py"))

# Lowest first. A module imports from its own layer and from those below it.
LAYERS = [
    {"tree", "tree_util", "errors", "config"},
    {"ir"},
    {"ops"},
    {"compiler"},
    {"transforms"},
    {"control"},
    {"numpy", "lax", "random", "scipy", "flatten_util", "debug", "test_util", "device"},
    {"nn", "optim", "io", "distributions", "train"},
    {"__init__", "__main__"},
]
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

# Third-party packages that are optional or slow to import: these may be imported inside a function.
LATE_PACKAGES = {
    "cupy", "cupyx", "nvmath", "cudnn", "mpi4py", "llvmlite", "scipy", "ml_dtypes", "safetensors",
    "matplotlib", "tqdm", "threadpoolctl",
}  # fmt: skip

# Primitives that no row can run: they mean something only inside another transformation.
WITHOUT_A_ROW = {
    "run_time_iota",  # an axis without a length in its type: it is known when it runs
    "empty_stack",  # the same
    "add_stacks",  # the same
    "sum_if_varying",  # asks which of its operands vary along a named axis
}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def short_path(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def layer(module: str) -> int:
    parts = module.split(".")
    return LAYER_OF[parts[1] if len(parts) > 1 else "__init__"]


def imported_modules(node: ast.AST, importer: str) -> Iterator[str]:
    """The full names of the modules that one import statement loads."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            is_package = MODULES[importer].name == "__init__.py"
            parts = importer.split(".")
            parent = parts[: len(parts) - node.level + is_package]
            base = ".".join([*parent, *([node.module] if node.module else [])])
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            yield submodule if submodule in MODULES else base


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node below `tree` except those that only a type checker reads."""
    for child in ast.iter_child_nodes(tree):
        if not is_type_checking(child):
            yield child
            yield from run_time_nodes(child)


def own_imports(nodes: Iterator[ast.AST], importer: str) -> set[str]:
    names = (name for node in nodes for name in imported_modules(node, importer))
    return {name for name in names if name in MODULES and name != importer}


def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", list(MODULES))
def test_module_belongs_to_a_layer(module):
    parts = module.split(".")
    assert len(parts) == 1 or parts[1] in LAYER_OF, f"add {parts[1]!r} to LAYERS in this file"


@pytest.mark.parametrize("module", list(MODULES))
def test_imports_point_down(module):
    imports = own_imports(ast.walk(parse(module)), module)
    upward = sorted(name for name in imports if layer(name) > layer(module))
    assert not upward, f"{module} imports from a layer above it: {upward}"


def test_no_import_cycle():
    graph = {module: own_imports(run_time_nodes(parse(module)), module) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("module", list(MODULES))
def test_no_import_inside_a_function(module):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    late = {
        f"line {node.lineno}: {name}"
        for function in ast.walk(parse(module))
        if isinstance(function, functions)
        for node in ast.walk(function)
        for name in imported_modules(node, module)
        if name.split(".")[0] not in LATE_PACKAGES
    }
    assert not late, f"{module} imports inside a function: {sorted(late)}"


# Imported by name when first needed: what only a compilation uses, which a start with a warm cache does without.
IMPORTED_BY_NAME = {
    "funcgrad.compiler.cache",
    "funcgrad.compiler.native",
    "funcgrad.compiler.stages",
    "funcgrad.compiler.cuda.listing",
    "funcgrad.compiler.cuda.stages",
    "funcgrad.compiler.cuda.runtime.callable",
    "funcgrad.compiler.cuda.runtime.cuda_device",
    "funcgrad.compiler.llvm.fourier.passes",
    "funcgrad.compiler.llvm.linalg.library",
    "funcgrad.compiler.llvm.products.dot_library",
    "funcgrad.compiler.llvm.windows.conv_library",
}


def test_imports_by_name_find_their_modules():
    named = {
        node.value
        for module in MODULES
        for node in ast.walk(parse(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value in MODULES and node.value.startswith("funcgrad.compiler.")
    }
    assert named == IMPORTED_BY_NAME


@pytest.mark.parametrize("module", list(MODULES))
def test_module_says_what_it_is_for(module):
    assert ast.get_docstring(parse(module)), f"{short_path(MODULES[module])} has no docstring"


@pytest.mark.parametrize("file", [short_path(file) for file in FILES])
def test_architecture_page_lists_the_file(file):
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    entry = file.removesuffix("__init__.py") or "__init__.py"
    listed = re.search(rf"(?<![\w/])(funcgrad/)?{re.escape(entry)}(?!\w)", page)
    assert listed, f"ARCHITECTURE.md has no line for funcgrad/{file}"


# --- the package as imported ---


def all_modules() -> list:
    package = importlib.import_module("funcgrad")
    found = pkgutil.walk_packages(package.__path__, prefix="funcgrad.")
    return [package, *(importlib.import_module(info.name) for info in found)]


def public_names(namespace) -> list[str]:
    listed = getattr(namespace, "__all__", None)
    return listed or [name for name in vars(namespace) if not name.startswith("_")]


def public_namespaces() -> Iterator:
    package = importlib.import_module("funcgrad")
    yield package
    for name in public_names(package):
        value = getattr(package, name)
        if inspect.ismodule(value) and value.__name__.startswith("funcgrad."):
            yield value


def has_own_docstring(value) -> bool:
    """Whether somebody wrote the docstring: those of dataclasses are made from the signature."""
    text = value.__doc__
    if inspect.isclass(value):
        return bool(text) and not text.startswith(f"{value.__name__}(")
    return bool(text) and text != type(value).__doc__


def is_ours(value) -> bool:
    home = getattr(value, "__module__", None)
    return callable(value) and isinstance(home, str) and home.split(".")[0] == "funcgrad"


def test_public_names_have_docstrings():
    missing = sorted(
        f"{namespace.__name__}.{name}"
        for namespace in public_namespaces()
        for name in public_names(namespace)
        if is_ours(value := getattr(namespace, name)) and not has_own_docstring(value)
    )
    assert not missing, f"public names without a docstring: {missing}"


def first_order_primitives(cls: type) -> Iterator[type]:
    """The classes that describe one operation: a class is a family base or final, never both."""
    for subclass in cls.__subclasses__():
        yield from first_order_primitives(subclass)
        ours = subclass.__module__.startswith("funcgrad.")
        if ours and not subclass.__subclasses__() and subclass.kind != "higher_order":
            yield subclass


def test_every_primitive_has_a_row():
    all_modules()
    primitive = importlib.import_module("funcgrad.ir.primitive").Primitive
    cases = importlib.import_module("tests.ops.cases").CASES
    tested = {case.primitive for case in cases}
    names = {cls.name for cls in first_order_primitives(primitive)}
    assert names >= WITHOUT_A_ROW, "WITHOUT_A_ROW names primitives that do not exist"
    missing = sorted(names - tested - WITHOUT_A_ROW)
    assert not missing, f"primitives without a row in tests/ops/cases.py: {missing}"


@pytest.mark.parametrize(
    "package", ["cupy", "jax", "torch", "matplotlib", "scipy", "llvmlite", "sklearn"]
)
def test_import_stays_light(package):
    code = f"import sys, funcgrad; sys.exit({package!r} in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr or f"import funcgrad loads {package}"
