"""Write an exported file, run it, compare it with the model, and only then give it its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.files import move_into_place, sha256_of, workplace
from m3compress.contract.manifest import (
    ONNX_SUFFIX,
    PLAN_SUFFIX,
    Manifest,
    Parity,
    manifest_path,
)
from m3compress.errors import ExportError
from m3compress.export.onnx.build import build_onnx, describe, serialize
from m3compress.export.parity import LIMITS, check_parity, require
from m3compress.export.tensorrt import build_engine, find_builder, profile_up_to
from m3compress.models.potential import Potential
from m3compress.models.structures.zoo import build_zoo

#: Told a stage and its outcome as the work goes on.
Report = Callable[[str, str], None]

#: Opens an exported file in the runtime of its manifest; the export itself knows no runtime.
Opener = Callable[[Path], Evaluator]


def output_path(source: str | Path, output: Path | None, target: str) -> Path:
    """Where an export goes; by default the current folder, named after the model.

    Args:
        source: The model, as the user named it.
        output: The exported file, where the user named that too.
        target: ``onnx`` or ``tensorrt``.

    Raises:
        ExportError: If the name does not end as its kind does, or its folder does not exist.
        MissingDependencyError: If an engine is asked for and no TensorRT is installed.
    """
    suffix = ONNX_SUFFIX
    if target == "tensorrt":
        backend, module = find_builder()
        suffix = f".m3c.{backend}-{module.__version__}{PLAN_SUFFIX}"
    if output is not None:
        wanted = ONNX_SUFFIX if target == "onnx" else PLAN_SUFFIX
        if not output.name.endswith(wanted):
            raise ExportError(
                f"the output {output.name} does not end in {wanted}",
                hint=f"for instance -o model{suffix}",
            )
        if not output.parent.is_dir():
            raise ExportError(f"the folder {output.parent} does not exist", hint="create it first")
        return output
    path = Path(str(source).rstrip("/"))
    generic = path.name in {"model.pt", "model.json", "state.pt"} and path.parent.name
    stem = path.parent.name if generic else path.stem if path.is_file() else path.name
    return Path(f"{stem}{suffix}")


def write_export(
    potential: Potential,
    path: Path,
    *,
    reason: str,
    target: str,
    precision: str,
    max_atoms: int,
    open_file: Opener,
    report: Report,
) -> Manifest:
    """Write a file and its manifest under their names if what was written computes the same.

    Args:
        potential: What to export.
        path: The exported file; its manifest stands beside it.
        reason: Why the three-body block has its form.
        target: ``onnx`` or ``tensorrt``.
        precision: ``float32`` or ``mixed``.
        max_atoms: Largest system that a TensorRT engine accepts.
        open_file: Opens the written file, to run it on the zoo.
        report: Told how it goes.

    Raises:
        ParityError: If the file disagrees with the model; nothing is left behind.
        ExportError: If the graph cannot be built.
        M3CompressError: If it cannot be written; what was there before is whole.
    """
    with workplace(path) as folder:
        made = folder / path.name
        model = build_onnx(potential, precision=precision)
        manifest = describe(potential, reason=reason, precision=precision)
        content = serialize(model, manifest)
        report("trace", f"{len(model.graph.node)} nodes, no scatter, dynamic n_atoms, K, K_in")
        graph = made if target == "onnx" else folder / "parity.m3c.onnx"
        manifest = _write(graph, content, manifest)
        parity = _check(potential, open_file(graph), precision)
        report("parity", summarize_parity(parity))
        manifest = manifest.model_copy(update={"parity": parity})
        if target == "tensorrt":
            engine = build_engine(content, profiles=(profile_up_to(max_atoms),))
            tools = {**manifest.tools, engine.backend: engine.version}
            manifest = manifest.model_copy(update={"backend": engine.backend, "tools": tools})
            content = engine.plan
            report("tensorrt", f"{engine.backend} {engine.version}, up to {max_atoms} atoms")
        manifest = _write(made, content, manifest)
        # The manifest last: a new file beside none, or an old one, does not load.
        move_into_place(folder, path, manifest_path(path))
    return manifest


def _write(path: Path, content: bytes, manifest: Manifest) -> Manifest:
    """Write a file and its manifest, which has the hash of the file from then on."""
    path.write_bytes(content)
    stamped = manifest.model_copy(update={"artefact_sha256": sha256_of(path)})
    manifest_path(path).write_text(stamped.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return stamped


def _check(potential: Potential, written: Evaluator, precision: str) -> Parity:
    """Run the written file on the zoo and compare; raises if it disagrees."""
    config = potential.config
    zoo = build_zoo(
        config.elements, cutoff=config.cutoff, three_body_cutoff=config.three_body_cutoff
    )
    parity = check_parity(potential, written.evaluate, zoo, LIMITS[precision])
    require(parity)
    return parity


def summarize_parity(parity: Parity) -> str:
    """One line: the largest differences and their limits."""
    off = max(parity.rows, key=lambda row: row.energy_error / row.energy_limit)
    worst = max(parity.rows, key=lambda row: row.force_error / row.force_limit)
    verdict = "PASS" if parity.passed else "FAIL"
    return (
        f"{len(parity.rows)} structures, worst |ΔE| {off.energy_error:.1e} eV/atom "
        f"(limit {off.energy_limit:.1e}), worst |ΔF| {worst.force_error:.1e} eV/Å (limit "
        f"{worst.force_limit:.1e}, {worst.structure})  {verdict}"
    )
