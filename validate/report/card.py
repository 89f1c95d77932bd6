"""The model card of a released model: ``README.md`` with the front matter of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Iterable

from m3compress.contract.backends import backend_named
from m3compress.contract.manifest import Manifest
from m3compress.validate.report.document import Report
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.words import limit_of, number, value_of
from m3compress.validate.result import CheckResult, Verdict

#: What a reader of a card wants to know first.
_HEADLINES = (
    "student.force",
    "student.own-force",
    "student.energy-offset",
    "student.energy-spread",
    "student.stress",
    "student.worst-frame",
    "parity.export-force",
    "parity.force-mae",
    "parity.energy",
    "grad.forces",
    "md.nve-drift",
    "md.rdf-total",
    "md.adf",
    "md.npt-volume",
    "student.rdf-total",
    "student.adf",
    "student.npt-volume",
)


def model_card(report: Report, manifest: Manifest, report_sha256: str) -> str:
    """The card.

    Args:
        report: The report that passed.
        manifest: Of the released artefact.
        report_sha256: Hash of ``report.json``.
    """
    own = [r for r in report.results if r.subject == "artefact" and r.verdict is Verdict.PASS]
    chosen = [r for name in _HEADLINES for r in own if r.id == name]
    about = report.artefact
    return f"""\
{_front_matter(manifest, chosen)}
{_introduction(about.name if about else "", manifest)}
## What was checked

The release gate passed this file with profile `{report.profile.name}` on {report.created}
({len({result.id for result in own})} checks). All numbers are in `report.json` and `report.html`.

Verdict: {_cell(scope(report))}.

{_lines(f"- {name}: {_cell(text)}" for name, text in facts(report))}

| check | what | value | limit | unit |
|---|---|--:|--:|---|
{_lines(_row(result) for result in chosen)}

## What was not checked

{_lines(f"- {line}" for line in (*report.not_checked, *report.notes))}

## Identity

- artefact sha256 `{manifest.artefact_sha256}`
- report sha256 `{report_sha256}`
- source sha256 `{manifest.source.sha256}`

`m3compress verify` on this folder checks both. The licence of the weights is that of the source
model.
"""


def _introduction(artefact: str, manifest: Manifest) -> str:
    """What the file is, and how to use it."""
    device = backend_named(manifest.backend).devices[0]
    where = "" if device == "cpu" else f', device="{device}"'
    source, body = manifest.source, manifest.three_body.method
    return f"""\
# {artefact}

An M3GNet interatomic potential for {", ".join(manifest.elements)}, exported by
{manifest.created_by} from `{source.name}` ({source.format}, convention {source.convention}).
Three-body block: {body}. Precision: {manifest.precision}.

```python
from ase.io import read
from m3compress import Calculator

atoms = read("structure.cif")  # a structure of yours
atoms.calc = Calculator("{artefact}"{where})
print(atoms.get_potential_energy())
```

Energies in eV, forces in eV/Å, stresses in eV/Å³. Cutoff {manifest.cutoff:g} Å, receptive field
{manifest.receptive_field:g} Å.
"""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _front_matter(manifest: Manifest, results: list[CheckResult]) -> str:
    metrics = "".join(
        f"\n          - type: {result.id}\n            value: {_scalar(result.measurement.value)}\n"
        f"            name: {_quoted(_metric(result))}"
        for result in results
    )
    name = _quoted(f"{manifest.source.name} ({manifest.three_body.method})")
    return (
        "---\nlicense: other\nlicense_name: that-of-the-source-model\nlibrary_name: m3compress\n"
        "tags:\n  - interatomic-potential\n  - m3gnet\n  - molecular-dynamics\n  - onnx\n"
        f"model-index:\n  - name: {name}\n    results:\n"
        "      - task:\n          type: molecular-dynamics\n"
        "        dataset:\n          name: release gate of m3compress\n"
        f"          type: m3compress-gate\n        metrics:{metrics or ' []'}\n---\n"
    )


def _metric(result: CheckResult) -> str:
    where = f" of {result.measurement.structure}" if result.measurement.structure else ""
    return f"{result.measures}{where} ({result.limit.unit})"


def _scalar(value: float | None) -> str:
    """A number that every YAML reader takes for one: YAML 1.1 wants a point in ``1.0e-05``."""
    mantissa, e, exponent = number(value).partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else number(value)


def _quoted(text: str) -> str:
    # A JSON string is a YAML string.
    return json.dumps(text, ensure_ascii=False)


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _row(result: CheckResult) -> str:
    where = f" ({result.measurement.structure})" if result.measurement.structure else ""
    return (
        f"| {result.id}{_cell(where)} | {_cell(result.measures)} | {value_of(result)} | "
        f"{_cell(limit_of(result))} | {_cell(result.limit.unit)} |"
    )
