"""``m3compress conformance``: which clauses of the contract of engines a code keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ase import Atoms
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from m3compress.console import print_fitted, print_json, stage_bar, stderr, wide
from m3compress.contract.backends import is_exported
from m3compress.contract.evaluation import Evaluator
from m3compress.contract.manifest import Manifest
from m3compress.engines.artefact import load_artefact
from m3compress.engines.conformance.contract import examine
from m3compress.engines.conformance.registry import CodeRow, code_named
from m3compress.engines.conformance.report import Clause, Conformance
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import M3CompressError
from m3compress.models.structures.crystals import choose_crystals

_WORDS: Final = {True: "holds", False: "BROKEN", None: "–"}


def run(
    *,
    name: str,
    model: Path,
    against: str | None,
    convention: str | None,
    timestep: float,
    threads: int | None,
    as_json: bool,
) -> int:
    """Judge and print; returns the exit code.

    Raises:
        M3CompressError: If a file cannot be opened, or a runtime is to be compared with nothing.
    """
    row = code_named(name)
    manifest = load_artefact(model).manifest
    reference, title = _reference(row, model, against, convention, manifest, threads)
    code = row.open(model, threads)
    with stage_bar() as report:
        found = examine(
            code,
            reference,
            _crystal(manifest),
            timestep=timestep,
            reference_title=title,
            report=report,
        )
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)
    return 0 if found.holds else 1


def _reference(
    row: CodeRow,
    model: Path,
    against: str | None,
    convention: str | None,
    manifest: Manifest,
    threads: int | None,
) -> tuple[Evaluator, str]:
    """What is right, and its name."""
    if against is None and row.is_runtime:
        raise M3CompressError(
            f"{row.name} runs {model.name} itself, so that there is nothing to compare it with",
            hint="`--against MODEL` names the model it came from, or another exported file of it",
        )
    if against is None or is_exported(against):
        evaluator = ArtefactEvaluator(against or model, threads=threads)
        return evaluator, f"{Path(against or model).name} in {evaluator.description}"
    from m3compress.api import load_potential

    potential = load_potential(against, convention=convention or manifest.source.convention)
    return potential.with_form(manifest.three_body.form.reference), f"{against} in PyTorch"


def _crystal(manifest: Manifest) -> Atoms:
    """The first crystal of two elements, or of one where the model knows but one."""
    crystals = [c.atoms for c in choose_crystals(manifest.elements, cutoff=manifest.cutoff)]
    mixed = [atoms for atoms in crystals if len(set(atoms.symbols)) > 1]
    chosen = (mixed or crystals)[0]
    return chosen if len(chosen) > 1 else chosen.repeat((2, 2, 2))


def _show(found: Conformance) -> None:
    table = Table(
        title=f"{escape(found.code)} against {escape(found.reference)}",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for heading in ("clause", "", "measured", "limit", "unit", "note"):
        table.add_column(
            heading,
            justify="right" if heading in ("measured", "limit") else "left",
            no_wrap=heading != "note",
            overflow="fold",
        )
    for clause in found.clauses:
        table.add_row(*map(Text, _cells(clause)))
    print_fitted(table, map(_in_words, found.clauses), to=wide())
    broken = ", ".join(found.broken)
    stderr().print(f"broken: {broken}" if broken else "all clauses hold", markup=False)


def _in_words(clause: Clause) -> tuple[str, str]:
    """A clause as a paragraph."""
    name, word, value, limit, unit, note = _cells(clause)
    told = f"{word}, {value} {unit}" if value else word
    told = f"{told.rstrip()}, limit {limit} {unit}".rstrip() if limit else told.rstrip()
    return name, f"{told}; {note}" if note else told


def _cells(clause: Clause) -> tuple[str, ...]:
    numbers = ("" if n is None else f"{n:.2g}" for n in (clause.value, clause.limit))
    return (clause.name, _WORDS[clause.holds], *numbers, clause.unit, clause.note)
