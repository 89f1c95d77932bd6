r"""What changes of the recipe make of a student, on labels that are there.

Every recipe is the preset ``default`` with a line of TOML, trained from the same weights on the
frames of a finished distillation, those of its own rounds included, for the same number of steps.
Its cutoff is 0.8 of the teacher's, however thin the system is, unless a recipe says another.

    python benchmarks/distillation.py TEACHER --work DIR
    python benchmarks/recipes.py DIR/work --steps 4000 --recipe "max_n = 4" \
        --recipe "training.learning_rate = 0.01"
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, Final

from ase import Atoms
from ase.io import read
from results_file import keep

from m3compress.distill.data.label_store import FRAMES
from m3compress.distill.on_policy.round import OWN
from m3compress.distill.students import parse_student
from m3compress.distill.training.student import StudentTraining, measure
from m3compress.models.spec import torch_threads

RESULTS: Final = Path(__file__).parent / "results" / "recipes.json"
#: Frames by their purpose, and how the names of their files begin.
PURPOSES: Final = ("train", "validation", "test", OWN)


def labelled(work: Path) -> dict[str, list[Atoms]]:
    """All frames of a work folder; those of the student's own that were held back apart."""
    frames: dict[str, list[Atoms]] = {purpose: [] for purpose in PURPOSES}
    for path in sorted((work / FRAMES).glob("*.extxyz")):
        split = path.name.partition("-")[0]
        held_back = split == "validation" and f"-{OWN}-" in path.name
        if path.stat().st_size:
            frames[OWN if held_back else split] += read(path, index=":")
    return frames


def trained(recipe: str, frames: dict[str, list[Atoms]], options: argparse.Namespace) -> Any:
    """Errors of a student by purpose, in meV/Å, meV/atom and GPa."""
    student = parse_student(tomllib.loads(recipe), recipe)
    elements = sorted({symbol for frame in frames["train"] for symbol in frame.symbols})
    config = student.config(elements, options.teacher_cutoff)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder, torch_threads(1):
        training = StudentTraining.begin(
            student, config, frames["train"], options.steps, options.seed, Path(folder) / "run.pt"
        )
        training.advance(frames["train"], frames["validation"], options.steps)
        errors = {
            purpose: measure(training.potential, frames[purpose]).model_dump(mode="json")
            for purpose in PURPOSES[1:]
            if frames[purpose]
        }
    minutes = (time.process_time() - began) / 60
    return {"recipe": recipe or "default", "cpu_minutes": round(minutes, 2), "errors": errors}


def main() -> None:
    """Train, keep and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="folder of a finished `m3compress distill`")
    parser.add_argument("--recipe", action="append", default=[], help="lines of TOML")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher-cutoff", type=float, default=5.0, help="Å")
    options = parser.parse_args()
    frames = labelled(options.work)
    counts = {purpose: len(found) for purpose, found in frames.items()}
    for recipe in ["", *options.recipe]:
        row = trained(recipe, frames, options)
        document = {"steps": options.steps, "seed": options.seed, "frames": counts, **row}
        keep(RESULTS, f"{row['recipe']}, {options.steps} steps, seed {options.seed}", document)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
