"""The plan of the built-in model's frames."""

from __future__ import annotations

import pytest

from m3compress.distill.data.plan import of_split, require_unique
from m3compress.distill.recipes.builtin import frames


def test_plan_holds_test_trajectories_apart():
    groups = frames.plan()
    names = [group.name for group in groups]
    assert len(set(names)) == len(names)
    assert len({group.seed for group in groups}) == len(groups)
    trained = {g.temperature for g in groups if g.split == "train" and g.temperature > 0}
    assert all(
        g.temperature not in trained for g in groups if g.split == "test" and g.temperature > 0
    )
    require_unique(groups)


def test_the_numbers_of_frames_are_those_of_the_card():
    planned = {
        split: sum(group.n_frames for group in of_split(frames.plan(), split))
        for split in ("train", "validation", "test")
    }
    assert planned == {"train": 722, "validation": 70, "test": 180}


@pytest.mark.parametrize(
    ("name", "formula", "volume"),
    [
        ("si-diamond", "Si16", 320.206),
        ("si-beta-tin", "Si16", 226.998),
        ("si-vacancy", "Si31", 640.412),
        ("si-slab", "Si24", None),
        ("quartz", "O24Si12", 452.523),
        ("alpha-cristobalite", "O16Si8", 342.202),
        ("beta-cristobalite", "O16Si8", 367.062),
        ("tridymite", "O16Si8", 365.592),
        ("stishovite", "O16Si8", 186.466),
        ("coesite", "O16Si8", 273.220),
    ],
)
def test_parents_are_what_they_were(name, formula, volume):
    atoms = frames.PARENTS[name]()
    assert atoms.get_chemical_formula() == formula
    assert atoms.pbc.all()
    if volume is not None:
        assert atoms.get_volume() == pytest.approx(volume, abs=0.01)
