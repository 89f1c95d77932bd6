"""A three-body form invented here: its row and its algebra are all that it takes.

The worked example of ``docs/extending.md``. In a real change the row goes into
``m3compress/contract/forms.py``, the sum into ``models/three_body.py``, and this is the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import typer
from ase import Atoms
from pydantic import ValidationError
from torch import Tensor

from m3compress.contract.forms import (
    FORMS,
    REMOVED,
    TRIPLETS,
    FormError,
    FormRow,
    ThreeBodyForm,
    method_help,
    parse_form,
    parse_method,
)
from m3compress.contract.manifest import ThreeBodyMethod
from m3compress.distill.methods import in_form
from m3compress.errors import ExportError, UnsupportedModelError
from m3compress.export.onnx.build import build_onnx, describe
from m3compress.export.parity import reference_of
from m3compress.models.potential import Potential, evaluate
from m3compress.models.three_body import SUMS, TripletGeometry, factorized_sum
from m3compress.options import check_three_body

# 1. The row: `--three-body fade=P` makes the form `faded`.
FADED = FormRow(name="faded", word="fade", fraction="required", study_only=True, needs_routed=True)


# 2. The algebra: messages are weaker by the fraction P; it works on edge lists and on tables.
def faded_sum(geometry: TripletGeometry, gate: Tensor | None, form: ThreeBodyForm) -> Tensor:
    return (1 - form.fraction) * factorized_sum(geometry, gate, form)


# 3. The test.
MakePotential = Callable[..., Potential]


@pytest.fixture(autouse=True)
def _add_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMS, "faded", FADED)
    monkeypatch.setitem(SUMS, "faded", faded_sum)


def _faded(fraction: float) -> ThreeBodyForm:
    return ThreeBodyForm(name="faded", fraction=fraction)


def test_it_is_evaluated(random_potential: MakePotential, structures: dict[str, Atoms]) -> None:
    potential = random_potential(3)

    def forces(form: ThreeBodyForm) -> np.ndarray:
        return evaluate(potential.with_form(form), structures["triclinic"]).forces

    assert forces(_faded(0.0)) == pytest.approx(forces(TRIPLETS), abs=1e-10)
    assert forces(_faded(1.0)) == pytest.approx(forces(REMOVED), abs=1e-10)
    for other in (TRIPLETS, REMOVED):
        assert np.abs(forces(_faded(0.5)) - forces(other)).max() > 1e-3


def test_texts_are_read_and_refused_with_its_name_in_the_list() -> None:
    assert parse_method("fade=0.5") == parse_form("faded=0.5") == _faded(0.5)
    assert check_three_body("fade=5e-1") == "fade=5e-1"
    assert "fade=P (for studies only)" in method_help()
    with pytest.raises(typer.BadParameter, match=r"remove, fade=P, with P from 0 to 1"):
        check_three_body("fading")
    with pytest.raises(FormError, match=r"removed, faded=P, with P from 0 to 1"):
        parse_form("fade=0.5")


def test_only_a_model_with_right_triplets_takes_it(random_potential: MakePotential) -> None:
    form = parse_method("fade=0.5")
    assert isinstance(form, ThreeBodyForm)
    assert in_form(random_potential(3), form).form == _faded(0.5)
    with pytest.raises(UnsupportedModelError, match="cannot be faded"):
        in_form(random_potential(3, "matgl-dgl"), form)


def test_it_is_exported_and_the_manifest_says_what_it_is(random_potential: MakePotential) -> None:
    potential = random_potential(3, n_blocks=1).with_form(_faded(0.5))
    assert len(build_onnx(potential).graph.node) > 0
    manifest = describe(potential, reason="a test")
    assert manifest.three_body == ThreeBodyMethod(
        method="faded", fraction=0.5, seed=0, study_only=True, reason="a test"
    )
    assert manifest.three_body.form == _faded(0.5)


def test_a_refusal_in_the_row_keeps_it_out_of_files(
    random_potential: MakePotential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMS, "faded", replace(FADED, refusal="faded blocks stay here"))
    with pytest.raises(ExportError, match="faded blocks stay here"):
        build_onnx(random_potential(3).with_form(_faded(0.5)))
    with pytest.raises(ValidationError, match="expected one of triplets, factorized, pruned"):
        ThreeBodyMethod(method="faded")


def test_a_file_is_judged_against_what_the_row_says(
    random_potential: MakePotential, monkeypatch: pytest.MonkeyPatch
) -> None:
    potential = random_potential(3).with_form(_faded(0.5))
    assert reference_of(potential).form == _faded(0.5)
    monkeypatch.setitem(FORMS, "faded", replace(FADED, reference="removed"))
    assert reference_of(potential).form == REMOVED
