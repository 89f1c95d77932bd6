"""Which structures candidate and reference are compared on, and what is kept of a failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.data import chemical_symbols

from m3compress.models.structures.frames import Named
from m3compress.models.structures.samples import zoo_for
from m3compress.validate.checks.predictions import predictions, visited

VISITED = ("Si-diamond-rattled", "SiO2-quartz-rattled", "expanded-0")


def test_only_what_molecular_dynamics_visits_counts(fake_gate, pair_subject):
    context = fake_gate(pair_subject)
    assert [named.name for named in visited(context)] == list(VISITED)


def test_made_up_crystals_count_where_nothing_is_known(fake_gate, pair_subject):
    context = fake_gate(pair_subject)
    made_up = replace(context, zoo=tuple(n for n in context.zoo if n.name.startswith("made-up")))
    assert [named.name for named in visited(made_up)] == ["made-up-fcc"]


#: What was visited when entries were told apart by their names: crystals at rest and rattled, and
#: these.
ALTERED = (
    *("compressed-0", "expanded-0", "compressed-1", "expanded-1", "sheared", "unwrapped"),
    *("vacancy", "supercell-200"),
)


SILICA = ("Si-diamond", "SiO2-quartz", "SiO2-stishovite")
UNIVERSAL = ("Si-diamond", "TiO2-rutile", "SiO2-quartz", "NaCl-rocksalt", "Mo-bcc", "Al-fcc")
MADE_UP = (
    *("made-up-fcc", "made-up-rocksalt", "made-up-bcc", "made-up-zincblende"),
    *("made-up-cesiumchloride", "made-up-fluorite"),
)


@pytest.mark.parametrize(
    ("elements", "crystals"),
    [
        (("O", "Si"), SILICA),
        (tuple(chemical_symbols[1:90]), UNIVERSAL),
        (("Pm", "Np"), MADE_UP),
    ],
    ids=["silica", "universal", "nothing measured"],
)
def test_the_zoo_is_visited_by_what_its_entries_are(fake_gate, pair_subject, elements, crystals):
    zoo = zoo_for(elements, 5.0, 4.0, 200)
    found = [named.name for named in visited(replace(fake_gate(pair_subject), zoo=zoo))]
    at_rest_and_rattled = [name for crystal in crystals for name in (crystal, f"{crystal}-rattled")]
    assert found == [*at_rest_and_rattled, *ALTERED]


def test_a_file_of_a_users_may_have_any_name(fake_gate, pair_subject):
    alloy = Named("alloy", visited(fake_gate(pair_subject))[0].atoms)
    context = replace(fake_gate(pair_subject), samples=(alloy,))
    assert visited(context)[-1].name == "alloy-moved"


def test_samples_are_looked_at_with_displaced_atoms(fake_gate, pair_subject):
    sample = Named("sample", visited(fake_gate(pair_subject))[0].atoms)
    context = replace(fake_gate(pair_subject), samples=(sample,))
    moved = visited(context)[-1]
    assert moved.name == "sample-moved"
    assert np.abs(moved.atoms.positions - sample.atoms.positions).max() > 0.01


def test_predictions_keep_the_reason_of_a_failure(fake_gate, changed):
    def change(atoms, result):
        raise ZeroDivisionError("by zero")

    candidate = changed(change)
    found = predictions(fake_gate(candidate), candidate)
    with pytest.raises(Exception, match="ZeroDivisionError: by zero"):
        found.of("slab")
