"""Modules import only from packages below their own, without circles, and at the top of the file.

ORDER is the order of docs/en/explanation/architecture.md. A new package of src/elman has to be added to both.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
BASE = (
    "errors language catalogue environment parsing results one_line numba_jit files workers bfloat16 arrays "
    "matmul_precision backend"
)
ORDER = [  # lowest first; the packages and modules of one line may import each other
    BASE,
    "text",
    "layers",
    "models",
    "formats",
    "evaluation",
    "generation plots",
    "text_model kenlm_compat gradcheck",
    "training",
    "rescoring",
    "inspection",
    "benchmark",
    "web",
    "figures",
    "serving",
    "recording",
    "api",
    "cli",
    "__main__",
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names.split()}
MAY_IMPORT_THE_ROOT = {"formats", "benchmark", "cli", "recording", "serving"}  # for elman.__version__
START = "a command loads what it needs when it runs: `elman --help` starts at once, and extras stay optional"
LATE = {  # modules that import from elman inside a function, and why
    "elman.api.serve": "serving needs an extra",
    "elman.benchmark.worker": "benchmarks/ uses its loop for other libraries, whose memory is measured without this",
    "elman.cli": START,
    "elman.language": "in English the catalogue is not read",
    "elman.cli.demo": START,
    "elman.cli.plot": START,
    "elman.cli.replay": START,
    "elman.cli.serve": START,
}


@dataclass(frozen=True)
class Import:
    """One imported module of elman: who imports it, where, and whether inside a function."""

    importer: str
    imported: str
    line: int
    inside_function: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


def package(module: str) -> str:
    """Return the part of a module's name that ORDER lists: `layers` for elman.layers.lstm; empty for elman."""
    return [*module.split("."), ""][1]


@cache
def modules() -> dict[str, Path]:
    """Return every module of elman with its file."""
    found = {}
    for path in sorted((SOURCE / "elman").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Yield the modules of elman that a source imports; a name taken from a package counts as a module if it is one."""

    def visit(node: ast.AST, inside: bool) -> Iterator[Import]:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: write the module's whole name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else str(node.module) for name in whole]
        for name in dict.fromkeys(names):
            if name.split(".")[0] == "elman":
                yield Import(module, name, node.lineno, inside)  # type: ignore[attr-defined]
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), False)


@cache
def all_imports() -> tuple[Import, ...]:
    """Return every import between modules; those of the root, which loads its names lazily, are left out."""
    found: list[Import] = []
    for module, path in modules().items():
        if module != "elman":
            found += imports_of(module, path.read_text("utf-8"))
    return tuple(found)


def goes_up(each: Import) -> bool:
    """Return whether an import goes to a package above the importer's own."""
    importer, imported = package(each.importer), package(each.imported)
    if not imported:
        return importer not in MAY_IMPORT_THE_ROOT
    if importer == "layers" and imported != "layers":
        return imported not in BASE.split()
    return LEVEL[imported] > LEVEL[importer]


def circle(imports: list[Import]) -> list[str]:
    """Return the modules of one circle of imports, if there is one."""
    graph: dict[str, set[str]] = {}
    for each in imports:
        if each.imported != each.importer:
            graph.setdefault(each.importer, set()).add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package(module) for module in modules() if module != "elman"} <= set(LEVEL)


def test_imports_go_down() -> None:
    assert [str(each) for each in all_imports() if goes_up(each)] == []


def test_imports_make_no_circle() -> None:
    assert circle(list(all_imports())) == []


def test_imports_are_at_the_top_of_the_file() -> None:
    late = [str(each) for each in all_imports() if each.inside_function and each.importer not in LATE]
    assert late == [], "move them up, or name the module in LATE with the reason"
    assert {each.importer for each in all_imports() if each.inside_function} == set(LATE), "trim LATE"


@pytest.mark.parametrize(
    "source",
    [
        "import elman.cli",
        "def f():\n    from elman.training.run import TrainingRun",
        "from elman import training",
        "from elman import __version__",
    ],
)
def test_an_upward_import_is_noticed(source: str) -> None:
    (found,) = imports_of("elman.text.corpus", source)
    assert goes_up(found)
    assert found.inside_function == source.startswith("def")


def test_layers_may_not_import_text() -> None:
    (found,) = imports_of("elman.layers.lstm", "from elman.text import corpus")
    assert goes_up(found)
    assert not goes_up(Import("elman.layers.lstm", "elman.arrays", 1, False))


def test_a_circle_is_noticed() -> None:
    pairs = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]
    assert set(circle([Import(*pair, 1, False) for pair in pairs])) == {"a", "b", "c"}
