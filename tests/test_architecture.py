"""The rules of CONTRIBUTING.md that a reader of the sources alone can check."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]
ROOMS = ("distill", "engines", "export", "models", "validate")
MAX_LINES = 400
#: Of a function, without its signature and docstring.
MAX_STATEMENTS = 45

#: What everybody may import: modules that import nothing heavy themselves.
COMMON = ("m3compress", "m3compress.errors", "m3compress.extras", "m3compress.units")
CONTRACT = "m3compress.contract"
ANALYSIS = "m3compress.analysis"
#: What else each room may import, besides itself and the contract.
MAY_IMPORT = {
    "models": (),
    "distill": (ANALYSIS, "m3compress.models", "m3compress.engines.dynamics"),
    "export": ("m3compress.models",),
    "engines": (),
    "validate": (
        ANALYSIS,
        "m3compress.engines",
        "m3compress.models",
        # What counts as agreement, for who exports and who judges.
        "m3compress.export.parity",
        "m3compress.export.draws",
        # What a block is worth, for who takes it out and who judges.
        "m3compress.distill.share",
    ),
}
#: Modules outside the rooms that may import ``validate``.
GATEKEEPERS = (
    "m3compress.commands",
    "m3compress.__main__",
    "m3compress.gate_app",
    "m3compress.pytest_plugin",
)
#: Never imported by the engines: a machine that only runs exported files does not have them.
COMPILE_TIME = ("torch", "onnx", "onnxscript", "safetensors", "scipy", "matgl", "huggingface_hub")

#: What may be imported in a function all the same: SciPy comes with ASE, and is slow to import.
IN_FUNCTIONS = {"m3compress.engines.conformance.operations": "scipy.spatial.transform"}

#: TorchSim's own tensors are those of torch.
WITH_TORCH = ("m3compress.engines.codes.torchsim", "m3compress.engines.conformance.codes.torchsim")


@cache
def modules() -> dict[str, Path]:
    """Every module of the import package and its file."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).glob("*.py")):
            name = package if path.stem == "__init__" else f"{package}.{path.stem}"
            found[name] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(), filename=str(modules()[module]))


def imports(module: str) -> Iterator[str]:
    """Full names of everything that a module imports, wherever in it the import stands."""
    is_package = modules()[module].stem == "__init__"
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            parents = parts[: len(parts) - node.level + is_package] if node.level else []
            source = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full in modules() else source


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if is_inside(module, f"m3compress.{room}")), None)


def is_program(module: str) -> bool:
    """Whether the module is run by itself (``python -m``), and so may configure its log."""
    return '\nif __name__ == "__main__":' in modules()[module].read_text()


def calls(module: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.Call))


def test_the_sources_are_found():
    assert len(modules()) > 20
    assert {room_of(module) for module in modules()} == {None, *ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    own = f"m3compress.{room}"
    allowed = (own, CONTRACT, *MAY_IMPORT[room])
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if is_inside(module, own)
        for name in imports(module)
        if is_inside(name, "m3compress")
        and name not in COMMON
        and not any(is_inside(name, package) for package in allowed)
    ]
    assert not wrong


def test_only_the_command_line_imports_the_gate():
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if room_of(module) != "validate"
        and not any(is_inside(module, keeper) for keeper in GATEKEEPERS)
        for name in imports(module)
        if is_inside(name, "m3compress.validate")
    ]
    assert not wrong


@pytest.mark.parametrize(("own", "allowed"), [(CONTRACT, ()), (ANALYSIS, (CONTRACT,))])
def test_contract_and_analysis_know_no_room(own, allowed):
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if is_inside(module, own)
        for name in imports(module)
        if is_inside(name, "m3compress")
        and name not in COMMON
        and not any(is_inside(name, package) for package in (own, *allowed))
    ]
    assert not wrong


def test_engines_and_the_contract_do_without_compile_time_packages():
    runtime = [m for m in modules() if room_of(m) == "engines" or is_inside(m, CONTRACT)]
    wrong = [
        f"{module} imports {name}"
        for module in (*runtime, *COMMON)
        for name in imports(module)
        if any(is_inside(name, package) for package in COMPILE_TIME)
        and name != IN_FUNCTIONS.get(module)
        and not (module in WITH_TORCH and is_inside(name, "torch"))
    ]
    assert not wrong


def test_analysis_does_without_networks():
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        if is_inside(module, ANALYSIS)
        for name in imports(module)
        if any(is_inside(name, package) for package in COMPILE_TIME if package != "scipy")
    ]
    assert not wrong


def test_no_import_circles():
    # Those in functions and for type checkers count too; the package's own lazy ones do not.
    edges = {
        module: {name for name in imports(module) if name in modules()} - {module}
        for module in modules()
        if module != "m3compress"
    }
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_modules_are_short():
    lengths = {module: len(path.read_text().splitlines()) for module, path in modules().items()}
    assert {module: n for module, n in lengths.items() if n > MAX_LINES} == {}


def test_tests_and_benchmarks_are_short():
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {str(path): n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_functions_are_short():
    lengths = {
        f"{module}.{function.name}": last - first + 1
        for module, path in modules().items()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for first, last in [body_lines(function)]
    }
    assert {name: n for name, n in lengths.items() if n > MAX_STATEMENTS} == {}


def body_lines(function: ast.FunctionDef) -> tuple[int, int]:
    """First and last line of a function without its signature and docstring."""
    statements = function.body
    if ast.get_docstring(function) is not None and len(statements) > 1:
        statements = statements[1:]
    return statements[0].lineno, statements[-1].end_lineno or statements[-1].lineno


def test_modules_are_named_after_what_they_hold():
    vague = {"utils", "util", "helpers", "misc", "common"}
    assert [module for module in modules() if module.rpartition(".")[2] in vague] == []


def test_no_print_outside_the_commands():
    wrong = [
        f"{module}:{call.lineno}"
        for module in modules()
        if not is_inside(module, "m3compress.commands")
        for call in calls(module)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert not wrong


def test_no_assert_statements():
    # They vanish under -O, and a traceback is no answer to a user.
    wrong = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Assert)
    ]
    assert not wrong


def test_the_root_logger_is_left_alone():
    # logging.info(...) and the like, logging.basicConfig(...), logging.getLogger() without a name.
    on_root = {"debug", "info", "warning", "error", "exception", "critical", "log", "basicConfig"}
    wrong = [
        f"{module}:{call.lineno}"
        for module in modules()
        for call in calls(module)
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "logging"
        and (call.func.attr in on_root or (call.func.attr == "getLogger" and not call.args))
        and not (call.func.attr == "basicConfig" and is_program(module))
    ]
    assert not wrong


def test_every_package_folder_is_listed():
    # An unlisted one imports in an editable install and is absent from the wheel.
    tops = {folder.partition("/")[0] for folder in FOLDERS.values()}
    on_disk = {
        path.parent.relative_to(ROOT).as_posix()
        for top in tops
        for path in (ROOT / top).rglob("*.py")
    }
    assert on_disk == set(FOLDERS.values())
    assert sorted(SETUPTOOLS["packages"]) == sorted(FOLDERS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_guards_against_being_imported_as_a_top_level_package(room):
    guard = f'if __name__ != "m3compress.{room}":\n    raise ImportError('
    assert guard in (ROOT / room / "__init__.py").read_text()
