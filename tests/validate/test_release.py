"""A bundle holds what passed, and nothing else: every changed byte is found."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import pytest
from random_networks import write_native_artefact

from m3compress.commands.release import run_release, run_verify
from m3compress.contract.forms import FACTORIZED
from m3compress.engines.artefact import load_artefact
from m3compress.errors import M3CompressError, OutputExistsError
from m3compress.models.potential import Potential
from m3compress.validate.release import VerificationError, verify, write_bundle
from m3compress.validate.report.document import (
    ArtefactInfo,
    ReferenceInfo,
    Report,
    manifest_sha256,
)
from m3compress.validate.report.write import write_reports
from m3compress.validate.result import CheckResult, Limit, Measurement, Shipped, Tier, judge
from m3compress.validate.setup.profiles import SMOKE
from m3compress.validate.setup.settings import Settings


def make_report(artefact: Path, value: float, shipped: float | None = None) -> Report:
    """A report of one mandatory check with limit 1, which was another one before if given."""
    manifest = load_artefact(artefact).manifest
    before = None if shipped is None else Shipped(value=shipped, mandatory=True)
    limit = Limit(
        value=1.0, unit="eV", source="a test", overridden=before is not None, shipped=before
    )
    measurement = Measurement(value=value)
    return Report(
        created="2026-01-01T00:00:00+00:00",
        tools={},
        machine={"system": "Linux", "architecture": "x86_64", "processors": "2"},
        artefact=ArtefactInfo(
            name=artefact.name,
            sha256=str(manifest.artefact_sha256),
            manifest_sha256=manifest_sha256(manifest),
            elements=manifest.elements,
            three_body="factorized",
            precision="float32",
        ),
        reference=ReferenceInfo(name="builtin", sha256="", convention="", format="matgl"),
        profile=SMOKE,
        seed=0,
        command="m3compress validate",
        results=(
            CheckResult(
                id="parity.energy",
                tier=Tier.PARITY,
                subject="artefact",
                measures="something",
                limit=limit,
                verdict=judge(measurement, limit),
                measurement=measurement,
            ),
        ),
        seconds=1.0,
    )


@pytest.fixture
def reports(silica_artefact: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    write_reports(make_report(silica_artefact, 0.5), folder, env={})
    return folder


def test_a_native_file_is_bundled_and_verified(
    builtin_potential: Potential, tmp_path: Path
) -> None:
    potential = builtin_potential.with_form(FACTORIZED)
    artefact = write_native_artefact(tmp_path / "silica.m3c.safetensors", potential)
    write_reports(make_report(artefact, 0.5), tmp_path / "reports", env={})
    output = tmp_path / "silica.m3c"
    assert write_bundle(artefact, tmp_path / "reports", output, force=False) == verify(output)
    manifest = load_artefact(output / artefact.name).manifest
    assert (manifest.backend, manifest.gate.status) == ("native", "passed")


def test_release_exports_to_the_target_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def export(source: str, path: Path, **options: object) -> None:
        asked.append((source, path.name, options["target"]))
        raise M3CompressError("that is enough")

    monkeypatch.setattr("m3compress.commands.release.export_model", export)
    settings = Settings(artefact=Path(), model="builtin")
    for target in ("onnx", "native"):
        with pytest.raises(M3CompressError, match="enough"):
            run_release(
                settings=settings,
                target=target,
                three_body="auto",
                output=tmp_path / "bundle",
                report_dir=tmp_path / target,
                allow_overrides=False,
                resume=False,
                force=False,
                strict=False,
                as_json=False,
            )
    assert asked == [
        ("builtin", "builtin.m3c.onnx", "onnx"),
        ("builtin", "builtin.m3c.safetensors", "native"),
    ]


@pytest.mark.parametrize("name", ["silica.m3c", "silica.zip"])
def test_what_passed_is_bundled_stamped_and_verified(
    name: str, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    bundle = write_bundle(silica_artefact, reports, output, force=False)
    assert verify(output) == bundle
    assert bundle.profile == "smoke"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert load_artefact(silica_artefact).manifest.gate.status == "unvalidated"
    if output.suffix == ".zip":
        with zipfile.ZipFile(output) as archive:
            manifest = json.loads(archive.read("silica.m3c.json"))
    else:
        manifest = json.loads((output / "silica.m3c.json").read_text())
        assert "silica.m3c.onnx" in (output / "README.md").read_text()
    assert manifest["gate"] == {"status": "passed", "report_sha256": bundle.report_sha256}


@pytest.mark.parametrize("name", ["silica.m3c.onnx", "silica.m3c.json", "report.json"])
def test_one_changed_byte_is_found(
    name: str, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    write_bundle(silica_artefact, reports, output, force=False)
    content = bytearray((output / name).read_bytes())
    content[len(content) // 2] ^= 1
    (output / name).write_bytes(bytes(content))
    with pytest.raises(VerificationError) as caught:
        verify(output)
    assert caught.value.exit_code == 1


def _small_zip(whole: Path, small: Path) -> bytes:
    """The bundle with a short file in place of the model: every part of a zip in a few kB."""
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(small, "w", 8) as other:
        for name in archive.namelist():
            content = archive.read(name)
            other.writestr(name, content[:3000] if name.endswith(".onnx") else content)
    return small.read_bytes()


def test_one_flipped_bit_of_a_zip_is_an_error_that_says_so(
    silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output, flipped = tmp_path / "bundle.zip", tmp_path / "flipped.zip"
    write_bundle(silica_artefact, reports, output, force=False)
    whole, small = output.read_bytes(), _small_zip(output, tmp_path / "small.zip")
    # Headers of the first file, its data, those of all files, and the directory at the end.
    places = [(whole, i) for i in (*range(60), *range(60, len(whole), len(whole) // 40))]
    places += [(small, i) for i in range(0, len(small), 7)]
    places += [(small, i) for i in range(len(small) - 700, len(small))]
    found = set()
    for content, i in places:
        changed = bytearray(content)
        changed[i] ^= 1 << i % 8
        flipped.write_bytes(changed)
        try:
            verify(flipped)
        except M3CompressError as error:
            found.add(type(error.__context__))
    assert zlib.error in found


def test_a_zip_that_writes_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../report.json", "{}")
    with pytest.raises(VerificationError, match="holds"):
        verify(path)


def test_what_failed_is_not_released(silica_artefact: Path, tmp_path: Path) -> None:
    write_reports(make_report(silica_artefact, 2.0), tmp_path / "reports", env={})
    with pytest.raises(M3CompressError, match="only what passed"):
        write_bundle(silica_artefact, tmp_path / "reports", tmp_path / "b", force=False)
    assert not (tmp_path / "b").exists()


def test_loosened_limits_are_released_only_where_they_are_allowed(
    silica_artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports, output = tmp_path / "reports", tmp_path / "b"
    write_reports(make_report(silica_artefact, 0.5, shipped=0.1), reports, env={})
    with pytest.raises(M3CompressError, match=r"limits were loosened: parity\.energy") as caught:
        write_bundle(silica_artefact, reports, output, force=False)
    assert "--allow-overrides" in str(caught.value.hint)
    assert not output.exists()
    bundle = write_bundle(silica_artefact, reports, output, force=False, allow_overrides=True)
    assert bundle.loosened == ("parity.energy",)
    card = (output / "README.md").read_text(encoding="utf-8")
    assert "against limits that a user loosened (parity.energy)" in card
    assert "- changed: parity.energy 1 eV instead of 0.1, looser" in card
    assert "| 1\\* |" in card
    assert run_verify(bundle=output, as_json=False) == 0
    said = capsys.readouterr().out
    assert "certified against limits that a user loosened (parity.energy)" in said
    assert "changed    parity.energy 1 eV instead of 0.1, looser" in said
    assert run_verify(bundle=output, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["loosened"] == ["parity.energy"]
    assert document["overrides"][0]["kind"] == "looser"


def test_tightened_limits_are_released(silica_artefact: Path, tmp_path: Path) -> None:
    write_reports(make_report(silica_artefact, 0.5, shipped=9.0), tmp_path / "reports", env={})
    bundle = write_bundle(silica_artefact, tmp_path / "reports", tmp_path / "b", force=False)
    assert bundle.loosened == ()
    assert [one.kind for one in bundle.overrides] == ["tighter"]


def test_a_release_with_loosened_limits_stops_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(artefact=Path(), model="no-such-model", limit=("inv.energy=5",))
    options = {"three_body": "auto", "report_dir": None, "resume": False}
    options |= {"output": tmp_path / "b", "force": False, "strict": False, "as_json": False}
    with pytest.raises(M3CompressError, match=r"limits were loosened: inv\.energy"):
        run_release(settings=settings, allow_overrides=False, **options)
    with pytest.raises(M3CompressError, match="no-such-model"):
        run_release(settings=settings, allow_overrides=True, **options)
    assert not list(tmp_path.iterdir())


def test_a_report_about_another_file_is_refused(silica_artefact: Path, tmp_path: Path) -> None:
    report = make_report(silica_artefact, 0.5)
    assert report.artefact is not None
    other = report.artefact.model_copy(update={"sha256": "0" * 64})
    write_reports(report.model_copy(update={"artefact": other}), tmp_path / "reports", env={})
    with pytest.raises(M3CompressError, match="not about"):
        write_bundle(silica_artefact, tmp_path / "reports", tmp_path / "b", force=False)


def test_a_pass_cannot_be_stamped_by_hand(
    silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    """A failed report with the right hash in the manifest is still a failed report."""
    import hashlib

    output = tmp_path / "bundle"
    write_bundle(silica_artefact, reports, output, force=False)
    failed = make_report(silica_artefact, 2.0).model_dump_json()
    (output / "report.json").write_text(failed)
    manifest = json.loads((output / "silica.m3c.json").read_text())
    manifest["gate"]["report_sha256"] = hashlib.sha256(failed.encode()).hexdigest()
    (output / "silica.m3c.json").write_text(json.dumps(manifest))
    with pytest.raises(VerificationError, match="the report says fail"):
        verify(output)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_bundle_is_replaced_with_force_alone(
    name: str, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    if output.suffix != ".zip":
        output.mkdir()
        write_bundle(silica_artefact, reports, output, force=True)
    else:
        output.write_text("a file")
    with pytest.raises(OutputExistsError, match="exists"):
        write_bundle(silica_artefact, reports, output, force=False)
    if output.is_dir():
        (output / "README.md").write_text("damaged")
    assert write_bundle(silica_artefact, reports, output, force=True) == verify(output)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
@pytest.mark.parametrize("within", [False, True])
def test_force_replaces_no_folder_of_others(
    name: str, *, within: bool, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    if within and name == "bundle":
        write_bundle(silica_artefact, reports, output, force=False)
    else:
        output.mkdir()
    (output / "precious").write_text("")
    with pytest.raises(OutputExistsError, match="bundle") as caught:
        write_bundle(silica_artefact, reports, output, force=True)
    assert "move the folder elsewhere" in str(caught.value.hint)
    assert (output / "precious").exists()


def test_a_lone_file_of_a_bundle_makes_no_bundle(
    silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "README.md").write_text("of somebody's repository")
    with pytest.raises(OutputExistsError, match="it lacks files of a bundle"):
        write_bundle(silica_artefact, reports, tmp_path / "code", force=True)
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "name", ["README.md", "summary.md", "report.html", "junit.xml", "SHA256SUMS"]
)
@pytest.mark.parametrize("gone", [False, True])
def test_every_file_of_a_bundle_is_checked(
    name: str, *, gone: bool, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    assert write_bundle(silica_artefact, reports, output, force=False).unchecked == ()
    path = output / name
    if not gone:
        path.write_bytes(path.read_bytes() + b"more")
    elif name != "SHA256SUMS":
        path.unlink()
    else:
        path.write_text("")
    with pytest.raises(VerificationError, match=r"was changed|is missing|was added") as caught:
        verify(output)
    assert caught.value.exit_code == 1
    assert "get the bundle again" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["other.pt", "folder/file"])
def test_foreign_files_are_named(
    name: str, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    write_bundle(silica_artefact, reports, output, force=False)
    (output / name).parent.mkdir(exist_ok=True)
    (output / name).write_text("")
    with pytest.raises(VerificationError, match=f"not released with it: {name.partition('/')[0]}"):
        verify(output)


def test_what_a_host_adds_is_named_and_passes(
    silica_artefact: Path, reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundle"
    write_bundle(silica_artefact, reports, output, force=False)
    (output / ".gitattributes").write_text("")
    (output / ".git").mkdir()
    assert run_verify(bundle=output, as_json=False) == 0
    assert "unchecked  .git/, .gitattributes\n" in capsys.readouterr().out


def test_a_bundle_of_an_earlier_version_is_verified_as_far_as_it_goes(
    silica_artefact: Path, reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundle"
    write_bundle(silica_artefact, reports, output, force=False)
    (output / "SHA256SUMS").unlink()
    assert run_verify(bundle=output, as_json=False) == 0
    told = "README.md, report.html, junit.xml, summary.md (no SHA256SUMS"
    assert told in capsys.readouterr().out
    assert run_verify(bundle=output, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["has_sums"], len(document["unchecked"])) == (False, 4)
    (output / "other.pt").write_text("")
    with pytest.raises(VerificationError, match=r"not released with it: other\.pt"):
        verify(output)


@pytest.mark.parametrize("what", ["nothing", "empty folder", "two artefacts"])
def test_what_is_no_bundle_cannot_be_verified(
    what: str, silica_artefact: Path, reports: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    if what == "empty folder":
        output.mkdir()
    elif what == "two artefacts":
        write_bundle(silica_artefact, reports, output, force=False)
        (output / "other.m3c.onnx").write_bytes(b"")
    with pytest.raises(M3CompressError) as caught:
        verify(output)
    assert caught.value.exit_code == 2
