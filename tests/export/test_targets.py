"""The table of what can be exported to."""

from __future__ import annotations

import pytest

from m3compress.__main__ import main
from m3compress.errors import UnknownNameError
from m3compress.export.targets import TARGETS, target_named


def test_every_row_has_a_writer_and_one_suffix() -> None:
    for target in TARGETS:
        writer = target.load_writer()
        assert callable(writer.write)
        assert callable(writer.default_suffix)
        assert {backend.suffix for backend in target.candidates} == {target.suffix}


def test_an_unknown_target_names_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError, match="onnx, tensorrt"):
        target_named("gguf")
    with pytest.raises(SystemExit) as stopped:
        main(["export", "builtin", "--to", "gguf"])
    assert stopped.value.code == 2
    assert "onnx, tensorrt" in capsys.readouterr().err
