"""``m3compress export``: from a trained model to a file that other codes run."""

from __future__ import annotations

import json
from pathlib import Path

from m3compress.api import Exported, export_model
from m3compress.console import print_json, print_row, stderr, stdout
from m3compress.contract.backends import backend_named


def run(
    *,
    model: str,
    three_body: str,
    target: str,
    precision: str,
    output: Path | None,
    convention: str | None,
    labels: Path | None,
    max_atoms: int,
    force: bool,
    as_json: bool,
) -> int:
    """Export and print what was done; returns the exit code."""
    with stderr().status("working") as status:

        def report(stage: str, detail: str) -> None:
            print_row(stage, detail, to=stderr())
            status.update(f"after {stage}")

        exported = export_model(
            model,
            output,
            three_body=three_body,
            target=target,
            precision=precision,
            convention=convention,
            labels=labels,
            max_atoms=max_atoms,
            force=force,
            report=report,
        )
    if as_json:
        print_json(_document(exported))
        return 0
    _print_summary(exported)
    return 0


def _document(exported: Exported) -> dict[str, object]:
    return {
        "artefact": str(exported.path),
        "manifest_path": str(exported.manifest_path),
        "seconds": round(exported.seconds, 2),
        "three_body_share": exported.share.to_json(),
        "manifest": json.loads(exported.manifest.model_dump_json()),
    }


def _print_summary(exported: Exported) -> None:
    size = exported.path.stat().st_size / 1e6
    written = f"{exported.path}  {size:.1f} MB, {exported.seconds:.0f} s"
    print_row("written", written, to=stderr())
    if exported.manifest.three_body.study_only:
        name = exported.manifest.three_body.method
        print_row("note", f"a {name} model is for studies: its energy is not smooth", to=stderr())
    first = backend_named(exported.manifest.backend).devices[0]
    device = "" if first == "cpu" else f', device="{first}"'
    stderr().print(
        f"next: `m3compress bench {exported.path}`, or in Python: "
        f'atoms.calc = m3compress.Calculator("{exported.path}"{device})',
        markup=False,
    )
    stdout().print(str(exported.path), markup=False)
