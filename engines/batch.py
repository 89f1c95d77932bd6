"""Several structures in one evaluation: their tables side by side, with no edge between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatingArray, IntArray
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.manifest import Manifest
from m3compress.contract.neighbors import Edges, build_table, find_edges
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.base import Engine, complete
from m3compress.engines.tables.verlet import species_of


def batch_inputs(
    structures: Sequence[Atoms], manifest: Manifest, dtype: str
) -> tuple[TableInputs, IntArray]:
    """Tables of all structures as one, and the first atom of each with the end behind them.

    Args:
        structures: At least one.
        manifest: Of the model.
        dtype: Of the vectors.

    Raises:
        StructureError: If one of them has no meaningful energy.
    """
    found = [find_edges(atoms, manifest.cutoff) for atoms in structures]
    species = np.concatenate([species_of(atoms, manifest.elements) for atoms in structures])
    begins = np.concatenate([[0], np.cumsum([len(atoms) for atoms in structures])])
    shifted = zip((edges for edges, _ in found), begins, strict=False)
    edges = _joined([(part, int(begin)) for part, begin in shifted], int(begins[-1]))
    table = build_table(edges)
    vectors: FloatingArray = table.pad(np.concatenate([v for _, v in found]), dtype)
    inputs = TableInputs(
        species=species,
        neighbors=table.neighbors,
        mask=table.mask.astype(dtype),
        edge_vectors=vectors,
        incoming=table.incoming,
        incoming_mask=table.incoming_mask.astype(dtype),
    )
    return inputs, begins.astype(np.int64)


def _joined(parts: Sequence[tuple[Edges, int]], n_atoms: int) -> Edges:
    return Edges(
        centers=np.concatenate([edges.centers + begin for edges, begin in parts]),
        neighbors=np.concatenate([edges.neighbors + begin for edges, begin in parts]),
        images=np.concatenate([edges.images for edges, _ in parts]),
        n_atoms=n_atoms,
    )


def run_batch(engine: Engine, inputs: TableInputs, begins: IntArray) -> list[Evaluation]:
    """One evaluation of all, by an engine that gives virials of single atoms.

    Raises:
        StructureError: If an output is not finite; the atom is counted in its structure.
        M3CompressError: If the runtime fails.
    """
    outputs = engine.run(inputs)
    evaluations = []
    for begin, end in pairwise(begins):
        part = RawOutputs(
            outputs.energies[begin:end], outputs.forces[begin:end], outputs.virial[begin:end]
        )
        evaluations.append(complete(engine.manifest, inputs.species[begin:end], part))
    return evaluations
