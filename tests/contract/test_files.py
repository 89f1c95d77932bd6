"""Whatever goes wrong while a file is written: the old one is whole, and nothing else is left."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from m3compress.contract.files import (
    content_sha256,
    move_into_place,
    sha256_of,
    workplace,
    write_atomically,
)
from m3compress.errors import M3CompressError, OutputExistsError

Write = Callable[[Path, bytes], None]


def write_in_workplace(path: Path, content: bytes) -> None:
    with workplace(path) as folder:
        (folder / path.name).write_bytes(content)
        move_into_place(folder, path)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


writers = pytest.mark.parametrize("write", [write_atomically, write_in_workplace])


@writers
def test_a_file_is_made_and_replaced_with_its_folder(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for content in (b"old", b"", b"new"):
        write(path, content)
        assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]
    # Everybody may read it whom the process lets: the mode of a temporary file would not do.
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@writers
@pytest.mark.parametrize(
    ("where", "name"), [(os, "fsync"), (Path, "write_bytes"), (Path, "replace")]
)
def test_a_full_disk_leaves_the_old_file(
    write: Write, where: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(where, name, full_disk)
        with pytest.raises(M3CompressError, match=r"cannot write .*/file: No space left") as caught:
            write(path, b"new")
    assert caught.value.hint
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@writers
def test_an_interrupt_leaves_the_old_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@writers
def test_what_is_no_folder_cannot_be_written_in(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(M3CompressError, match="cannot write"):
        write(tmp_path / "file" / "below", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(M3CompressError, match="cannot write"):
        write_atomically(tmp_path / "folder", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


@writers
def test_a_read_only_folder_is_told(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Not by chmod: root writes everywhere.
    with monkeypatch.context() as patched:
        patched.setattr(io, "open", refuse)
        patched.setattr(os, "mkdir", refuse)
        with pytest.raises(M3CompressError, match="Permission denied"):
            write(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys, time
from pathlib import Path
from m3compress.contract.files import write_atomically
os.fsync = lambda _: (print("written", flush=True), time.sleep(60))
write_atomically(Path(sys.argv[1]), b"new" * 1000)
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert path.read_bytes() == b"old"


def test_content_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.exists()))
    write_atomically(path, b"new")
    assert seen == [False, True], "the file, then the folder with its name"
    # A folder that cannot be flushed is no failure: not every file system can.
    monkeypatch.setattr(os, "open", full_disk)
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_of_files_that_belong_together_none_moves_before_all_are_made(tmp_path: Path) -> None:
    outputs = tmp_path / "model", tmp_path / "manifest"
    for path in outputs:
        path.write_bytes(b"old")
    with workplace(outputs[0]) as folder:
        (folder / "model").write_bytes(b"new")
        with pytest.raises(M3CompressError, match=r"cannot write .*/manifest"):
            move_into_place(folder, *outputs)
    assert [path.read_bytes() for path in outputs] == [b"old", b"old"]


def test_a_folder_in_the_way_of_one_file_keeps_all_where_they_are(tmp_path: Path) -> None:
    outputs = tmp_path / "model", tmp_path / "manifest"
    make(outputs[0], "old", is_folder=False)
    make(outputs[1], "old", is_folder=True)
    with workplace(outputs[0]) as folder:
        for output in outputs:
            make(folder / output.name, "new", is_folder=False)
        with pytest.raises(OutputExistsError, match="manifest is a folder"):
            move_into_place(folder, *outputs)
    assert outputs[0].read_text() == (outputs[1] / "content").read_text() == "old"


@pytest.mark.parametrize("old_is_folder", [False, True])
@pytest.mark.parametrize("new_is_folder", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_files_and_folders_are_replaced_but_no_folder_by_a_file(
    *,
    old_is_folder: bool,
    new_is_folder: bool,
    fails: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "output"
    make(output, "old", is_folder=old_is_folder)
    refused = old_is_folder and not new_is_folder
    with workplace(output) as folder:
        make(folder / "output", "new", is_folder=new_is_folder)
        if refused:
            with pytest.raises(OutputExistsError, match="output is a folder, expected a file"):
                move_into_place(folder, output)
        elif fails:
            monkeypatch.setattr(Path, "replace", full_disk)
            with pytest.raises(M3CompressError, match="No space left"):
                move_into_place(folder, output)
        else:
            move_into_place(folder, output)
    stays = fails or refused
    is_folder = old_is_folder if stays else new_is_folder
    content = output / "content" if is_folder else output
    assert content.read_text() == ("old" if stays else "new")
    assert list(tmp_path.iterdir()) == [output]


def make(path: Path, content: str, *, is_folder: bool) -> None:
    if is_folder:
        path.mkdir()
    (path / "content" if is_folder else path).write_text(content)


def fail_in_workplace(path: Path) -> None:
    with workplace(path) as folder:
        assert folder.parent == path.parent
        assert folder.name.startswith(".")
        raise ValueError("mine")


def test_other_errors_pass_through_a_workplace(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"):
        fail_in_workplace(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_of_the_content_alone(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(content)
    digest = hashlib.sha256(content)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b") == digest.hexdigest()
    once, twice = hashlib.sha256(digest.digest()), hashlib.sha256(digest.digest() * 2)
    assert content_sha256(tmp_path / "a") == once.hexdigest()
    assert content_sha256(tmp_path) == twice.hexdigest()
    for hashed in (sha256_of, content_sha256):
        with pytest.raises(M3CompressError, match="nothing cannot be read: No such file"):
            hashed(tmp_path / "nothing")
