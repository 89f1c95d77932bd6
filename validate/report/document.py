"""The one document of a finished run, from which every report is made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError, computed_field

from m3compress.contract.manifest import UNNAMED_ENGINE, Manifest
from m3compress.errors import M3CompressError
from m3compress.validate.result import CheckResult, Strict, Verdict, judge
from m3compress.validate.setup.profiles import Profile

#: Raised with every change that an older reader would misread.
SCHEMA_VERSION: Final = 2
#: Written before the verdict was a field: it is made of the results, as it was then.
_WITHOUT_VERDICT: Final = 1
#: Arrays of numbers, in which one that is not finite is written as null.
_NUMBERS: Final = frozenset({"interval", "x", "y", "low", "high"})


class ArtefactInfo(Strict):
    """The exported file that was measured.

    Attributes:
        name: Of the file.
        sha256: Hash of the file.
        manifest_sha256: Hash of what its manifest says, apart from the gate's own stamp.
        elements: Chemical symbols.
        three_body: What was done to the three-body block.
        precision: Arithmetic of the network.
        engine: What ran it, with its version and where; empty in older reports.
    """

    name: str
    sha256: str
    manifest_sha256: str
    elements: tuple[str, ...]
    three_body: str
    precision: str
    engine: str = ""


def manifest_sha256(manifest: Manifest) -> str:
    """Hash of a manifest without the stamp of the gate."""
    left_out: dict[str, Any] = {"gate": True}
    # Fields that say what an older manifest meant without them: the hashes of its report hold.
    for name in ("graph_parity", "shortest_distances"):
        if getattr(manifest, name) is None:
            left_out[name] = True
    if manifest.parity is not None and manifest.parity.engine == UNNAMED_ENGINE:
        left_out["parity"] = {"engine": True}
    content = manifest.model_dump_json(exclude=left_out)
    return hashlib.sha256(content.encode()).hexdigest()


class ReferenceInfo(Strict):
    """The trained model that it was compared with.

    Attributes:
        name: Of its file or folder.
        sha256: Hash of its weights.
        convention: What its weights mean; empty in older reports where no user gave it.
        format: Of the file.
        decided_by: How the convention was found, in words; empty in older reports.
    """

    name: str
    sha256: str
    convention: str
    format: str
    decided_by: str = ""


class StudentInfo(Strict):
    """The student that was compared with its teacher, and what it is for.

    Attributes:
        teacher: What its teacher is called.
        teacher_sha256: Hash of what decides the teacher's numbers.
        elements: Chemical symbols that it was shown.
        temperatures: Of dynamics in K, lowest and highest; None if there were none.
        shortest: Shortest distance in Å of each pair of elements.
        densities: Lowest and highest in g/cm³.
    """

    teacher: str
    teacher_sha256: str
    elements: tuple[str, ...]
    temperatures: tuple[float, float] | None
    shortest: dict[str, float]
    densities: tuple[float, float]


class Dynamics(Strict):
    """What molecular dynamics ran on.

    Attributes:
        formula: Of one unit.
        n_atoms: Of the cell.
        n_replicas: Independent runs of file and of model each.
        duration: Sampled time of each in ps.
        temperature: In K.
    """

    formula: str
    n_atoms: int
    n_replicas: int
    duration: float
    temperature: float


class Coverage(Strict):
    """What was compared, of all that the model claims to know.

    Attributes:
        elements_compared: Elements whose energies and forces were compared.
        elements_declared: Elements that the model knows.
        elements_in_dynamics: Elements that molecular dynamics ran with.
        pairs_compared: Pairs of elements that were neighbours in what was compared.
        pairs_possible: All pairs, those of like elements among them.
        largest_cell: Most atoms of a structure that was compared.
        dynamics: Of every structure; none if nothing ran.
    """

    elements_compared: int
    elements_declared: int
    elements_in_dynamics: int
    pairs_compared: int
    pairs_possible: int
    largest_cell: int
    dynamics: tuple[Dynamics, ...]


class ChangedOption(Strict):
    """A field of the profile that a user changed.

    Attributes:
        name: The field.
        value: What it was for this run.
        shipped: What it is in the profile.
    """

    name: str
    value: float | None
    shipped: float | None


class Report(Strict):
    """Everything that a run found; numbers that are not finite are written as null.

    Attributes:
        schema_version: Of this document.
        created: When the run ended, ISO 8601.
        tools: Versions of the packages that the numbers depend on.
        machine: What it ran on.
        artefact: What was measured; None where a control stood in for a file.
        reference: What it was compared with.
        student: What it is a student of, where it was compared with its teacher.
        profile: How much was measured.
        changed_options: Where that differs from the profile of its name.
        coverage: What was compared; None in older reports, which do not say it.
        seed: Seed of every random number.
        command: The command line.
        results: Every check, in the order in which they ran.
        not_checked: What was not measured, and why.
        notes: What a reader must know before believing the result.
        seconds: How long it took.
    """

    schema_version: int = SCHEMA_VERSION
    created: str
    tools: dict[str, str]
    machine: dict[str, str]
    artefact: ArtefactInfo | None
    reference: ReferenceInfo
    profile: Profile
    changed_options: tuple[ChangedOption, ...] = ()
    coverage: Coverage | None = None
    student: StudentInfo | None = None
    seed: int
    command: str
    results: tuple[CheckResult, ...]
    not_checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Verdict:
        """See :func:`verdict_of`: written, and compared with the results when it is read."""
        return verdict_of(self.results)


def verdict_of(results: Sequence[CheckResult]) -> Verdict:
    """The verdict of all mandatory checks of the candidate together.

    One that failed or had an error fails all, and so does having measured none; else one that is
    inconclusive leaves all inconclusive.
    """
    deciding = [result.verdict for result in results if result.decides]
    if Verdict.FAIL in deciding or Verdict.ERROR in deciding:
        return Verdict.FAIL
    if Verdict.INCONCLUSIVE in deciding:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if Verdict.PASS in deciding else Verdict.FAIL


def exit_code(verdict: Verdict, *, strict: bool) -> int:
    """0 passed, 1 failed, 3 inconclusive (1 if ``strict``)."""
    if verdict is Verdict.PASS:
        return 0
    return 3 if verdict is Verdict.INCONCLUSIVE and not strict else 1


def read_json(path: Path) -> Report:
    """Read a ``report.json``.

    Args:
        path: The file, or the folder with reports that holds it.

    Raises:
        M3CompressError: If it cannot be read, is no report, has another schema version, or says a
            verdict that is not that of its own numbers.
    """
    hint = "give a report.json of the gate, or the --report-dir that holds it"
    path = path / "report.json" if path.is_dir() else path
    if not path.exists():
        raise M3CompressError(f"there is no {path}, expected a report.json", hint=hint)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is no JSON: {error}"
        raise M3CompressError(f"{path} cannot be read as a report: {reason}", hint=hint) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version not in (_WITHOUT_VERDICT, SCHEMA_VERSION):
        raise M3CompressError(
            f"{path} has schema version {version}, this m3compress reads {SCHEMA_VERSION} "
            f"and {_WITHOUT_VERDICT}",
            hint="give a report.json of the gate of this version",
        )
    if isinstance(document.get("profile"), dict):
        # Earlier reports say how long a run was meant to take, which nothing ever read.
        document["profile"].pop("budget", None)
    said = document.pop("verdict", None)
    try:
        report = Report.model_validate(_with_nans(document) | {"schema_version": SCHEMA_VERSION})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise M3CompressError(f"{path} is no report: {place}: {first['msg']}") from error
    _require_own_verdicts(path, report, report.verdict if version == _WITHOUT_VERDICT else said)
    return report


def _require_own_verdicts(path: Path, report: Report, said: str | None) -> None:
    """Refuse a report whose verdicts are not those of its numbers and limits.

    Raises:
        M3CompressError: If one is not.
    """
    told = [(r.id, r.verdict, judge(r.measurement, r.limit)) for r in report.results]
    for what, written, found in (*told, ("the whole report", said, report.verdict)):
        if written != found:
            raise M3CompressError(
                f"{path} contradicts itself: its verdict of {what} is {written}, "
                f"its numbers say {found}",
                hint="it was changed after it was written: run the gate again",
            )


def _with_nans(node: Any) -> Any:
    """JSON with the nulls inside of intervals and curves read as what they were: no numbers."""
    if isinstance(node, list):
        return [_with_nans(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: [math.nan if number is None else number for number in value]
        if key in _NUMBERS and isinstance(value, list)
        else value
        if key == "evidence"
        else _with_nans(value)
        for key, value in node.items()
    }


def schema() -> str:
    """The JSON Schema of ``report.json``, as it is committed beside this module."""
    document = Report.model_json_schema(mode="serialization")
    for name, place in (("Curve", "items"), ("Measurement", "prefixItems")):
        properties = document["$defs"][name]["properties"]
        for key in _NUMBERS & properties.keys():
            _allow_null(properties[key], place)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _allow_null(node: dict[str, Any], place: str) -> None:
    """Let the numbers of an array be null, which is how one that is not finite is written."""
    for variant in (node, *node.get("anyOf", ())):
        if place == "items" and "items" in variant:
            variant["items"] = {"type": ["number", "null"]}
        elif "prefixItems" in variant:
            variant["prefixItems"] = [{"type": ["number", "null"]}] * 2
