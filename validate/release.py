"""A released model: one folder with the artefact, its report and its card, and how to check it.

The manifest of a released artefact says ``passed`` with the hash of the report, and the report
names the hash of the artefact: neither can be exchanged alone. The hashes of all files stand in
``SHA256SUMS``, those of the card and of the summary among them. :func:`verify` needs no torch.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from m3compress.contract.backends import artefact_suffixes, manifest_path
from m3compress.contract.files import move_into_place, refuse_folder, sha256_of, workplace
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
#: Hashes of all other files, as ``sha256sum --check`` reads them; earlier versions wrote none.
SUMS = "SHA256SUMS"
_BESIDE_THE_REPORT = ("report.html", "junit.xml", "summary.md")
_AGAIN = "get the bundle again from where it was released"
#: Of files that do not belong to a bundle: a user may have named the home folder.
_MAX_NAMES = 5
_SHA256 = re.compile("[0-9a-f]{64}")


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
        unchecked: Names in the bundle of which nothing is known: hidden ones, and where there is no
            ``SHA256SUMS``, the card and what stands beside the report.
        has_sums: Whether there is a ``SHA256SUMS``.
    """

    path: Path
    artefact: str
    artefact_sha256: str
    report_sha256: str
    profile: str
    scope: str
    overrides: tuple[Override, ...]
    unchecked: tuple[str, ...]
    has_sums: bool

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
        force: Replace a bundle or a file that is there, and nothing else.
        allow_overrides: Take a report that passed because a user loosened limits; the bundle says
            so wherever it is looked at.

    Raises:
        M3CompressError: If the report is not one of this artefact or did not pass, limits were
            loosened, or ``output`` is in the way or cannot be written.
    """
    require_replaceable(output, force=force)
    loaded, report = load_artefact(artefact), read_json(reports / REPORT)
    _require_passed(loaded, report)
    if not allow_overrides:
        refuse_loosened(loosened(report))
    with workplace(output) as hidden:
        made = hidden / output.name
        folder = hidden / "unpacked" if _is_zip(output) else made
        _fill(folder, loaded, report, reports)
        verify(folder)
        if folder != made:
            _zip(folder, made)
        move_into_place(hidden, output)
    return verify(output)


def require_replaceable(output: Path, *, force: bool) -> None:
    """Refuse a place for a bundle where something is that must stay.

    Args:
        output: The folder or ``.zip`` file to be made.
        force: Whether a bundle, an empty folder or a file that is there may go.

    Raises:
        OutputExistsError: If something is there and ``force`` is not given, or it is a folder with
            files that :func:`write_bundle` does not write.
    """
    if output.exists() and not force:
        raise OutputExistsError(f"{output} exists", hint="`--force` overwrites it")
    if not output.is_dir():
        return
    if _is_zip(output):
        refuse_folder(output)
    foreign = _foreign(output)
    artefacts = _artefacts(output)
    if any(output.iterdir()) and (foreign or len(artefacts) != 1 or not _has_report(output)):
        found = f"it holds {_some(foreign)}" if foreign else "it lacks files of a bundle"
        raise OutputExistsError(
            f"{output} is in the way, and is no folder that `release` wrote: {found}",
            hint="give another -o, or move the folder elsewhere; `--force` replaces bundles only",
        )


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
    sums = "".join(f"{sha256_of(file)}  {file.name}\n" for file in sorted(folder.iterdir()))
    (folder / SUMS).write_text(sums, encoding="utf-8")


def verify(bundle: Path) -> Bundle:
    """Check that a bundle is whole and that its gate passed.

    Args:
        bundle: A folder or a zip file that :func:`write_bundle` made.

    Raises:
        VerificationError: If a byte of it was changed, nothing passed, or there are files that were
            not released with it; hidden files do not count, which whoever keeps a folder adds.
        M3CompressError: If it is not a bundle.
    """
    with _opened(bundle) as folder:
        found = _artefacts(folder)
        if len(found) != 1 or not _has_report(folder):
            raise M3CompressError(
                f"{bundle} is not a released model: {len(found)} exported files, "
                f"{'a' if _has_report(folder) else 'no'} {REPORT}",
                hint="a bundle is what `m3compress release` wrote",
            )
        return _verify_folder(bundle, folder, found[0])


def _is_zip(output: Path) -> bool:
    return output.suffix == ".zip"


def _artefacts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(artefact_suffixes()))


def _has_report(folder: Path) -> bool:
    return (folder / REPORT).is_file()


def _foreign(folder: Path) -> tuple[str, ...]:
    """Names in a folder that no bundle has, folders with a slash."""
    ours = {REPORT, CARD, SUMS, *_BESIDE_THE_REPORT}
    for file in _artefacts(folder):
        ours |= {file.name, manifest_path(file).name}
    return tuple(
        f"{path.name}/" if path.is_dir() else path.name
        for path in sorted(folder.iterdir())
        if path.is_dir() or path.name not in ours
    )


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
            hint=_AGAIN,
        )
    report = read_json(folder / REPORT)
    try:
        _require_passed(artefact, report)
    except M3CompressError as error:
        raise VerificationError(error.message, hint=error.hint) from error
    foreign = [name for name in _foreign(folder) if not name.startswith(".")]
    if foreign:
        raise VerificationError(
            f"{bundle} holds what was not released with it: {_some(foreign)}",
            hint="take away what does not belong there, or get the bundle again",
        )
    has_sums = (folder / SUMS).is_file()
    if has_sums:
        _require_sums(folder)
    return Bundle(
        path=bundle,
        artefact=file.name,
        artefact_sha256=str(artefact.manifest.artefact_sha256),
        report_sha256=digest,
        profile=report.profile.name,
        scope=scope(report),
        overrides=overrides_of(report),
        unchecked=(*_foreign(folder), *(() if has_sums else _without_hash(folder))),
        has_sums=has_sums,
    )


def _without_hash(folder: Path) -> list[str]:
    """Names of the files that neither the manifest nor the report tells anything of."""
    return [name for name in (CARD, *_BESIDE_THE_REPORT) if (folder / name).is_file()]


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _require_sums(folder: Path) -> None:
    """Compare all files with their hashes.

    Raises:
        VerificationError: If one was changed, is missing, or has no hash.
    """
    written = _read_sums(folder / SUMS)
    there = {file.name for file in folder.iterdir() if not file.name.startswith(".")} - {SUMS}
    for name in sorted({*written, *there}):
        if name not in there:
            what = f"{name} is missing: {SUMS} has a hash of it"
        elif name not in written:
            what = f"{name} was added: {SUMS} has no hash of it"
        elif (found := sha256_of(folder / name)) != written[name]:
            what = f"{name} was changed: sha256 {found[:12]}…, {SUMS} says {written[name][:12]}…"
        else:
            continue
        raise VerificationError(what, hint=_AGAIN)


def _read_sums(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path.name} cannot be read: {error}", hint=_AGAIN) from error
    sums = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        if not _SHA256.fullmatch(digest) or Path(name).name != name:
            raise VerificationError(
                f"{path.name} was changed: {line[:100]!r} is not a hash, two spaces and a name",
                hint=_AGAIN,
            )
        sums[name] = digest
    return sums


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
                _require_flat(bundle, archive.namelist())
                archive.extractall(folder)
        except M3CompressError:
            raise
        except Exception as error:  # what zipfile and its decoders raise has no common base
            reason = str(error) or "it ends too soon"  # EOFError says nothing
            raise VerificationError(
                f"{bundle.name} is not a sound zip file: {reason}", hint=_AGAIN
            ) from error
        yield Path(folder)


def _require_flat(bundle: Path, names: Sequence[str]) -> None:
    """Refuse names with a path in them: what `release` writes is flat."""
    for name in names:
        if Path(name).name != name:
            raise VerificationError(f"{bundle.name} holds {name!r}, which is no file")


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
