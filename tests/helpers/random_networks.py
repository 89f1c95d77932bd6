"""Untrained networks of every convention, with forces of some eV/Å, for tests of numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from random_weights import SMALL, randomize

from m3compress.contract.backends import manifest_path
from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS, ThreeBodyForm
from m3compress.export.native.write import write
from m3compress.export.targets import Order
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance

ELEMENTS: Final = ("H", "O", "Na", "Si", "Cl")
_MATGL: Final[dict[str, Any]] = {"edge_bias": True, "message_activation": "identity"}

#: What the native core must evaluate: convention, form, and sizes that differ from the default.
CASES: Final[dict[str, tuple[str, ThreeBodyForm, dict[str, Any]]]] = {
    "tf": ("tf", FACTORIZED, {}),
    "tf removed": ("tf", REMOVED, {"n_blocks": 3}),
    "tf wide, odd widths": (
        "tf",
        FACTORIZED,
        {"node_width": 40, "edge_width": 70, "hidden": (33,), "n_blocks": 1},
    ),
    "tf, equal cutoffs, many momenta": (
        "tf",
        FACTORIZED,
        {"cutoff": 4.2, "three_body_cutoff": 4.2, "max_l": 6, "max_n": 2, "hidden": ()},
    ),
    "tf, one momentum": ("tf", FACTORIZED, {"max_l": 1, "max_n": 5, "n_blocks": 4}),
    "matgl-4.1": (
        "matgl-4.1",
        FACTORIZED,
        {**_MATGL, "hidden": (16, 8), "triplet_basis": "smooth", "n_blocks": 3},
    ),
    "matgl-4.1, bessel": (
        "matgl-4.1",
        FACTORIZED,
        {**_MATGL, "hidden": (), "edge_basis": "bessel", "readout_hidden": ()},
    ),
    "matgl-4.1, longer three-body cutoff": (
        "matgl-4.1",
        FACTORIZED,
        {**_MATGL, "cutoff": 4.5, "three_body_cutoff": 6.0, "triplet_basis": "smooth"},
    ),
    "matgl-4.1 removed": ("matgl-4.1", REMOVED, {**_MATGL, "hidden": (16, 16)}),
    "mattersim": ("mattersim", FACTORIZED, {"max_l": 4, "max_n": 4, "n_blocks": 3}),
    "mattersim removed": ("mattersim", REMOVED, {"hidden": (16, 16)}),
    "matgl-dgl removed": (
        "matgl-dgl",
        REMOVED,
        {**_MATGL, "hidden": (16, 16), "edge_basis": "bessel", "n_blocks": 3},
    ),
    "matgl-3 removed": ("matgl-3", REMOVED, {**_MATGL, "hidden": (16, 8)}),
}


def random_potential(name: str, seed: int = 1) -> Potential:
    """One of :data:`CASES` in float64, in its form."""
    convention, form, sizes = CASES[name]
    config = M3GNetConfig(
        **{**SMALL, "elements": ELEMENTS, **sizes}, convention=CONVENTIONS[convention]
    )
    network = M3GNet(config).to(torch.float64)
    randomize(network, seed)
    with torch.no_grad():
        network.scales.copy_(torch.linspace(1.0, 3.0, len(config.elements), dtype=torch.float64))
    return Potential(
        network=network.eval().requires_grad_(requires_grad=False),
        form=form,
        element_energies=np.linspace(-1003.0, 2.0, len(config.elements)),
        energy_offset=0.25,
        provenance=Provenance(format="random", path="nowhere", sha256="0" * 64),
    )


def reference_of(potential: Potential) -> Potential:
    """What a potential must agree with: the triplets where the block is there."""
    return potential if potential.form == REMOVED else potential.with_form(TRIPLETS)


def write_native_artefact(path: Path, potential: Potential) -> Path:
    """A native file with its manifest, without a parity check."""
    order = Order(
        reason="a test",
        precision="float32",
        max_atoms=0,
        report=lambda *_: None,
        prove=lambda _: None,  # type: ignore[arg-type,return-value]
    )
    written = write(potential, order)
    digest = hashlib.sha256(written.content).hexdigest()
    manifest = written.manifest.model_copy(update={"artefact_sha256": digest})
    path.write_bytes(written.content)
    manifest_path(path).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return path
