"""What the commands do, as functions: load a model, export it, and prove the export.

This is the only place where the rooms meet: models → distill → export → engines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from m3compress.errors import ExportError, OutputExistsError

if TYPE_CHECKING:
    from m3compress.contract.manifest import Manifest, Parity
    from m3compress.distill.share import ThreeBodyShare
    from m3compress.models.potential import Potential

#: Word that names the model that comes with the package.
BUILTIN: Final = "builtin"

Report = Callable[[str, str], None]


def _silent(stage: str, detail: str) -> None:
    del stage, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What :func:`export_model` made.

    Attributes:
        path: The exported file.
        manifest_path: The manifest beside it.
        manifest: Its content.
        share: What the three-body block of the source is worth.
        seconds: How long it took.
    """

    path: Path
    manifest_path: Path
    manifest: Manifest
    share: ThreeBodyShare
    seconds: float


def resolve_source(source: str | Path) -> str | Path:
    """The path that a model argument means; ``builtin`` is the model in the package."""
    if str(source) != BUILTIN:
        return source
    from importlib.resources import files

    return Path(str(files("m3compress.models.builtin")))


def load_potential(source: str | Path, *, convention: str | None = None) -> Potential:
    """Read a trained model of any supported format in its convention.

    Args:
        source: A path, a Hugging Face name, or ``builtin``.
        convention: Overrides the convention where the file does not say it.

    Raises:
        M3CompressError: See :func:`m3compress.models.readers.open.read_model`.
    """
    from m3compress.models.readers.open import read_model

    return read_model(resolve_source(source), convention=convention)


def _output_path(source: str | Path, output: Path | None, target: str) -> Path:
    """Where an export goes; by default the current folder, named after the model.

    Raises:
        ExportError: If the name does not end as its kind does.
        MissingDependencyError: If an engine is asked for and no TensorRT is installed.
    """
    from m3compress.contract.manifest import ONNX_SUFFIX, PLAN_SUFFIX

    suffix = ONNX_SUFFIX
    if target == "tensorrt":
        from m3compress.export.tensorrt import find_builder

        backend, module = find_builder()
        suffix = f".m3c.{backend}-{module.__version__}{PLAN_SUFFIX}"
    if output is not None:
        wanted = ONNX_SUFFIX if target == "onnx" else PLAN_SUFFIX
        if not output.name.endswith(wanted):
            raise ExportError(
                f"the output {output.name} does not end in {wanted}",
                hint=f"for instance -o model{suffix}",
            )
        return output
    path = Path(str(source).rstrip("/"))
    generic = path.name in {"model.pt", "model.json", "state.pt"} and path.parent.name
    stem = path.parent.name if generic else path.stem if path.is_file() else path.name
    return Path(f"{stem}{suffix}")


def export_model(
    source: str | Path,
    output: Path | None = None,
    *,
    three_body: str = "auto",
    target: str = "onnx",
    precision: str = "float32",
    convention: str | None = None,
    max_atoms: int = 2_000,
    force: bool = False,
    report: Report = _silent,
) -> Exported:
    """Read, measure, compress, export, run and compare; only then put the file where it belongs.

    Args:
        source: A path, a Hugging Face name, or ``builtin``.
        output: The exported file; its manifest stands beside it.
        three_body: ``auto``, ``factorize``, ``remove``, ``keep`` or ``prune=P``.
        target: ``onnx`` or ``tensorrt``.
        precision: ``float32`` or ``mixed``.
        convention: Overrides the convention where the file does not say it.
        max_atoms: Largest system that a TensorRT engine accepts.
        force: Overwrite existing files.
        report: Called with (stage, detail) as the work goes on.

    Raises:
        ParityError: If the exported file disagrees with the model; nothing is left behind.
        M3CompressError: If a step cannot run.
    """
    from m3compress.contract.files import move_into_place, workplace
    from m3compress.contract.forms import Choice, parse_method
    from m3compress.contract.manifest import manifest_path
    from m3compress.distill.methods import apply
    from m3compress.distill.share import three_body_share

    start = time.perf_counter()
    method = parse_method(three_body)
    path = _output_path(source, output, target)
    beside = manifest_path(path)
    if not force:
        for existing in (path, beside):
            if existing.exists():
                raise OutputExistsError(f"{existing} exists", hint="`--force` overwrites it")
    potential = load_potential(source, convention=convention)
    report("read", describe_potential(potential))
    share = three_body_share(potential)
    report("three-body", share.text)
    compressed = apply(potential, method, share)
    measured = method is Choice.AUTO
    reason = share.text if measured else f"asked for with --three-body {three_body}"
    report("method", f"{compressed.form} ({'measured' if measured else 'as asked'})")
    if not path.parent.is_dir():
        raise ExportError(f"the folder {path.parent} does not exist", hint="create it first")
    with workplace(path) as folder:
        manifest = _write_checked(
            compressed, folder / path.name, reason, target, precision, max_atoms, report
        )
        # The manifest last: a new file beside none, or an old one, does not load.
        move_into_place(folder, path, beside)
    return Exported(
        path=path,
        manifest_path=beside,
        manifest=manifest,
        share=share,
        seconds=time.perf_counter() - start,
    )


def describe_potential(potential: Potential) -> str:
    """One line: format, convention, elements and sizes."""
    config = potential.config
    few = len(config.elements) <= 6
    elements = " ".join(config.elements) if few else f"{len(config.elements)} elements"
    return (
        f"{potential.provenance.format}, convention {config.convention.name}, {elements}, "
        f"cutoff {config.cutoff:g} Å, three-body {config.three_body_cutoff:g} Å, "
        f"{config.n_blocks} blocks"
    )


def _write_checked(
    potential: Potential,
    path: Path,
    reason: str,
    target: str,
    precision: str,
    max_atoms: int,
    report: Report,
) -> Manifest:
    """Write the file and its manifest into a working folder; returns only if the parity holds."""
    from m3compress.contract.files import sha256_of
    from m3compress.contract.manifest import manifest_path
    from m3compress.export.onnx.build import build_onnx, describe, serialize

    model = build_onnx(potential, precision=precision)
    manifest = describe(potential, reason=reason, precision=precision)
    content = serialize(model, manifest)
    report("trace", f"{len(model.graph.node)} nodes, no scatter, dynamic n_atoms, K, K_in")
    onnx_path = path if target == "onnx" else path.with_name("parity.m3c.onnx")
    onnx_path.write_bytes(content)
    manifest = manifest.model_copy(update={"artefact_sha256": sha256_of(onnx_path)})
    manifest_path(onnx_path).write_bytes(_to_json(manifest))
    parity = _check(potential, onnx_path, precision)
    report("parity", summarize_parity(parity))
    manifest = manifest.model_copy(update={"parity": parity})
    if target == "tensorrt":
        manifest = _build_tensorrt(content, manifest, path, max_atoms, report)
    manifest_path(path).write_bytes(_to_json(manifest))
    return manifest


def _check(potential: Potential, onnx_path: Path, precision: str) -> Parity:
    """Run the written file in ONNX Runtime on the zoo and compare; raises if it disagrees."""
    from m3compress.engines.codes.ase import Calculator
    from m3compress.export.parity import LIMITS, check_parity, require
    from m3compress.models.structures.zoo import build_zoo

    config = potential.config
    zoo = build_zoo(
        config.elements, cutoff=config.cutoff, three_body_cutoff=config.three_body_cutoff
    )
    calculator = Calculator(onnx_path)
    parity = check_parity(potential, calculator.evaluate, zoo, LIMITS[precision])
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


def _build_tensorrt(
    content: bytes, manifest: Manifest, path: Path, max_atoms: int, report: Report
) -> Manifest:
    from m3compress.contract.files import sha256_of
    from m3compress.export.tensorrt import build_engine, profile_up_to

    engine = build_engine(content, profiles=(profile_up_to(max_atoms),))
    path.write_bytes(engine.plan)
    report("tensorrt", f"{engine.backend} {engine.version}, up to {max_atoms} atoms")
    return manifest.model_copy(
        update={
            "artefact_sha256": sha256_of(path),
            "backend": engine.backend,
            "tools": {**manifest.tools, engine.backend: engine.version},
        }
    )


def _to_json(manifest: Manifest) -> bytes:
    return (manifest.model_dump_json(indent=2) + "\n").encode()
