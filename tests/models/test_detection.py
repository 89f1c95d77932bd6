"""Conventions are told apart by physics, on published checkpoints whose convention is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m3compress.contract.forms import MISROUTED, TRIPLETS
from m3compress.errors import ConventionError
from m3compress.models import detection
from m3compress.models.config import CONVENTIONS
from m3compress.models.detection import decide_convention
from m3compress.models.potential import Potential, Provenance, Writer
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.open import read_model
from m3compress.models.readings import (
    BLOCK_IS_OFF,
    BLOCK_IS_ON,
    CLEAR_FACTOR,
    CrystalEvidence,
    Reading,
    read_as,
    telling_crystals,
    weigh,
)

DGL_ERA = (
    "M3GNet-MatPES-PBE-v2025.1-PES",
    "M3GNet-MatPES-r2SCAN-v2025.1-PES",
    "M3GNet-MP-2021.2.8-PES",
    "M3GNet-r2SCAN-NaBH",
)
ORIGINAL = "M3GNet-MP-2021.2.8-EFS-tensorflow"
BUILTIN = Path(__file__).parents[2] / "models" / "builtin"


@pytest.mark.parametrize("name", DGL_ERA)
def test_the_dgl_era_is_recognized(name: str, shared: Path) -> None:
    raw = read_matgl(shared / "models" / name)
    found = decide_convention(raw, None)
    evidence = found.provenance.evidence
    assert found.config.convention == CONVENTIONS["matgl-dgl"]
    assert found.form == MISROUTED
    assert found.network.scales.dtype == raw.network.scales.dtype
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert evidence["writer"]["versions"] == "matgl 1.2 or older"
    assert evidence["decided_by"] == "measurement"
    candidates = evidence["candidates"]
    assert set(candidates) == {"matgl-dgl", "matgl-3", "matgl-4.1"}
    best = candidates["matgl-dgl"]
    assert best["plausible"]
    assert best["unsound"] == 0
    for other in ("matgl-3", "matgl-4.1"):
        assert candidates[other]["residual_force"] > 10 * best["residual_force"]


@pytest.fixture(scope="module")
def original(shared: Path) -> Potential:
    return read_model(shared / "models" / ORIGINAL)


def test_a_format_that_knows_is_believed(original: Potential) -> None:
    assert decide_convention(original, None) is original
    assert decide_convention(original, "tf") is original


def test_a_request_that_contradicts_the_format_is_refused(
    original: Potential, shared: Path
) -> None:
    with pytest.raises(ConventionError, match="contradicts"):
        decide_convention(original, "matgl-4.1")
    with pytest.raises(ConventionError, match="contradicts"):
        decide_convention(read_matgl(shared / "models" / DGL_ERA[-1]), "mattersim")


def test_correct_triplets_that_matter_are_recognized(original: Potential) -> None:
    """The original, whose triplets are right and on, read as a matgl file of the newest era."""
    found = decide_convention(_as_matgl(original), None)
    assert found.config.convention == CONVENTIONS["matgl-4.1"]
    assert found.form == TRIPLETS
    candidates = found.provenance.evidence["candidates"]
    assert candidates["matgl-3"]["permutation_error"] > BLOCK_IS_ON
    assert candidates["matgl-4.1"]["permutation_error"] < BLOCK_IS_OFF


def test_correct_triplets_are_recognized_with_two_elements(original: Potential) -> None:
    """Few crystals are left for a model of silica alone; they must still decide."""
    probe = _as_matgl(original).to(torch.float32)
    crystals = telling_crystals(("Si", "O"))
    readings = [read_as(probe, name, crystals) for name in ("matgl-dgl", "matgl-3", "matgl-4.1")]
    assert weigh(readings)[0] == "matgl-4.1"


@pytest.mark.parametrize(
    ("conventions", "agrees"), [(("matgl-3", "matgl-4.1"), True), (("matgl-3",), False)]
)
def test_the_program_that_wrote_a_file_must_compute_so(
    conventions: tuple[str, ...], agrees: bool, original: Potential
) -> None:
    """Triplets that are right and on were not trained by a program that misroutes them."""
    read = _as_matgl(original)
    writer = Writer("matgl 4", "a test", conventions)
    read = replace(read, provenance=replace(read.provenance, writer=writer))
    if agrees:
        assert decide_convention(read, None).config.convention.name == "matgl-4.1"
        return
    with pytest.raises(ConventionError, match="written by matgl 4"):
        decide_convention(read, None)


def test_weights_are_read_once_in_a_process_and_other_weights_again(
    random_potential: Callable[..., Potential], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def read(potential: Potential, name: str, crystals: object) -> Reading:
        seen.append(name)
        return _reading(name, 9.0)

    monkeypatch.setattr(detection, "read_as", read)
    monkeypatch.setattr(detection, "_SEEN", {})
    for seed, n_read in ((11, 3), (11, 3), (12, 6)):
        with pytest.raises(ConventionError):
            decide_convention(random_potential(seed, "matgl-4.1"), None)
        assert len(seen) == n_read


@pytest.mark.skipif(not (BUILTIN / "state.pt").exists(), reason="the built-in model is not there")
def test_the_built_in_model_is_recognized() -> None:
    assert decide_convention(read_matgl(BUILTIN), None).config.convention.name == "matgl-4.1"


@pytest.mark.parametrize("seed", range(2))
def test_untrained_networks_are_refused(
    random_potential: Callable[..., Potential], seed: int
) -> None:
    with pytest.raises(ConventionError, match="undecided") as caught:
        decide_convention(random_potential(seed, "matgl-4.1"), None)
    assert "--convention" in (caught.value.hint or "")
    assert "residual force" in caught.value.message


def test_a_network_without_forces_is_refused(random_potential: Callable[..., Potential]) -> None:
    """No residual forces at all, and yet nothing that a training could have made."""
    flat = random_potential(0, "matgl-4.1")
    with torch.no_grad():
        flat.network.scales.mul_(1e-3)
    with pytest.raises(ConventionError, match="undecided"):
        decide_convention(flat, None)


def test_elements_without_a_measured_compound_are_refused(
    random_potential: Callable[..., Potential],
) -> None:
    with pytest.raises(ConventionError, match=r"undecided.*compound"):
        decide_convention(random_potential(0, "matgl-4.1", elements=("Pm", "Np")), None)


@pytest.mark.parametrize("name", ["matgl-dgl", "matgl-3", "matgl-4.1"])
def test_the_user_has_the_last_word(name: str, random_potential: Callable[..., Potential]) -> None:
    found = decide_convention(random_potential(0, "matgl-4.1"), name)
    assert found.config.convention == CONVENTIONS[name]
    assert found.provenance.evidence["reason"] == "given by the user"


def test_an_unknown_name_is_refused(random_potential: Callable[..., Potential]) -> None:
    with pytest.raises(ConventionError, match="unknown convention"):
        decide_convention(random_potential(0, "matgl-4.1"), "matgl-5")


def test_between_off_and_on_nothing_is_decided() -> None:
    def decided(permutation_error: float) -> str | None:
        readings = [
            _reading("matgl-dgl", 2.0),
            _reading("matgl-3", 0.1, permutation_error=permutation_error),
            _reading("matgl-4.1", 0.1),
        ]
        return weigh(readings)[0]

    assert decided(BLOCK_IS_OFF / 2) == "matgl-4.1"
    assert decided(BLOCK_IS_ON * 2) == "matgl-4.1"
    assert decided((BLOCK_IS_OFF + BLOCK_IS_ON) / 2) is None


def test_a_narrow_lead_decides_nothing_unless_the_rival_is_ruled_out() -> None:
    rival = 0.1 * CLEAR_FACTOR * 0.9
    center = [_reading("matgl-3", 0.1), _reading("matgl-4.1", 0.1)]
    assert weigh([_reading("matgl-dgl", rival), *center])[0] is None
    broken = _reading("matgl-dgl", rival, permutation_error=2 * BLOCK_IS_ON)
    assert weigh([broken, *center])[0] == "matgl-4.1"


def test_an_implausible_lead_decides_nothing() -> None:
    others = [_reading("matgl-3", 9.0), _reading("matgl-4.1", 9.0)]
    assert weigh([_reading("matgl-dgl", 1.0), *others])[0] is None
    assert weigh([_reading("matgl-dgl", 0.1, sound=False), *others])[0] is None
    assert weigh([_reading("matgl-dgl", 0.1), *others])[0] == "matgl-dgl"


def _as_matgl(original: Potential) -> Potential:
    read = original.with_convention(CONVENTIONS["matgl-4.1"], {})
    return replace(read, provenance=Provenance(format="matgl", path="nowhere", sha256="0" * 64))


def _reading(
    name: str, residual_force: float, *, sound: bool = True, permutation_error: float = 0.0
) -> Reading:
    crystal = CrystalEvidence(
        pressure_gpa=1.0,
        pressures_strained_gpa=(10.0, -10.0),
        force_at_rest=0.0,
        residual_force=residual_force,
        stiffness=1.0,
        restoring=1.0,
        sound=sound,
    )
    return Reading(name=name, crystals={"NaCl": crystal}, permutation_error=permutation_error)
