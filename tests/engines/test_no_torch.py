"""The runtime must work where only the base dependencies are installed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import m3compress.engines
from m3compress import Calculator
from m3compress.models.potential import Potential, evaluate

ROOM = Path(m3compress.engines.__file__).parent
SOURCES = sorted(ROOM.rglob("*.py"))
#: ASE's integrators need SciPy, which ASE brings along.
WITH_SCIPY = "m3compress.engines.dynamics."
#: Likewise, where a structure is turned, or LAMMPS started; the run below shows that the modules
#: load without.
IN_FUNCTIONS = {
    "conformance/operations.py": "scipy.spatial.transform",
    "codes/lammps/opening.py": "lammps",
}

#: MD codes, by the modules that are made for them alone.
CODES = {
    "codes/ipi_driver.py": ("ipi",),
    "codes/openmm.py": ("openmm",),
    "codes/openmm_ml.py": ("openmm", "openmmml"),
    "codes/torchsim.py": ("torch", "torch_sim"),
    "conformance/codes/ipi.py": ("ipi",),
    "conformance/codes/openmm.py": ("openmm",),
    "conformance/codes/torchsim.py": ("torch", "torch_sim"),
}

ALLOWED = {
    "ase", "numpy", "onnxruntime", "pydantic",
    "m3compress.engines", "m3compress.errors", "m3compress.units",
    "m3compress.contract",
}  # fmt: skip

BLOCKED_RUN = """
import sys

blocked = {"torch", "onnx", "onnxscript", "scipy", "matgl", "cupy", "lammps"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())

import importlib
from ase import Atoms

dynamics = [module for module in sys.argv[2:] if module.startswith("WITH_SCIPY")]
for module in set(sys.argv[2:]) - set(dynamics):
    importlib.import_module(module)

from m3compress import Calculator

atoms = Atoms("NaClOSi",
              scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.1], [0.2, 0.6, 0.5], [0.7, 0.1, 0.6]],
              cell=[[4, 0.3, 0], [1, 4, 0.4], [-0.6, 0.8, 4.6]], pbc=True)
atoms.calc = Calculator(sys.argv[1], threads=1)
print(repr(float(atoms.get_potential_energy())), atoms.get_stress().shape == (6,))
assert not {"torch", "onnx", "scipy"} & set(sys.modules)

blocked.remove("scipy")
assert dynamics
for module in dynamics:
    importlib.import_module(module)
assert not {"torch", "onnx"} & set(sys.modules)
""".replace("WITH_SCIPY", WITH_SCIPY)


def test_runs_with_torch_onnx_and_scipy_blocked(artefact: Path, potential: Potential) -> None:
    from ase import Atoms

    modules = [
        ".".join(("m3compress.engines", *source.relative_to(ROOM).with_suffix("").parts))
        for source in SOURCES
        if source.stem != "__init__" and source.relative_to(ROOM).as_posix() not in CODES
    ]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED_RUN, str(artefact), *modules],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    assert done.returncode == 0, done.stderr
    energy, has_stress = done.stdout.split()
    assert has_stress == "True"
    atoms = Atoms(
        "NaClOSi",
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.1], [0.2, 0.6, 0.5], [0.7, 0.1, 0.6]],
        cell=[[4, 0.3, 0], [1, 4, 0.4], [-0.6, 0.8, 4.6]],
        pbc=True,
    )
    assert float(energy) == pytest.approx(evaluate(potential, atoms).energy, abs=2e-5)
    assert float(energy) == Calculator(artefact, threads=1).evaluate(atoms).energy


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_imports_only_what_the_base_install_has(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            allowed = name.split(".")[0] in sys.stdlib_module_names or any(
                name == a or name.startswith(f"{a}.") for a in ALLOWED
            )
            allowed |= name == IN_FUNCTIONS.get(source.relative_to(ROOM).as_posix())
            allowed |= name.split(".")[0] in CODES.get(source.relative_to(ROOM).as_posix(), ())
            assert allowed, f"{source.name} imports {name}"
