"""``m3compress inspect``: what is this file, and what is its three-body block worth?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from m3compress.api import load_potential
from m3compress.console import print_json, print_row, stderr, stdout
from m3compress.contract.backends import is_exported
from m3compress.contract.manifest import Manifest, Parity
from m3compress.engines.artefact import Artefact, load_artefact


def run(*, file: str, convention: str | None, labels: Path | None, as_json: bool) -> int:
    """Inspect a model or an exported file and print; returns the exit code."""
    if is_exported(file):
        artefact = load_artefact(file)
        if as_json:
            print_json(json.loads(artefact.manifest.model_dump_json()))
        else:
            _print_rows(artefact.path.name, _artefact_rows(artefact))
        return 0
    with stderr().status("reading, and measuring the three-body block"):
        document = _inspect_model(file, convention, labels)
    if as_json:
        print_json(document)
    else:
        _print_rows(Path(file.rstrip("/")).name, _model_rows(document))
    return 0


def _inspect_model(file: str, convention: str | None, labels: Path | None) -> dict[str, Any]:
    from m3compress.distill.share import three_body_share
    from m3compress.models.cost import cost_of

    potential = load_potential(file, convention=convention, labels=labels)
    share = three_body_share(potential)
    origin, config = potential.provenance, potential.config
    return {
        "format": origin.format,
        "sha256": origin.sha256,
        "convention": config.convention.name,
        "how": origin.how,
        "evidence": origin.evidence,
        "record": origin.record,
        "configuration": config.to_json(),
        "receptive_field": config.receptive_field,
        "cost": cost_of(potential),
        "three_body_share": share.to_json(),
    }


def _model_rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    config, cost = document["configuration"], document["cost"]
    share, writer = document["three_body_share"], document["evidence"].get("writer")
    elements = config["elements"]
    advice = {
        "remove": "removal is harmless: `m3compress export` will remove it",
        "factorize": "it matters: `m3compress export` will factorise it, which is exact",
        "distill": "it matters and cannot be factorised: distil a student without it",
    }
    cutoffs = (
        f"{config['cutoff']:g} Å edges ({config['edge_basis']} basis), "
        f"{config['three_body_cutoff']:g} Å three-body ({config['triplet_basis']} basis, "
        f"max_n {config['max_n']}, max_l {config['max_l']})"
    )
    network = (
        f"{config['n_blocks']} blocks, {config['node_width']} features, gMLP hidden "
        f"{'-'.join(map(str, config['hidden'])) or 'none'}, {cost['parameters']:,} parameters"
    )
    per_step = (
        f"{cost['flops_per_atom'] / 1e6:.1f} MFLOP and {cost['bytes_per_atom'] / 1e3:.0f} kB "
        f"per atom and step at {cost['edges_per_atom']:.0f} neighbours"
    )
    written = [("written by", f"{writer['versions']}: {writer['because']}")] if writer else []
    return [
        ("format", f"{document['format']}, sha256 {document['sha256'][:16]}…"),
        ("convention", document["convention"]),
        ("evidence", document["how"]),
        *written,
        *_student_rows(document["record"]),
        ("elements", f"{len(elements)}: {_shortened(elements)}"),
        ("cutoffs", cutoffs),
        ("network", network),
        ("sees", f"{document['receptive_field']:g} Å (blocks × cutoff)"),
        ("cost", per_step),
        ("three-body", share["text"]),
        ("advice", advice[share["advice"]]),
    ]


def _student_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Whom a student copies, how well, and on what."""
    from m3compress.models.student_record import STUDENT, StudentRecord

    if STUDENT not in record:
        return []
    student = StudentRecord.from_json(record[STUDENT])
    errors = [("error", f"{found} ({name})") for name, found in student.errors.items()]
    teacher = str(student.teacher.get("name", "unknown"))
    return [("student of", teacher), *errors, ("domain", str(student.domain))]


def _artefact_rows(artefact: Artefact) -> list[tuple[str, str]]:
    manifest = artefact.manifest
    size = artefact.path.stat().st_size / 1e6
    rows = [
        (
            "format",
            f"{manifest.backend}, {manifest.precision}, {size:.1f} MB, {manifest.created_by}",
        ),
        ("sha256", f"{manifest.artefact_sha256} (verified)"),
        (
            "source",
            f"{manifest.source.format} {manifest.source.name}, {manifest.source.sha256[:16]}…",
        ),
        ("convention", manifest.source.convention),
        ("evidence", str(manifest.source.evidence.get("reason", "the file format settles it"))),
        ("elements", f"{len(manifest.elements)}: {_shortened(manifest.elements)}"),
        ("cutoffs", f"{manifest.cutoff:g} Å edges, {manifest.three_body_cutoff:g} Å three-body"),
        ("sees", f"{manifest.receptive_field:g} Å ({manifest.n_blocks} blocks)"),
        ("three-body", f"{manifest.three_body.method}: {manifest.three_body.reason}"),
        ("closest", _closest_text(manifest.shortest_distances)),
        ("units", ", ".join(f"{name} {unit}" for name, unit in manifest.units.items())),
        ("inputs", ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in manifest.inputs)),
        ("outputs", ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in manifest.outputs)),
    ]
    rows.append(("parity", _parity_text(manifest)))
    rows.append(("gate", manifest.gate.status))
    return rows


def _closest_text(distances: dict[str, float] | None) -> str:
    """The closest approaches of the training domain, as far as they fit a line."""
    if not distances:
        return "unknown: how close atoms came in training (`export --labels` tells)"
    listed = ", ".join(f"{pair} {length:g} Å" for pair, length in list(distances.items())[:6])
    return f"{listed}{' …' if len(distances) > 6 else ''} in training"


def _parity_text(manifest: Manifest) -> str:
    """What was measured on this file; of the graph it was built from only where it was not."""
    if manifest.parity is not None:
        return _verdict_text(manifest.parity)
    if manifest.graph_parity is None:
        return "not measured"
    return f"not measured; the graph it was built from: {_verdict_text(manifest.graph_parity)}"


def _verdict_text(parity: Parity) -> str:
    worst = max(row.force_error for row in parity.rows)
    verdict = "passed" if parity.passed else "FAILED"
    return f"{verdict} in {parity.engine}: {len(parity.rows)} structures, max |ΔF| {worst:.1e} eV/Å"


def _shortened(elements: list[str] | tuple[str, ...]) -> str:
    listed = " ".join(elements[:12])
    return listed if len(elements) <= 12 else f"{listed} …"


def _print_rows(title: str, rows: list[tuple[str, str]]) -> None:
    stdout().print(title, style="bold", markup=False)
    for name, value in rows:
        print_row(name, value, to=stdout())
