"""How near a student comes to its teacher, on rutile and anatase by default, and how much faster.

Runs `m3compress distill` with the structures and temperatures of `docs/distillation.md`, and keeps
its result: errors on trajectories of the teacher that it never saw, what became of its own, and the
time of the processor, in the core that labelled and as ONNX files. A run that was interrupted goes
on. A path of the teacher is absolute, or a name.

    python benchmarks/distillation.py TEACHER --work DIR --student default --minutes 55
    python benchmarks/distillation.py ase:diep.pretrained:make_calculator --system MgO --work DIR
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.io import write
from ase.spacegroup import crystal
from results_file import keep

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.contract.teacher import CALCULATOR_PREFIX, DEFAULT_CUTOFF
from m3compress.distill.data.sampling import Sampling
from m3compress.distill.speed import Speed, compare_speed
from m3compress.engines.calculators import CalculatorSpec
from m3compress.engines.spec import ArtefactSpec
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import supercell_of

RESULTS: Final = Path(__file__).parent / "results" / "distillation.json"
STUDENT: Final = "student.m3c.safetensors"


def titania() -> dict[str, Atoms]:
    """Rutile and anatase (Howard et al., Acta Cryst. B 47, 462)."""
    anatase = crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0, 0, 0.2081)],
        spacegroup=141,
        cellpar=[3.784, 3.784, 9.515, 90, 90, 90],
    )
    return {"rutile": build_crystal("TiO2-rutile"), "anatase": anatase}


def silver_iodide() -> dict[str, Atoms]:
    """The superionic phase, silver on two of twelve sites (Strock, Z. phys. Chem. B 25, 441)."""
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0, 0.5), (0.75, 0.5, 0)]
    return {"alpha": Atoms("I2Ag2", scaled_positions=sites, cell=[5.07] * 3, pbc=True)}


def magnesia() -> dict[str, Atoms]:
    """Rocksalt."""
    return {"rocksalt": build_crystal("MgO-rocksalt")}


#: What is simulated: its phases, and at which temperatures in K.
SYSTEMS: Final[dict[str, tuple[Callable[[], dict[str, Atoms]], tuple[str, ...]]]] = {
    "TiO2": (titania, ("300", "1200")),
    "MgO": (magnesia, ("300", "1200")),
    "AgI": (silver_iodide, ("600", "900")),
}


def write_phases(system: str, path: Path) -> None:
    """The phases of a system by their names."""
    phases = SYSTEMS[system][0]()
    for name, atoms in phases.items():
        atoms.info = {"name": name}
    write(path, list(phases.values()), format="extxyz")


def distilled(options: argparse.Namespace) -> dict[str, Any]:
    """What the command says of a run in the folder."""
    folder: Path = options.work
    begun = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if not begun:
        write_phases(options.system, folder / "phases.extxyz")
    words = ["distill", options.teacher, "--structures", "phases.extxyz", "--work", "work"]
    words += ["--temperatures", *SYSTEMS[options.system][1], "--minutes", str(options.minutes)]
    words += ["--student", options.student, "--threads", "1", "--seed", str(options.seed)]
    words += ["-o", STUDENT, "--force", "--json"]
    words += ["--resume"] if (folder / "work").exists() else []
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "m3compress", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    # A run that was killed counts for nothing here, and one that goes on adds to those before.
    log = folder / "cpu_minutes.json"
    minutes = [*(json.loads(log.read_text()) if log.exists() else []), round(spent / 60, 1)]
    log.write_text(json.dumps(minutes), encoding="utf-8")
    return {**json.loads(done.stdout), "cpu_minutes_of_runs": minutes}


def speed_of_onnx(teacher: str, folder: Path, phase: Atoms) -> Speed:
    """Student and teacher, a calculator as it is, as ONNX files; in turn on one thread."""
    specs: list[EvaluatorSpec] = []
    for source, name in ((STUDENT, "student"), (teacher, "teacher")):
        if source.startswith(CALCULATOR_PREFIX):
            specs.append(CalculatorSpec.parse(source, cutoff=DEFAULT_CUTOFF))
            continue
        words = ["export", source, "-o", f"{name}.m3c.onnx", "--force"]
        subprocess.run([sys.executable, "-m", "m3compress", *words], cwd=folder, check=True)
        specs.append(ArtefactSpec(path=str((folder / f"{name}.m3c.onnx").resolve())))
    (speed,) = compare_speed(specs[:1], specs[1], phase)
    return speed


def main() -> int:
    """Run and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("teacher")
    parser.add_argument("--system", choices=SYSTEMS, default="TiO2")
    parser.add_argument("--work", type=Path, required=True, help="folder")
    parser.add_argument("--student", default="default")
    parser.add_argument("--minutes", type=float, default=55.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = distilled(options)
    phase = supercell_of(next(iter(SYSTEMS[options.system][0]().values())), Sampling().n_atoms)
    summary = {
        "minutes": options.minutes,
        "cpu_minutes_of_runs": found["cpu_minutes_of_runs"],
        "bytes": found["bytes"],
        "parameters": found["parameters"],
        "speed": found["speed"],
        "speed_of_onnx": speed_of_onnx(options.teacher, options.work, phase).to_json(),
        "rounds": found["rounds"],
        "errors": found["record"]["errors"],
        "training": {k: found["record"]["recipe"][k] for k in ("steps", "epochs", "seconds")},
    }
    teacher = Path(options.teacher).name
    key = f"{options.system}, {options.student} of {teacher}, seed {options.seed}"
    keep(RESULTS, key, summary)
    sys.stdout.write(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
