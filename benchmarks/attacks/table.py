"""Wrong exported files, each wrong in one way, and the check that is there to see it."""

from __future__ import annotations

from typing import Final

from attacks import claims, counts, distances, edits, indices, virials
from attacks.edits import of_weight, on
from attacks.row import (
    ATOMIC,
    CROWDED,
    ELEMENTS,
    ENERGY,
    FACTS,
    FLOW,
    FORCE,
    SIZE,
    STRESS,
    SUMS,
    Attack,
    row,
)

#: What once passed, or is of the kind of what once passed.
ATTACKS: Final[tuple[Attack, ...]] = (
    # An element, a pair of elements
    row(
        "uranium",
        "U's embedding moved by 61 % of its length, reference energy kept",
        ELEMENTS,
        edits.embedding(-1, 0.61),
        "universal",
    ),
    row(
        "rare-earth",
        "Tm's embedding moved by 2 % of its length",
        ELEMENTS,
        edits.embedding(-21, 0.02),
        "universal",
    ),
    row(
        "one-pair",
        "energy of Si + 1 meV for every neighbour Si",
        ENERGY,
        on("energies", edits.same_pair(1, 1e-3)),
    ),
    row(
        "one-element-force",
        "forces on Si × 1.001",
        FORCE,
        on("forces", edits.of_element_rows(1, 1.001)),
    ),
    # Size and crowding
    row(
        "large-forces",
        "forces × 1.05 above 300 atoms",
        SIZE,
        on("forces", edits.scale_above(300, 1.05)),
    ),
    row(
        "large-energies",
        "energies zero beyond atom 300",
        SIZE,
        on("energies", edits.zero_beyond(300)),
    ),
    row(
        "large-virial",
        "virial × 0.8 above 40 atoms",
        f"{SIZE} {STRESS}",
        on("virial", edits.scale_above(40, 0.8)),
    ),
    row(
        "very-large-forces",
        "forces × 1.05 above 1,500 atoms",
        SIZE,
        on("forces", edits.scale_above(1500, 1.05)),
    ),
    row(
        "many-slots",
        "forces × 1.05 for K > 200",
        CROWDED,
        on("forces", edits.scale_above(200, 1.05, axis=1)),
    ),
    row(
        "crowded-atoms",
        "energies × 1.001 of atoms with more than 100 neighbours",
        CROWDED,
        on("energies", edits.crowded(100, 1.001)),
    ),
    row("last-slot", "the last of more than 24 slots empty", FORCE, edits.last_slot_empty),
    row(
        "last-atom", "force on the last atom × 0.99", FORCE, on("forces", edits.of_last_atom(0.99))
    ),
    row(
        "of-nine",
        "forces × 1.002 for nine atoms only",
        FORCE,
        on("forces", edits.of_so_many(9, 1.002)),
    ),
    # Stress
    row("virial-scale", "virial × 1.003", STRESS, on("virial", edits.by_factor(1.003))),
    row(
        "virial-of-nine",
        "virial × 0.8 for nine atoms only",
        STRESS,
        on("virial", edits.of_so_many(9, 0.8)),
    ),
    row("virial-sign", "virial × −1", STRESS, on("virial", edits.by_factor(-1.0))),
    row(
        "pressed",
        "0.05 GPa that the energy knows nothing of",
        STRESS,
        on("virial", edits.pressed(0.05)),
    ),
    row("no-shear", "no yz component of the virial", STRESS, on("virial", edits.no_shear)),
    # What the manifest says
    row(
        "mixed-by-name",
        "called mixed, with forces × 1.0035",
        "artefact.precision",
        edits.mixed_by_name,
    ),
    row(
        "convention-by-name",
        "another convention in the manifest",
        "artefact.conventions",
        edits.other_convention,
    ),
    row(
        "three-body-cutoff",
        "three-body cutoff 3.5 Å in the manifest",
        f"{FACTS} artefact.conventions",
        edits.says(three_body_cutoff=3.5),
    ),
    row(
        "receptive-field",
        "receptive field doubled in the manifest",
        f"{FACTS} artefact.conventions",
        edits.doubled_reach,
    ),
    row(
        "element-energy",
        "reference energy of the first element + 1 meV",
        f"{FACTS} {ENERGY}",
        edits.dearer_element,
    ),
    row(
        "energy-offset",
        "energy + 10 meV per structure",
        f"{FACTS} {ENERGY}",
        edits.says(energy_offset=0.01),
    ),
    row(
        "element-order",
        "O and Si exchanged in the manifest",
        f"{FACTS} {ENERGY}",
        edits.exchanged_elements,
    ),
    row(
        "domain",
        "shortest distances of 0.3 Å in the manifest: nobody is told of overlaps",
        FACTS,
        edits.says(shortest_distances={"O-O": 0.3, "O-Si": 0.3, "Si-Si": 0.3}),
    ),
    row(
        "domain-gone",
        "no shortest distances in the manifest",
        FACTS,
        edits.says(shortest_distances=None),
    ),
    *claims.ROWS,
    row("unit", "energy in kcal/mol by the manifest", "artefact.conventions", edits.other_unit),
    row("other-source", "another source in the manifest", "error", edits.other_source),
    # Precision
    row(
        "half-backward",
        "weights of the backward pass rounded to float16",
        FORCE,
        edits.half_backward,
    ),
    row("half-weights", "all weights rounded to float16", FORCE, edits.half_everything),
    row(
        "half-forces",
        "forces rounded to float16",
        f"artefact.precision {FORCE}",
        on("forces", edits.half_precision),
    ),
    row(
        "half-vectors",
        "edge vectors rounded to float16",
        f"artefact.precision {FORCE}",
        edits.half_vectors,
    ),
    row(
        "eight-bits",
        "one matrix of the forward pass rounded to 8 bits",
        f"{ENERGY} {FORCE}",
        of_weight("forward", 12, edits.eight_bits),
    ),
    # Inside the network
    row("gate", "one gate of an MLP always open in the forward pass", ENERGY, edits.gate_stuck),
    row(
        "backward-layer",
        "one matrix of the backward pass × 1.01",
        f"{FORCE} grad.forces",
        of_weight("backward", 5, edits.times(1.01)),
    ),
    row(
        "channel",
        "one channel (l, n) of a three-body basis zero",
        f"{ENERGY} {FORCE}",
        of_weight("both", 0, edits.without_row(3)),
    ),
    row(
        "block",
        "one matrix of the last block × 1.003",
        f"{ENERGY} {FORCE}",
        of_weight("forward", -8, edits.times(1.003)),
    ),
    row(
        "self-images",
        "edges to an atom's own images 0.1 % short",
        f"{ENERGY} {FORCE}",
        edits.self_images,
    ),
    # Short range, empty surroundings
    row(
        "no-wall",
        "distances below 0.97 Å taken for 0.97 Å",
        f"parity.pairs {ENERGY} {FORCE}",
        edits.no_shorter_than(0.97),
    ),
    row(
        "clipped-forces",
        "forces clipped at 20 eV/Å",
        f"parity.pairs {FORCE}",
        on("forces", edits.clipped(20.0)),
    ),
    row(
        "lonely-atoms",
        "energy of atoms without neighbours + 1 meV",
        f"inv.isolated-atom {ENERGY}",
        on("energies", edits.lonely(1e-3)),
    ),
    # Outputs
    row(
        "reversed-energies",
        "energies of the atoms in reverse order",
        f"{ATOMIC} inv.permutation",
        on("energies", edits.in_reverse),
    ),
    row("turned-forces", "x and y of forces exchanged", FORCE, on("forces", edits.turned)),
    row(
        "net-force",
        "0.5 meV/Å along x on every atom",
        f"inv.net-force {FORCE}",
        on("forces", edits.drift),
    ),
    row(
        "tiny-scale",
        "forces × 1.0002",
        f"{FORCE} grad.forces",
        on("forces", edits.by_factor(1.0002)),
    ),
    row(
        "strong-forces",
        "forces beyond 8 eV/Å × 1.01",
        f"parity.pairs {FORCE}",
        on("forces", edits.strong(8.0, 1.01)),
    ),
    row(
        "odd-numbers",
        "forces × 1.001 for odd numbers of atoms",
        FORCE,
        on("forces", edits.odd_numbered(1.001)),
    ),
    row(
        "long-edges",
        "edges beyond 4.9 Å 1 % short",
        f"{FORCE} {ENERGY}",
        edits.long_edges(4.9, 0.99),
    ),
    # Sizes that are not among those measured
    row(
        "window",
        "forces × 1.05 for 1,300 to 1,800 atoms only",
        FLOW,
        on("forces", edits.between(1300, 1800, 1.05)),
    ),
    row(
        "larger-than-all",
        "forces × 1.05 above 5,000 atoms",
        FLOW,
        on("forces", edits.scale_above(5000, 1.05)),
    ),
    row(
        "counted",
        "forces × 1.05 where more than 400,000 neighbours are counted",
        SUMS,
        on("forces", edits.many_counted(400_000, 1.05)),
    ),
    # Each in a module of its own: values from tables, and what is wrong where nobody looks
    *virials.ROWS,
    *distances.ROWS,
    *indices.ROWS,
    *counts.ROWS,
    # Operators
    row(
        "rarely-random",
        "forces × 1.5 once in 10⁴ runs",
        "artefact.operators",
        on("forces", edits.rarely_random),
    ),
)
