"""Methods choose the form of the block; wrong ones are refused with words that help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.forms import (
    FACTORIZED,
    MISROUTED,
    REMOVED,
    TRIPLETS,
    FormError,
    ThreeBodyForm,
    parse_method,
)
from m3compress.distill.methods import (
    apply,
    choose,
    factorize,
    keep,
    prune,
    remove,
)
from m3compress.distill.share import ThreeBodyShare
from m3compress.errors import UnsupportedModelError
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.open import read_model

MATTERS = ThreeBodyShare(
    force_rms=0.1,
    force_mae=0.05,
    force_relative=0.2,
    energy_rms=0.01,
    n_structures=12,
    exact=True,
)


@pytest.fixture(scope="module")
def original(shared: Path) -> Potential:
    return read_model(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow")


@pytest.fixture(scope="module")
def dgl_era(shared: Path) -> Potential:
    raw = read_matgl(shared / "models" / "M3GNet-r2SCAN-NaBH")
    return raw.with_convention(CONVENTIONS["matgl-dgl"], {})


@pytest.fixture(scope="module")
def silicon() -> Atoms:
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_factorizing_changes_nothing_but_the_form(original: Potential, silicon: Atoms) -> None:
    factorized = factorize(original)
    assert factorized.form == FACTORIZED
    assert factorized.network is original.network
    change = evaluate(factorized, silicon).forces - evaluate(original, silicon).forces
    assert np.abs(change).max() < 1e-10


def test_pruning_everything_is_removal(original: Potential, silicon: Atoms) -> None:
    nothing, everything = prune(original, 0.0), prune(original, 1.0)
    assert evaluate(nothing, silicon).energy == pytest.approx(evaluate(original, silicon).energy)
    bare = evaluate(remove(original), silicon).energy
    assert evaluate(everything, silicon).energy == pytest.approx(bare)
    assert bare != pytest.approx(evaluate(original, silicon).energy, abs=0.01)
    assert prune(original, 0.5, seed=3).form == ThreeBodyForm(name="pruned", fraction=0.5, seed=3)


@pytest.mark.parametrize(("fraction", "seed"), [(1.1, 0), (-0.1, 0), (float("nan"), 0), (0.5, -1)])
def test_pruning_checks_its_numbers(original: Potential, fraction: float, seed: int) -> None:
    with pytest.raises(FormError, match="expected"):
        prune(original, fraction, seed)


def test_misrouted_blocks_can_only_be_kept_or_removed(dgl_era: Potential) -> None:
    assert keep(dgl_era.with_form(REMOVED)).form == MISROUTED
    assert remove(dgl_era).form == REMOVED
    for refused in (factorize, lambda potential: prune(potential, 0.5)):
        with pytest.raises(UnsupportedModelError, match="another model") as caught:
            refused(dgl_era)
        assert "remove" in (caught.value.hint or "")


def test_keeping_restores_the_trained_form(original: Potential) -> None:
    assert keep(remove(original)).form == TRIPLETS


def test_auto_follows_the_share(original: Potential) -> None:
    assert choose(original, MATTERS).form == FACTORIZED
    harmless = replace(MATTERS, force_rms=1e-5, energy_rms=1e-6)
    assert choose(original, harmless).form == REMOVED
    with pytest.raises(UnsupportedModelError, match="distil"):
        choose(original, replace(MATTERS, exact=False))


def test_auto_measures_where_nobody_has(original: Potential, dgl_era: Potential) -> None:
    assert apply(original, parse_method("auto")).form == FACTORIZED
    assert apply(dgl_era, parse_method("auto")).form == REMOVED


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("keep", TRIPLETS),
        ("remove", REMOVED),
        ("factorize", FACTORIZED),
        ("prune=0.5", ThreeBodyForm(name="pruned", fraction=0.5)),
    ],
)
def test_a_parsed_method_is_applied(text: str, form: ThreeBodyForm, original: Potential) -> None:
    assert apply(original, parse_method(text)).form == form
