"""The share of the three-body block is what removing it changes, and the advice follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS
from m3compress.distill.share import (
    HARMLESS_ENERGY,
    HARMLESS_FORCE,
    HARMLESS_RELATIVE,
    ThreeBodyShare,
    three_body_share,
)
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.open import read_model
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import equilibrium_and_rattled

DGL_ERA = (
    "M3GNet-MatPES-PBE-v2025.1-PES",
    "M3GNet-MatPES-r2SCAN-v2025.1-PES",
    "M3GNet-MP-2021.2.8-PES",
    "M3GNet-r2SCAN-NaBH",
)

HARMLESS = ThreeBodyShare(
    force_rms=HARMLESS_FORCE / 2,
    force_mae=HARMLESS_FORCE / 4,
    force_relative=HARMLESS_RELATIVE * 2,
    energy_rms=HARMLESS_ENERGY / 2,
    n_structures=12,
    exact=True,
)


@pytest.fixture(scope="module")
def original(shared: Path) -> Potential:
    return read_model(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow")


@pytest.fixture(scope="module")
def original_share(original: Potential) -> ThreeBodyShare:
    return three_body_share(original)


def test_the_original_needs_its_block(original_share: ThreeBodyShare) -> None:
    assert original_share.force_mae > 0.05
    assert original_share.force_relative > 0.1
    assert original_share.energy_rms > 0.01
    assert original_share.advice == "factorize"
    assert "exact" in original_share.text


@pytest.mark.parametrize("name", DGL_ERA)
def test_the_dgl_era_does_not_need_it(name: str, shared: Path) -> None:
    raw = read_matgl(shared / "models" / name)
    share = three_body_share(raw.with_convention(CONVENTIONS["matgl-dgl"], {}))
    assert share.force_mae < 5e-4
    assert share.force_relative < 5e-3
    assert share.advice == "remove"
    assert "can be removed" in share.text


def test_the_numbers_are_those_of_the_triplets(original: Potential) -> None:
    """On one structure, against the listed triplets and plain formulas."""
    entry = equilibrium_and_rattled(original.config.elements)[1]
    share = three_body_share(original, [entry])
    full = evaluate(original.with_form(TRIPLETS), entry.atoms)
    bare = evaluate(original.with_form(REMOVED), entry.atoms)
    change = bare.forces - full.forces
    assert share.force_rms == pytest.approx(np.sqrt((change**2).mean()), rel=1e-6)
    assert share.force_mae == pytest.approx(np.abs(change).mean(), rel=1e-6)
    assert share.energy_rms == pytest.approx(
        abs(bare.energy - full.energy) / len(entry.atoms), rel=1e-6
    )
    assert share.force_relative == pytest.approx(
        share.force_rms / np.sqrt((full.forces**2).mean()), rel=1e-6
    )


def test_the_present_form_does_not_matter(
    original: Potential, original_share: ThreeBodyShare
) -> None:
    for form in (REMOVED, FACTORIZED):
        assert three_body_share(original.with_form(form)) == original_share


def test_a_block_that_matters_and_is_misrouted_has_to_be_distilled(original: Potential) -> None:
    misread = original.with_convention(CONVENTIONS["matgl-3"], {})
    share = three_body_share(misread)
    assert not share.exact
    assert share.advice == "distill"
    assert "another model" in share.text


def test_without_forces_the_relative_change_is_zero(original: Potential) -> None:
    share = three_body_share(original, [Named("alone", Atoms("Si"), "no forces")])
    assert share.force_relative == 0
    assert share.advice == "remove"


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({}, "remove"),
        ({"force_rms": 2 * HARMLESS_FORCE}, "factorize"),
        ({"force_rms": 2 * HARMLESS_FORCE, "exact": False}, "distill"),
        ({"force_rms": 1.0, "force_relative": HARMLESS_RELATIVE / 2}, "remove"),
        ({"energy_rms": 2 * HARMLESS_ENERGY}, "factorize"),
    ],
)
def test_the_advice_follows_the_limits(changed: dict[str, float], advice: str) -> None:
    share = replace(HARMLESS, **changed)
    assert share.advice == advice
    document = json.loads(json.dumps(share.to_json(), allow_nan=False))
    assert document["advice"] == advice
    assert document["text"] == share.text
