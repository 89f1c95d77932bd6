"""A released model: one folder with the artefact, its report and its card, and how to check it.

The manifest of a released artefact says ``passed`` with the hash of the report, and the report
names the hash of the artefact: neither can be exchanged alone. :func:`verify` needs no torch.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from m3compress.contract.backends import artefact_suffixes, manifest_path
from m3compress.contract.files import move_into_place, sha256_of, workplace
from m3compress.contract.manifest import GateStamp
from m3compress.engines.artefact import Artefact, load_artefact
from m3compress.errors import M3CompressError, OutputExistsError
from m3compress.validate.report.card import model_card
from m3compress.validate.report.document import Report, manifest_sha256, read_json
from m3compress.validate.report.overrides import Override, loosened, overrides_of
from m3compress.validate.report.scope import scope
from m3compress.validate.result import Verdict

REPORT = "report.json"
CARD = "README.md"
_BESIDE_THE_REPORT = ("report.html", "junit.xml", "summary.md")


class VerificationError(M3CompressError):
    """A bundle is not what was released."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was verified.

    Attributes:
        path: Folder or zip file.
        artefact: Name of the exported file.
        artefact_sha256: Its hash.
        report_sha256: Hash of the report.
        profile: Profile of the gate that passed.
        scope: What that verdict holds for, in words.
        overrides: What a user had changed of the profile and its limits.
    """

    path: Path
    artefact: str
    artefact_sha256: str
    report_sha256: str
    profile: str
    scope: str
    overrides: tuple[Override, ...]

    @property
    def loosened(self) -> tuple[str, ...]:
        """Ids of the checks that refused less than those of the profile."""
        return tuple(one.name for one in self.overrides if one.kind == "looser")


def write_bundle(
    artefact: Path, reports: Path, output: Path, *, force: bool, allow_overrides: bool = False
) -> Bundle:
    """Stamp an artefact that passed, and put it with its reports and card in one place.

    Args:
        artefact: The exported file; it stays as it is.
        reports: Folder with the reports of a run that passed.
        output: Folder to make, or a ``.zip`` file.
        force: Replace what is there.
        allow_overrides: Take a report that passed because a user loosened limits; the bundle says
            so wherever it is looked at.

    Raises:
        M3CompressError: If the report is not one of this artefact or did not pass, limits were
            loosened, or ``output`` exists or cannot be written.
    """
    if output.exists() and not force:
        raise OutputExistsError(f"{output} exists", hint="`--force` overwrites it")
    loaded, report = load_artefact(artefact), read_json(reports / REPORT)
    _require_passed(loaded, report)
    if not allow_overrides:
        refuse_loosened(loosened(report))
    with workplace(output) as hidden:
        made = hidden / output.name
        folder = hidden / "unpacked" if output.suffix == ".zip" else made
        _fill(folder, loaded, report, reports)
        verify(folder)
        if folder != made:
            _zip(folder, made)
        move_into_place(hidden, output)
    return verify(output)


def refuse_loosened(names: Sequence[str]) -> None:
    """Refuse to release what is judged more kindly than the profile would.

    Tighter limits, and more or less sampling, release as they are: the first refuse more, less
    sampling widens intervals, and what these do not exclude does not pass.

    Args:
        names: Ids of the checks whose limits were loosened.

    Raises:
        M3CompressError: If there are any.
    """
    if names:
        raise M3CompressError(
            f"limits were loosened: {', '.join(names)}; a release passes those of its profile",
            hint="--allow-overrides releases it all the same, marked as such in report and card",
        )


def _require_passed(artefact: Artefact, report: Report) -> None:
    if report.verdict is not Verdict.PASS:
        raise M3CompressError(f"the report says {report.verdict}, and only what passed is released")
    about = report.artefact
    if about is None or about.sha256 != artefact.manifest.artefact_sha256:
        raise M3CompressError(f"the report is not about {artefact.path.name}")
    if about.manifest_sha256 != manifest_sha256(artefact.manifest):
        raise M3CompressError(f"the manifest of {artefact.path.name} was changed since it passed")


def _fill(folder: Path, artefact: Artefact, report: Report, reports: Path) -> None:
    folder.mkdir()
    for name in (REPORT, *_BESIDE_THE_REPORT):
        if (reports / name).is_file():
            shutil.copyfile(reports / name, folder / name)
    report_sha256 = sha256_of(folder / REPORT)
    stamped = artefact.manifest.model_copy(
        update={"gate": GateStamp(status="passed", report_sha256=report_sha256)}
    )
    shutil.copyfile(artefact.path, folder / artefact.path.name)
    manifest = manifest_path(folder / artefact.path.name)
    manifest.write_text(stamped.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(model_card(report, stamped, report_sha256), encoding="utf-8")


def verify(bundle: Path) -> Bundle:
    """Check that a bundle is whole and that its gate passed.

    Args:
        bundle: A folder or a zip file that :func:`write_bundle` made.

    Raises:
        VerificationError: If a byte of artefact, manifest or report was changed, or nothing passed.
        M3CompressError: If it is not a bundle.
    """
    with _opened(bundle) as folder:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(artefact_suffixes()))
        if len(found) != 1 or not (folder / REPORT).is_file():
            raise M3CompressError(
                f"{bundle} is not a released model: {len(found)} exported files, "
                f"{'a' if (folder / REPORT).is_file() else 'no'} {REPORT}",
                hint="a bundle is what `m3compress release` wrote",
            )
        return _verify_folder(bundle, folder, found[0])


def _verify_folder(bundle: Path, folder: Path, file: Path) -> Bundle:
    try:
        artefact = load_artefact(file)
    except M3CompressError as error:
        raise VerificationError(error.message, hint=error.hint) from error
    gate, digest = artefact.manifest.gate, sha256_of(folder / REPORT)
    if gate.status != "passed":
        raise VerificationError(
            f"{file.name} has not passed the gate", hint="release it with `m3compress release`"
        )
    if gate.report_sha256 != digest:
        raise VerificationError(
            f"{REPORT} was changed: sha256 {digest[:12]}…, "
            f"the manifest says {str(gate.report_sha256)[:12]}…",
            hint="get the bundle again from where it was released",
        )
    report = read_json(folder / REPORT)
    try:
        _require_passed(artefact, report)
    except M3CompressError as error:
        raise VerificationError(error.message, hint=error.hint) from error
    return Bundle(
        path=bundle,
        artefact=file.name,
        artefact_sha256=str(artefact.manifest.artefact_sha256),
        report_sha256=digest,
        profile=report.profile.name,
        scope=scope(report),
        overrides=overrides_of(report),
    )


@contextmanager
def _opened(bundle: Path) -> Iterator[Path]:
    """The folder of a bundle; a zip file is unpacked into a temporary one."""
    if bundle.is_dir():
        yield bundle
        return
    if not bundle.is_file():
        raise M3CompressError(f"there is no {bundle}", hint="give the folder or zip of a release")
    with tempfile.TemporaryDirectory(prefix="m3compress-") as folder:
        try:
            with zipfile.ZipFile(bundle) as archive:
                # Flat by construction: a name with a path in it is not ours.
                for name in archive.namelist():
                    if Path(name).name != name:
                        raise VerificationError(f"{bundle.name} holds {name!r}, which is no file")
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError, RuntimeError) as error:
            raise VerificationError(
                f"{bundle.name} is not a sound zip file: {error}", hint="get it again"
            ) from error
        yield Path(folder)


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
