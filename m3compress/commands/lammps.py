"""``m3compress lammps build`` and ``lammps example``."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from m3compress.console import print_json, stderr, stdout
from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.lammps.build import build_plugin, find_lammps
from m3compress.engines.codes.lammps.example import check, supercell, write
from m3compress.models.structures.crystals import choose_crystals

logger = logging.getLogger("m3compress.lammps")


def build_plugin_for(*, lammps: Path | None, as_json: bool) -> int:
    """Compile the pair style and print where it is; returns the exit code.

    Raises:
        M3CompressError: If it cannot be compiled.
    """
    start = time.perf_counter()
    found = find_lammps(lammps)
    with stderr().status("compiling the pair style"):
        path = build_plugin(found, report=logger.info)
    document = {
        "plugin": str(path),
        "lammps": found.number,
        "found_by_itself": lammps is None,
        "seconds": round(time.perf_counter() - start, 1),
    }
    if as_json:
        print_json(document)
        return 0
    stdout().print(f"{path} ({document['seconds']} s)", markup=False, soft_wrap=True)
    how = f"export LAMMPS_PLUGIN_PATH={path.parent}" if lammps else "pair_style m3compress"
    stderr().print(f"for LAMMPS {found.number}: {how}", markup=False, soft_wrap=True)
    return 0


def write_example(*, model: Path, output: Path, force: bool, as_json: bool) -> int:
    """Write a deck, run its first step, and print how far from ASE it is; returns the exit code.

    Raises:
        M3CompressError: If the deck cannot be written, or LAMMPS stops.
        OutputExistsError: If there is something in the folder, and that is not to be replaced.
    """
    manifest = load_artefact(model).manifest
    crystals = [c.atoms for c in choose_crystals(manifest.elements, cutoff=manifest.cutoff)]
    mixed = [atoms for atoms in crystals if len(set(atoms.symbols)) > 1]
    deck = write(model, output, supercell((mixed or crystals)[0]), force=force)
    with stderr().status("comparing the first step with ASE"):
        found = check(deck)
    if as_json:
        print_json({"folder": str(deck.folder), **found.to_json()})
    else:
        stdout().print(f"{deck.folder}: {found}", markup=False, soft_wrap=True)
        stderr().print(f"next: bash {deck.folder}/run.sh 2", markup=False, soft_wrap=True)
    return 0 if found.holds else 1
