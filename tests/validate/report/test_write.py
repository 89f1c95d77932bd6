"""All files or an error that says which, and no half of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from junitparser import JUnitXml

from m3compress.errors import M3CompressError
from m3compress.validate.report.document import Report, read_json
from m3compress.validate.report.write import require_writable, write_reports

NAMES = ["junit.xml", "report.html", "report.json", "summary.md"]


def test_four_files(full_report: Report, tmp_path: Path) -> None:
    folder, second = tmp_path / "new" / "reports", tmp_path / "ci" / "junit.xml"
    for _ in range(2):
        write_reports(full_report, folder, junit=second, env={})
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert read_json(folder / "report.json") == full_report
    assert second.read_bytes() == (folder / "junit.xml").read_bytes()
    assert JUnitXml.fromfile(str(second)).failures == 1
    write_reports(full_report, folder, strict=True, env={})
    assert JUnitXml.fromfile(str(folder / "junit.xml")).failures == 2


def test_summary_of_a_step_is_appended(full_report: Report, tmp_path: Path) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")
    write_reports(full_report, tmp_path / "r", env={"GITHUB_STEP_SUMMARY": str(step)})
    summary = (tmp_path / "r" / "summary.md").read_text(encoding="utf-8")
    assert step.read_text(encoding="utf-8") == f"before\n{summary}\n"
    with pytest.raises(M3CompressError, match="cannot append"):
        write_reports(full_report, tmp_path / "r", env={"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_a_failed_write_leaves_the_old_file(
    full_report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(full_report, tmp_path, env={})
    old = (tmp_path / "report.json").read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(M3CompressError, match="No space left"):
        write_reports(full_report.model_copy(update={"seed": 8}), tmp_path, env={})
    assert (tmp_path / "report.json").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        with pytest.raises(M3CompressError, match="cannot write in") as caught:
            require_writable(folder)
        assert "--report-dir" in str(caught.value.hint)
