"""Batches say what the structures in them say one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from random_weights import randomize

from m3compress.contract.forms import FACTORIZED
from m3compress.contract.neighbors import find_edges
from m3compress.distill.data.batches import fit_references, join, to_batch
from m3compress.distill.data.labels import largest_force
from m3compress.distill.training.initial import initial_network
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance, evaluate


@pytest.fixture(scope="module")
def potential(config, batches):
    return Potential(
        network=initial_network(config, batches, seed=1),
        form=FACTORIZED,
        element_energies=np.zeros(2),
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )


def test_a_joined_batch_predicts_what_the_model_says_of_each_structure(potential, frames, batches):
    found = join(batches).predict(potential.network, FACTORIZED)
    first = 0
    for row, frame in enumerate(frames):
        expected = evaluate(potential, frame)
        last = first + len(frame)
        energy, stress = found.energies[row].item(), found.stresses[row].detach().numpy()
        assert energy == pytest.approx(expected.energy, rel=1e-5, abs=1e-5)
        forces = found.forces[first:last].detach().numpy()
        np.testing.assert_allclose(forces, expected.forces, atol=2e-5)
        np.testing.assert_allclose(stress, expected.stress(frame), atol=1e-6)
        first = last


def test_curvatures_are_differences_of_the_predicted_forces(frames, config, references):
    network, frame = M3GNet(config).double(), frames[2]
    randomize(network, 3)

    def predicted(step):
        moved = frame.copy()
        moved.positions += step * frame.arrays["direction"]
        moved.calc = SinglePointCalculator(
            moved, energy=0.0, forces=np.zeros((len(moved), 3)), stress=np.zeros(6)
        )
        batch = to_batch(moved, config, references)
        exact = {
            name: getattr(batch, name).double()
            for name in ("volumes", "energies", "forces", "stresses", "weights")
        }
        # In a batch, edges and directions are rounded to float32.
        exact["vectors"] = torch.from_numpy(find_edges(moved, config.cutoff)[1])
        exact["directions"] = torch.from_numpy(frame.arrays["direction"])
        return replace(batch, **exact).predict(network, FACTORIZED, curved=True)

    ends = [predicted(step).forces for step in (1e-5, -1e-5)]
    found = predicted(0.0).curvatures
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, (ends[1] - ends[0]) / 2e-5, rtol=1e-5, atol=1e-6)


def test_labels_are_kept_and_energies_are_relative_to_the_references(frames, batches, references):
    for frame, batch in zip(frames, batches, strict=True):
        base = sum(references[("O", "Si").index(symbol)] for symbol in frame.symbols)
        energy = frame.get_potential_energy() - base
        assert batch.energies.item() == pytest.approx(energy, abs=1e-5)
        np.testing.assert_allclose(batch.forces, frame.get_forces(), atol=1e-6)
        np.testing.assert_allclose(batch.stresses[0], frame.get_stress(), atol=1e-6)
        np.testing.assert_allclose(batch.curvatures, frame.arrays["curvature"], rtol=1e-6)


def test_predictions_to_train_on_are_differentiable_by_the_weights(potential, batches):
    network = potential.network
    found = batches[0].predict(network, FACTORIZED, training=True)
    gradients = torch.autograd.grad(found.forces.square().sum(), list(network.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_references_are_exact_where_energies_are_sums_over_elements(frames):
    made = []
    for frame in frames:
        copy = frame.copy()
        energies = {"O": -4.5, "Si": -5.25}
        copy.calc = type(frame.calc)(copy, energy=sum(energies[s] for s in copy.symbols))
        made.append(copy)
    np.testing.assert_allclose(fit_references(made, ("O", "Si")), [-4.5, -5.25], atol=1e-5)


def test_violent_frames_count_less(frames, config, references):
    strongest = max(frames, key=largest_force)
    assert to_batch(strongest, config, references).weights.tolist() == [1]
    calm = largest_force(strongest) / 4
    assert to_batch(strongest, config, references, calm=calm).weights.tolist() == [0.25]
