"""What distillation is handed, since it knows no engine: teachers that run, exported students."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3compress.contract.evaluation import EvaluatorSpec
    from m3compress.distill.teachers.examine import Candidate
    from m3compress.models.potential import Potential

#: Told (stage, detail), a line each.
Report = Callable[[str, str], None]


def _unheard(stage: str, detail: str) -> None:
    del stage, detail


def exported_teacher(path: Path) -> Candidate:
    """An exported file as a candidate."""
    from m3compress.distill.teachers.examine import Candidate
    from m3compress.engines.artefact import load_artefact
    from m3compress.engines.spec import ArtefactSpec

    artefact = load_artefact(path)
    manifest = artefact.manifest
    return Candidate(
        name=artefact.path.name,
        spec=ArtefactSpec(path=str(artefact.path.resolve())),
        precision=manifest.precision,
        facts={
            "kind": "artefact",
            "convention": manifest.source.convention,
            "three_body": manifest.three_body.method,
            "source_sha256": manifest.source.sha256,
        },
    )


def calculator_teacher(path: str, cutoff: float) -> Candidate:
    """An ASE calculator as a candidate; nobody knows its precision."""
    from m3compress.distill.teachers.examine import Candidate
    from m3compress.engines.calculators import CalculatorSpec

    spec = CalculatorSpec.parse(path, cutoff=cutoff)
    identity = spec.identity()
    facts = {"kind": "ase", "code": identity["code"], "arguments": identity["arguments"]}
    return Candidate(name=spec.title, spec=spec, precision="unknown", facts=facts)


def export_student(potential: Potential, folder: Path, name: str) -> EvaluatorSpec:
    """The exported file of a student in training, made if it is not there."""
    from m3compress.engines.spec import ArtefactSpec

    path = _export_once(potential, folder, name, "a student in training", _unheard)
    return ArtefactSpec(path=str(path.resolve()))


def export_for_teaching(potential: Potential, work: Path, report: Report) -> Path:
    """The exported file of a model in a work folder, made if it is not there."""
    what = f"{potential.provenance.sha256[:12]}-{potential.config.convention.name}"
    name = f"teacher-{what}-{potential.form}"
    return _export_once(potential, work, name, "the right form of a teacher", report)


def _export_once(
    potential: Potential, folder: Path, name: str, reason: str, report: Report
) -> Path:
    """Export a potential as it is, for the fastest runtime there is, unless its file is there."""
    from m3compress.contract.backends import manifest_path
    from m3compress.engines.evaluator import open_where_it_runs
    from m3compress.engines.native.library import find_library
    from m3compress.export.write import write_export

    files = {"native": folder / f"{name}.m3c.safetensors", "onnx": folder / f"{name}.m3c.onnx"}
    for path in files.values():
        # One that was begun with goes on, whatever was built meanwhile.
        if path.exists() and manifest_path(path).exists():
            return path
    target = "onnx" if find_library() is None else "native"
    path = files[target]
    write_export(
        potential,
        path,
        reason=reason,
        target=target,
        precision="float32",
        max_atoms=0,
        open_file=open_where_it_runs,
        report=report,
    )
    return path
