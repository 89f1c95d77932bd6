"""An exported file that can be probed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


def test_its_lengths_are_those_of_the_manifest(probed):
    assert probed.three_body_cutoff == probed.manifest.three_body_cutoff == 4.0
    assert probed.receptive_field == probed.manifest.receptive_field


def test_the_slots_of_an_exported_file_are_really_shuffled(probed, structures):
    atoms = structures["slab"]
    seen = []
    engine = probed.engine

    def run(inputs):
        seen.append(inputs)
        return engine.run(inputs)

    probed.engine = SimpleNamespace(run=run, manifest=engine.manifest)
    try:
        plain = probed.evaluate(atoms)
        shuffled = probed.evaluate_shuffled(atoms, np.random.default_rng(1))
    finally:
        probed.engine = engine
    first, second = seen
    assert not np.array_equal(first.neighbors, second.neighbors)
    assert not np.array_equal(first.incoming, second.incoming)
    # What points at an atom is still what the incoming table lists.
    for inputs in seen:
        listed = inputs.neighbors.ravel()[inputs.incoming]
        rows = np.arange(len(atoms))[:, None]
        assert (listed == rows)[inputs.incoming_mask > 0].all()
        assert inputs.mask.ravel()[inputs.incoming][inputs.incoming_mask > 0].all()
    assert np.allclose(plain.forces, shuffled.forces, atol=1e-5)
