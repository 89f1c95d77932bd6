"""Every runtime that runs here keeps the contract, against PyTorch in float64."""

from __future__ import annotations

import pytest
from native_library import built_library
from random_networks import random_potential, write_native_artefact

from m3compress.engines.conformance.code import OF_RUNTIMES
from m3compress.engines.conformance.codes import runtimes
from m3compress.engines.conformance.contract import examine
from m3compress.errors import ArtefactError
from m3compress.models.structures.crystals import build_crystal


def test_onnx_runtime(silica_artefact, builtin_potential):
    code = runtimes.onnxruntime(silica_artefact, 1)
    found = examine(code, builtin_potential, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    assert code.gives == OF_RUNTIMES


def test_the_native_core(tmp_path):
    built_library()
    # Elements as in salt; an untrained network moves atoms where no potential should.
    potential = random_potential("tf")
    path = write_native_artefact(tmp_path / "model.m3c.safetensors", potential)
    found = examine(runtimes.native(path, 1), potential, build_crystal("NaCl-rocksalt"))
    assert set(found.broken) <= {"energy in motion: drift", "energy in motion: departure"}


@pytest.mark.parametrize("other", [runtimes.native, runtimes.tensorrt])
def test_files_of_another_runtime_are_refused(other, silica_artefact):
    with pytest.raises(ArtefactError, match=r"silica\.m3c\.onnx is a ONNX graph, expected a"):
        other(silica_artefact, 1)
