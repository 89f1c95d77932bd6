"""Parity with matgl 4.1 in double precision: its own save(), neighbour list and derivatives.

Double precision needs two things: ``matgl.set_default_dtype("float", 64)`` before the model is
built, and the zeros of the Bessel functions, which ``matgl.utils.maths`` rounds to float32 on
import (that rounding alone moves energies by 1e-5 eV/atom here).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl

matgl = pytest.importorskip("matgl")
pytestmark = pytest.mark.usefixtures("matgl")

ENERGY_TOLERANCE = 1e-6  # eV/atom
FORCE_TOLERANCE = 1e-5  # eV/Å
STRESS_TOLERANCE = 1e-6  # eV/Å³

ELEMENTS = ("H", "C", "O", "Na", "Cl", "Si", "Ti")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "smooth-n3-l3": {"use_smooth": True, "dim_node_embedding": 24, "dim_edge_embedding": 20},
    "bessel-n3-l3": {"use_smooth": False},
    "smooth-n2-l4-one-block": {
        "use_smooth": True, "max_n": 2, "max_l": 4, "nblocks": 1, "units": 16,
        "cutoff": 4.5, "threebody_cutoff": 3.5,
    },
    "smooth-n4-l2": {
        "use_smooth": True, "max_n": 4, "max_l": 2, "nblocks": 2, "units": 24,
        "cutoff": 4.5, "threebody_cutoff": 3.5, "dim_node_embedding": 16, "dim_edge_embedding": 8,
    },
    "smooth-n2-l2-far": {
        "use_smooth": True, "max_n": 2, "max_l": 2, "nblocks": 4, "units": 16,
        "cutoff": 6.0, "threebody_cutoff": 4.0, "dim_node_embedding": 12,
    },
    "bessel-n2-l4-far": {
        "use_smooth": False, "max_n": 2, "max_l": 4, "nblocks": 2, "units": 16,
        "cutoff": 6.0, "threebody_cutoff": 4.0, "dim_node_embedding": 12, "dim_edge_embedding": 16,
    },
    "bessel-n4-l4": {
        "use_smooth": False, "max_n": 4, "max_l": 4, "nblocks": 2, "units": 16,
        "cutoff": 4.5, "threebody_cutoff": 3.5, "dim_node_embedding": 16, "dim_edge_embedding": 12,
    },
    "bessel-n4-l2-equal-cutoffs": {
        "use_smooth": False, "max_n": 4, "max_l": 2, "nblocks": 5, "units": 16,
        "cutoff": 4.0, "threebody_cutoff": 4.0, "dim_node_embedding": 12, "dim_edge_embedding": 12,
    },
    "smooth-n3-l2-three-body-beyond": {
        "use_smooth": True, "max_n": 3, "max_l": 2, "nblocks": 3, "units": 16,
        "cutoff": 4.5, "threebody_cutoff": 5.5, "dim_node_embedding": 12, "dim_edge_embedding": 12,
    },
    "bessel-n2-l3-three-body-beyond": {
        "use_smooth": False, "max_n": 2, "max_l": 3, "nblocks": 2, "units": 16,
        "cutoff": 4.0, "threebody_cutoff": 5.5, "dim_node_embedding": 12, "dim_edge_embedding": 12,
    },
}  # fmt: skip


@contextlib.contextmanager
def double_precision_matgl() -> Iterator[None]:
    """matgl in float64 with exact Bessel zeros; everything global is put back afterwards."""
    from matgl.layers import _basis as basis

    rounded = basis.SPHERICAL_BESSEL_ROOTS
    exact = np.load(Path(matgl.__file__).parent / "utils" / "sb_roots.npy")
    matgl.set_default_dtype("float", 64)
    basis.SPHERICAL_BESSEL_ROOTS = torch.tensor(exact, dtype=torch.float64)
    try:
        yield
    finally:
        matgl.set_default_dtype("float", 32)
        basis.SPHERICAL_BESSEL_ROOTS = rounded


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def both(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    randomize_weights: Callable[[torch.nn.Module, int], None],
) -> tuple[Any, Potential]:
    """A random matgl potential, and the same one read from the files that matgl saved."""
    from matgl.apps.pes import Potential as MatglPotential
    from matgl.models import M3GNet as MatglM3GNet

    folder = tmp_path_factory.mktemp("matgl")
    with double_precision_matgl():
        network = MatglM3GNet(
            element_types=ELEMENTS, is_intensive=False, **CONFIGURATIONS[request.param]
        )
        randomize_weights(network, 3)
        theirs = MatglPotential(
            network, data_mean=0.3, data_std=1.7, element_refs=np.linspace(-3.0, 2.0, len(ELEMENTS))
        ).eval()
        theirs.save(folder)
    return theirs, read_matgl(folder).with_convention(CONVENTIONS["matgl-4.1"], {})


def _matgl_results(potential: Any, atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy (eV), forces (eV/Å) and ∂E/∂strain (eV) by matgl."""
    from matgl.ext.ase import Atoms2Graph
    from matgl.utils.constants import EV_PER_ANG3_TO_GPA

    with double_precision_matgl():
        graph, lattice, _ = Atoms2Graph(
            potential.model.element_types, potential.model.cutoff
        ).get_graph(atoms)
        energy, forces, stress, _ = potential(graph, lattice)
    # Without periodicity matgl divides by the volume of a unit cube.
    volume = atoms.get_volume() if atoms.pbc.all() else 1.0
    virial = stress.detach().numpy().reshape(3, 3) * volume / EV_PER_ANG3_TO_GPA
    return energy.item(), forces.detach().numpy(), virial


def test_energies_forces_and_stresses_agree(both: Any, structures: dict[str, Atoms]) -> None:
    theirs, ours = both
    largest_force = 0.0
    for name, atoms in structures.items():
        energy, forces, virial = _matgl_results(theirs, atoms)
        volume = atoms.get_volume() if atoms.pbc.all() else 1.0
        for form in (ours.form, FACTORIZED):
            found = evaluate(ours.with_form(form), atoms)
            assert abs(found.energy - energy) / len(atoms) <= ENERGY_TOLERANCE, (name, form)
            assert np.abs(found.forces - forces).max() <= FORCE_TOLERANCE, (name, form)
            assert np.abs(found.virial - virial).max() / volume <= STRESS_TOLERANCE, (name, form)
        largest_force = max(largest_force, np.abs(forces).max())
    assert largest_force > 0.5, "the forces are too small for the comparison to mean something"


def test_the_three_body_block_takes_part_in_the_comparison(
    both: Any, structures: dict[str, Atoms]
) -> None:
    _, ours = both
    shifts = [
        np.abs(evaluate(ours, atoms).forces - evaluate(ours.with_form(REMOVED), atoms).forces).max()
        for atoms in structures.values()
    ]
    assert max(shifts) > 1000 * FORCE_TOLERANCE


def test_element_energies_and_offset_are_read(both: Any) -> None:
    _, ours = both
    assert ours.energy_offset == pytest.approx(0.3)
    assert ours.element_energies == pytest.approx(np.linspace(-3.0, 2.0, len(ELEMENTS)))
    assert ours.config.elements == ELEMENTS
    assert ours.network.scales.tolist() == pytest.approx([1.7] * len(ELEMENTS))


def test_the_comparison_notices_the_wrong_aggregation(
    both: Any, structures: dict[str, Atoms]
) -> None:
    theirs, ours = both
    _, forces, _ = _matgl_results(theirs, structures["triclinic"])
    wrong = evaluate(ours.with_convention(CONVENTIONS["matgl-dgl"], {}), structures["triclinic"])
    assert np.abs(wrong.forces - forces).max() > 1000 * FORCE_TOLERANCE
