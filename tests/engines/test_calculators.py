"""Calculators by import path: what they say, what tells them apart, and every way to get none."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones

from m3compress.engines.calculators import CalculatorSpec
from m3compress.errors import StructureError, TeacherError

LJ = "ase:ase.calculators.lj:LennardJones"
#: A module of the user's, in no package.
MODULE = """
import numpy as np
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

SIGMA = 2.0

def make(weights=None, **kwargs):
    return LennardJones(sigma=SIGMA, **kwargs)

class NoStress(Calculator):
    implemented_properties = ["energy", "forces"]
    def calculate(self, atoms=None, properties=(), changes=()):
        super().calculate(atoms, properties, changes)
        self.results = {"energy": 1.0, "forces": 0 * atoms.positions}

class Promises(NoStress):
    implemented_properties = ["energy", "forces", "stress", "energies"]
    def __init__(self):
        print("loading weights")
        super().__init__()
    def calculate(self, atoms=None, properties=(), changes=()):
        super().calculate(atoms, properties, changes)
        self.results["stress"] = np.zeros(6)

def broken():
    raise RuntimeError("no weights")

def number():
    return 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_teacher.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_teacher", raising=False)
    return tmp_path / "own_teacher.py"


@pytest.fixture
def salt():
    atoms = bulk("SiO", "rocksalt", a=4.4).repeat((2, 1, 1))
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.mark.parametrize(
    "arguments",
    [
        "sigma=2.0&epsilon=0.3&rc=4.0&smooth=true",
        '{"sigma": 2, "epsilon": 0.3, "rc": 4.0, "smooth": true}',
    ],
)
def test_a_calculator_says_what_it_says(arguments, salt):
    found = CalculatorSpec.parse(f"{LJ}?{arguments}").open().evaluate(salt)
    salt.calc = LennardJones(sigma=2.0, epsilon=0.3, rc=4.0, smooth=True)
    assert found.energy == pytest.approx(salt.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(found.forces, salt.get_forces(), atol=1e-12)
    np.testing.assert_allclose(found.stress(salt), salt.get_stress(), atol=1e-12)
    np.testing.assert_allclose(found.energies, salt.get_potential_energies(), atol=1e-12)


def test_words_are_text_and_dots_lead_into_classes():
    spec = CalculatorSpec.parse("ase:package.module:Class.from_file?model=0.3.0&device=cpu&n=1")
    assert (spec.module, spec.name) == ("package.module", "Class.from_file")
    assert spec.arguments == '{"device": "cpu", "model": "0.3.0", "n": 1}'
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    "text", ["ase:", "ase:module", "ase:a b:c", "ase::Class", "ase:m:C?rc", "ase:m:C?a=1&a=2"]
)
def test_what_is_no_import_path_is_refused_before_anything_is_imported(text):
    with pytest.raises(TeacherError) as caught:
        CalculatorSpec.parse(text)
    assert "ase:MODULE:NAME" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ase:no_such_module:X", "import no_such_module.*No module named"),
        ("ase:ase.calculators.lj:Nothing", "Nothing.*AttributeError"),
        ("ase:own_teacher:broken", "broken.*RuntimeError: no weights"),
        ("ase:own_teacher:number", "int, is no ASE calculator"),
        (f"{LJ}?sigma=two", "TypeError|ValueError"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_clear_error(text, why, own_module):
    with pytest.raises(TeacherError, match=why):
        CalculatorSpec.parse(text).open()


def test_a_calculator_without_stress_is_refused(own_module, salt):
    with pytest.raises(TeacherError, match="does not give energy, forces and stress"):
        CalculatorSpec.parse("ase:own_teacher:NoStress").open().evaluate(salt)


def test_energies_of_atoms_that_are_only_promised_are_unknown(own_module, salt, capsys):
    found = CalculatorSpec.parse("ase:own_teacher:Promises").open().evaluate(salt)
    assert np.isnan(found.energies).all()
    assert (found.energy, found.virial.tolist()) == (1.0, np.zeros((3, 3)).tolist())
    assert capsys.readouterr() == ("", "loading weights\n")


def test_what_a_calculator_raises_names_the_structure():
    pair = bulk("XeKr", "rocksalt", a=6.0)
    emt = CalculatorSpec.parse("ase:ase.calculators.emt:EMT").open()
    with pytest.raises(StructureError, match=r"NotImplementedError.*asked about KrXe"):
        emt.evaluate(pair)
    pair.cell = None
    with pytest.raises(StructureError, match="without a cell"):
        emt.evaluate(pair)


def test_identity_is_arguments_files_and_code(own_module, tmp_path):
    def identity(text):
        return CalculatorSpec.parse(text).identity()

    assert identity(f"{LJ}?rc=4&sigma=2") == identity(f'{LJ}?{{"sigma": 2, "rc": 4}}')
    assert identity(f"{LJ}?rc=4") != identity(f"{LJ}?rc=5")
    assert identity(LJ)["code"].startswith("ase ")
    (weights := tmp_path / "weights.bin").write_bytes(b"1")
    before = identity(own := f"ase:own_teacher:make?weights={weights}")
    weights.rename(moved := tmp_path / "moved.bin")
    assert identity(f"ase:own_teacher:make?weights={moved}") == before
    moved.rename(weights)
    weights.write_bytes(b"2")
    assert identity(own) != before
    weights.write_bytes(b"1")
    own_module.write_text(MODULE.replace("2.0", "2.1"))
    assert identity(own) != before


def test_a_calculator_is_written_down_and_read_again():
    spec = CalculatorSpec.parse("ase:ase.calculators.lj:LennardJones?rc=4.0&smooth=true", cutoff=4)
    assert CalculatorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(TypeError):
        CalculatorSpec.from_json({"kind": "ase", "path": "x"})
