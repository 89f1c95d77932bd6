"""Write an exported file, run it, compare it with the model, and only then give it its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from m3compress.contract.backends import backend_named, manifest_path
from m3compress.contract.evaluation import Evaluator
from m3compress.contract.files import move_into_place, sha256_of, workplace
from m3compress.contract.manifest import Manifest, Parity
from m3compress.errors import ExportError, MissingDependencyError
from m3compress.export.parity import LIMITS, Limits, check_parity, require
from m3compress.export.targets import Order, Report, Written, target_named
from m3compress.models.potential import Potential
from m3compress.models.structures.zoo import build_zoo


class Opened(Evaluator, Protocol):
    """An exported file in its engine."""

    @property
    def description(self) -> str:
        """What runs it, with its version and where."""


#: Opens an exported file in the engine of its manifest, on a device on which that runs; raises
#: MissingDependencyError where it cannot run here. The export itself knows no engine.
Opener = Callable[[Path], Opened]


def output_path(source: str | Path, output: Path | None, target: str) -> Path:
    """Where an export goes; by default the current folder, named after the model.

    Args:
        source: The model, as the user named it.
        output: The exported file, where the user named that too.
        target: Name of a row of :mod:`m3compress.export.targets`.

    Raises:
        ExportError: If the name does not end as its kind does, or its folder does not exist.
        MissingDependencyError: If nothing is installed that could write it.
        UnknownNameError: If there is no such target.
    """
    row = target_named(target)
    suffix, wanted = row.load_writer().default_suffix(), row.suffix
    if output is not None:
        if not output.name.endswith(wanted):
            raise ExportError(
                f"the output {output.name} does not end in {wanted}",
                hint=f"for instance -o model{suffix}",
            )
        if not output.parent.is_dir():
            raise ExportError(f"the folder {output.parent} does not exist", hint="create it first")
        return output
    return Path(f"{model_name(source)}{suffix}")


def model_name(source: str | Path) -> str:
    """What to call what is made from a model: the name of its file or folder, no suffix."""
    path = Path(str(source).rstrip("/"))
    generic = path.name in {"model.pt", "model.json", "state.pt"} and path.parent.name
    stem = path.parent.name if generic else path.stem if path.is_file() else path.name
    return stem.removesuffix(".m3c")


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
        target: Name of a row of :mod:`m3compress.export.targets`.
        precision: ``float32`` or ``mixed``.
        max_atoms: Largest system that a TensorRT engine accepts.
        open_file: Opens the written file, to run it on the zoo.
        report: Told how it goes.

    Raises:
        ParityError: If the file disagrees with the model; nothing is left behind.
        ExportError: If the file cannot be built.
        M3CompressError: If it cannot be written; what was there before is whole.
    """
    measure = partial(_measure, potential, LIMITS[precision], open_file, report)
    with workplace(path) as folder:

        def prove(written: Written) -> Parity:
            source = folder / f"source{backend_named(written.manifest.backend).suffix}"
            _write(source, written.content, written.manifest)
            return measure(source)

        order = Order(
            reason=reason, precision=precision, max_atoms=max_atoms, report=report, prove=prove
        )
        written = target_named(target).load_writer().write(potential, order)
        made = folder / path.name
        manifest = _write(made, written.content, written.manifest)
        parity = _measure_if_possible(measure, made, manifest, report)
        manifest = _write(made, written.content, manifest.model_copy(update={"parity": parity}))
        # The manifest last: a new file beside none, or an old one, does not load.
        move_into_place(folder, path, manifest_path(path))
    return manifest


def _write(path: Path, content: bytes, manifest: Manifest) -> Manifest:
    """Write a file and its manifest, which has the hash of the file from then on."""
    path.write_bytes(content)
    stamped = manifest.model_copy(update={"artefact_sha256": sha256_of(path)})
    manifest_path(path).write_text(stamped.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return stamped


def _measure_if_possible(
    measure: Callable[[Path], Parity], file: Path, manifest: Manifest, report: Report
) -> Parity | None:
    """The parity of a file; None for one that runs on GPUs only, where there is none."""
    try:
        return measure(file)
    except MissingDependencyError as error:
        if "cpu" in backend_named(manifest.backend).devices:
            raise
        report("parity", f"not measured: {error.message}")
        return None


def _measure(
    potential: Potential, limits: Limits, open_file: Opener, report: Report, file: Path
) -> Parity:
    """Run a written file on the zoo and compare; raises if it disagrees."""
    opened, config = open_file(file), potential.config
    zoo = build_zoo(
        config.elements, cutoff=config.cutoff, three_body_cutoff=config.three_body_cutoff
    )
    parity = check_parity(potential, opened.evaluate, zoo, limits, engine=opened.description)
    require(parity)
    report("parity", summarize_parity(parity))
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
