"""Who may import whom: the layers hold, there are no cycles, and importing the package loads nothing else."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

PACKAGE = ROOT / "src" / "vivace"


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def in_type_checking(tree: ast.Module) -> set[ast.AST]:
    guarded: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for statement in node.body:
                guarded.update(ast.walk(statement))
    return guarded


def in_functions(tree: ast.Module) -> set[ast.AST]:
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner.update(ast.walk(node))
    return inner


def imports_of(path: Path) -> set[str]:
    """Our modules that are imported when this one is: not those for types only or inside functions."""
    tree = ast.parse(path.read_text())
    skipped = in_type_checking(tree) | in_functions(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else node.module)
    return found & MODULES.keys()


def test_there_are_no_import_cycles() -> None:
    graph = {name: imports_of(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "cycle: " + " -> ".join([*trail, name])
        if name not in done:
            for wanted in graph[name]:
                visit(wanted, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_layers_contract_is_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed in this environment")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    answer = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert answer.returncode == 0, answer.stdout


LOADED = """
import sys
import vivace
heavy = {"asyncio", "click", "msgspec", "multipart", "uvloop", "vivace"}
print(sorted(name for name in sys.modules if name.split(".")[0] in heavy))
"""

LISTED = """
import vivace
for name in vivace.__all__:
    getattr(vivace, name)
print(sorted(set(vivace.__all__) - set(dir(vivace))))
"""

COST = """
import time
before = time.process_time()
import vivace
print(round((time.process_time() - before) * 1000))
"""


def printed(code: str) -> str:
    """What a fresh interpreter prints that runs `code`."""
    argv = [sys.executable, "-c", code]
    return subprocess.run(
        argv, capture_output=True, text=True, check=True, env=clean_environment()
    ).stdout.strip()


def test_importing_the_package_loads_nothing_else() -> None:
    assert printed(LOADED) == "['vivace', 'vivace._build']"


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    assert printed(LISTED) == "[]"


def test_the_import_costs_at_most_50_ms_of_cpu() -> None:
    assert min(int(printed(COST)) for _ in range(5)) <= 50
