"""The table of three-body forms agrees with itself, and one parser reads every text."""

from __future__ import annotations

import subprocess
import sys

import pytest

from m3compress.contract.forms import (
    FACTORIZED,
    FORMS,
    MISROUTED,
    REMOVED,
    TRIPLETS,
    Choice,
    FormError,
    ThreeBodyForm,
    method_help,
    parse_form,
    parse_method,
)
from m3compress.errors import M3CompressError

HALF = ThreeBodyForm(name="pruned", fraction=0.5)


def test_a_form_is_stored_under_its_name() -> None:
    assert {name: row.name for name, row in FORMS.items()} == {name: name for name in FORMS}


def test_no_two_forms_share_a_word_and_none_is_a_choice() -> None:
    words = [row.word for row in FORMS.values() if row.word is not None]
    assert len({*words, *Choice}) == len(words) + len(Choice)


def test_a_form_that_is_judged_against_another_one_equals_it() -> None:
    for row in FORMS.values():
        if row.reference is not None:
            assert row.exact
            assert FORMS[row.reference].exact
            assert FORMS[row.reference].reference is None


def test_what_cannot_be_exported_cannot_be_asked_for() -> None:
    assert [row.name for row in FORMS.values() if row.word and not row.exportable] == []


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("auto", Choice.AUTO),
        ("factorize", FACTORIZED),
        (" remove ", REMOVED),
        ("keep", Choice.KEEP),
        ("prune=0.25", ThreeBodyForm(name="pruned", fraction=0.25)),
        ("prune=1e-3", ThreeBodyForm(name="pruned", fraction=0.001)),
        ("prune=0", ThreeBodyForm(name="pruned", fraction=0.0)),
        ("prune=1", ThreeBodyForm(name="pruned", fraction=1.0)),
    ],
)
def test_methods_are_parsed(text: str, method: ThreeBodyForm | Choice) -> None:
    assert parse_method(text) == method


@pytest.mark.parametrize(
    "text",
    [
        *("", "factorise", "remove=1", "auto=", "prune", "prune=", "prune=half", "prune=1.5"),
        *("prune=-0.1", "prune=nan", "prune=inf", "triplets", "pruned=0.5", "Auto"),
    ],
)
def test_other_words_are_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(FormError) as caught:
        parse_method(text)
    assert isinstance(caught.value, M3CompressError)
    assert caught.value.exit_code == 2
    assert "auto, keep, factorize, prune=P, remove" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("triplets", TRIPLETS),
        ("misrouted", MISROUTED),
        ("misrouted=0.4", ThreeBodyForm(name="misrouted", fraction=0.4)),
        ("factorized", FACTORIZED),
        ("removed", REMOVED),
        ("pruned=0.5", HALF),
        ("pruned=0.0", ThreeBodyForm(name="pruned")),
        ("pruned=1e-05", ThreeBodyForm(name="pruned", fraction=1e-5)),
    ],
)
def test_names_are_parsed_and_written(text: str, form: ThreeBodyForm) -> None:
    assert parse_form(text) == form
    assert form.text == text


@pytest.mark.parametrize("text", ["", "native", "pruned", "removed=0.5", "prune=0.5", "pruned=2"])
def test_other_names_are_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(FormError) as caught:
        parse_form(text)
    hint = caught.value.hint or ""
    assert "triplets, misrouted[=P], factorized, pruned=P, removed" in hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "distorted"}, "distorted"),
        ({"name": "pruned", "fraction": 1.5}, "1.5, expected a number from 0 to 1"),
        ({"name": "pruned", "fraction": float("nan")}, "nan, expected a number"),
        ({"name": "removed", "fraction": 0.5}, "expected none"),
        ({"name": "pruned", "fraction": 0.5, "seed": -1}, "seed of the form is -1"),
    ],
)
def test_a_form_checks_its_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(FormError, match=message):
        ThreeBodyForm(**values)  # type: ignore[arg-type]


def test_reports_show_the_fraction_where_there_is_one() -> None:
    assert str(HALF) == "pruned(0.5)"
    assert str(ThreeBodyForm(name="pruned")) == "pruned(0)"
    assert str(MISROUTED) == "misrouted"
    assert str(ThreeBodyForm(name="misrouted", fraction=0.4)) == "misrouted(0.4)"


def test_a_factorised_file_is_judged_against_the_triplets() -> None:
    references = {form: form.reference for form in (TRIPLETS, FACTORIZED, HALF, REMOVED)}
    assert references == {TRIPLETS: TRIPLETS, FACTORIZED: TRIPLETS, HALF: HALF, REMOVED: REMOVED}


def test_help_names_every_word() -> None:
    for row in FORMS.values():
        if row.word is not None:
            assert row.spelled(row.word) in method_help()


def test_the_table_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, m3compress.contract.forms\n"
        "sys.exit(' '.join({'torch', 'numpy', 'pydantic', 'ase'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""
