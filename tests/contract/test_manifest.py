"""What a manifest says of the three-body block, and that documents of today are read tomorrow."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from m3compress.contract.forms import FACTORIZED, FORMS, MISROUTED, REMOVED, TRIPLETS, ThreeBodyForm
from m3compress.contract.manifest import ThreeBodyMethod

PRUNED = ThreeBodyForm(name="pruned", fraction=0.4, seed=3)


@pytest.mark.parametrize("form", [TRIPLETS, FACTORIZED, PRUNED, REMOVED], ids=str)
def test_a_form_comes_back_from_the_manifest(form: ThreeBodyForm) -> None:
    written = ThreeBodyMethod.of(form, "a test").model_dump_json()
    assert ThreeBodyMethod.model_validate_json(written).form == form


@pytest.mark.parametrize(
    ("document", "form"),
    [
        (
            '{"method":"factorized","fraction":null,"seed":null,"study_only":false,"reason":"x"}',
            FACTORIZED,
        ),
        (
            '{"method":"pruned","fraction":0.4,"seed":3,"study_only":true,"reason":"x"}',
            PRUNED,
        ),
        ('{"method":"removed"}', REMOVED),
        ('{"method":"triplets"}', TRIPLETS),
    ],
)
def test_documents_of_version_1_are_read_and_written_as_ever(
    document: str, form: ThreeBodyForm
) -> None:
    read = ThreeBodyMethod.model_validate_json(document)
    assert read.form == form
    if "reason" in document:
        assert ThreeBodyMethod.of(form, "x").model_dump_json() == document


@pytest.mark.parametrize("name", [MISROUTED.name, "distorted"])
def test_other_forms_are_in_no_file(name: str) -> None:
    exportable = ", ".join(row.name for row in FORMS.values() if row.exportable)
    with pytest.raises(ValidationError, match=f"expected one of {exportable}, got '{name}'"):
        ThreeBodyMethod(method=name)


def test_only_pruned_files_are_for_studies() -> None:
    study = {form.name: ThreeBodyMethod.of(form).study_only for form in (FACTORIZED, PRUNED)}
    assert study == {"factorized": False, "pruned": True}
