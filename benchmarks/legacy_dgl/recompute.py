"""Evaluate M3GNet checkpoints with the software of their era: matgl 2.0.4 on DGL 2.1.0.

Run with the Python of the environment that `setup_env.sh` makes; see docs/legacy-dgl.md.

    VENV/bin/python recompute.py MODEL_DIR STRUCTURES.extxyz -o OUT.extxyz [--compare GOLDEN.extxyz]

MODEL_DIR is one model (a folder with model.pt, state.pt, model.json) or a folder of models; in the
latter case each structure's ``info["model"]`` names the model to evaluate it with.

Exit status: 0 done; 1 a comparison or order check failed; 2 could not run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

os.environ["MATGL_BACKEND"] = "DGL"  # read when matgl is imported
os.environ.setdefault("DGLBACKEND", "pytorch")  # else DGL writes ~/.dgl/config.json

import numpy as np
from bond_order import BondList, order_agrees, search_with_pymatgen, shuffle_search

PACKAGES = {"matgl": "2.0.4", "dgl": "2.1.0", "pymatgen-core": "2026.10.16"}
MODEL_FILES = ("model.pt", "state.pt", "model.json")

# Largest differences that --compare accepts: float32 rounding, sums in another order.
ENERGY_TOLERANCE = 5e-6  # eV per atom
FORCE_TOLERANCE = 2e-5  # eV/Å
STRESS_TOLERANCE = 2e-7  # eV/Å^3


@dataclass(frozen=True)
class Evaluation:
    """One structure evaluated with one model.

    Attributes:
        model: folder name of the model.
        cutoff: the model's, Å.
        atoms: the structure; its ``info`` is carried to the output.
        energy: eV.
        forces: eV/Å, [n_atoms, 3].
        stress: eV/Å^3, Voigt order xx, yy, zz, yz, xz, xy.
        graph: bonds and triplets in the order in which DGL held them (see `read_graph`).
    """

    model: str
    cutoff: float
    atoms: Any
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    graph: dict[str, np.ndarray]

    @property
    def key(self) -> tuple[str, str]:
        """Names of the model and of the structure."""
        return self.model, str(self.atoms.info["name"])

    @property
    def bonds(self) -> BondList:
        """The directed bonds: centres, neighbours, shifts."""
        return self.graph["src"], self.graph["dst"], self.graph["images"]


def fail(message: str, hint: str) -> NoReturn:
    """Report that the run is impossible and leave with status 2."""
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    raise SystemExit(2)


def require_environment() -> None:
    """Leave with status 2 unless this is the environment that `setup_env.sh` makes."""
    hint = "run setup_env.sh and use the Python of the environment that it makes"
    for name, expected in PACKAGES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "none"
        if found != expected:
            fail(f"got {name} {found}, expected {expected}", hint)


# --- evaluation ---------------------------------------------------------------------------------


def load_calculator(folder: Path) -> Any:
    """Load a model with matgl's own reader and give its own ASE calculator (float32, CPU).

    matgl unpickles ``model.pt`` and ``state.pt``: only for files that you trust.
    """
    import matgl
    from matgl.ext.ase import PESCalculator

    potential = matgl.load_model(folder.resolve())
    return PESCalculator(potential.eval(), stress_unit="eV/A3", use_voigt=True)


def read_graph(graph: Any, atoms: Any, threebody_cutoff: float) -> dict[str, np.ndarray]:
    """Take bonds and triplets from a DGL graph after the model has seen it.

    Args:
        graph: the DGLGraph; the model has stored its float32 distances in it.
        atoms: the structure.
        threebody_cutoff: Å.

    Returns:
        ``src`` (centre i), ``dst`` (neighbour j), ``images`` (S) and ``distances`` (float32, as
        the model saw them) per bond; ``distances_float64``; ``kept``: for every bond of the pruned
        list its index in the full one; ``triples`` [n_triples, 2]: both bonds of each triplet, as
        indices into the *pruned* list; ``targets`` [n_triples]: the bond that its message is added
        to. The model uses ``triples`` and ``targets`` as indices into the *full* list.
    """
    from matgl.graph._compute_dgl import create_line_graph
    from matgl.utils.maths import get_segment_indices_from_n

    line_graph = create_line_graph(graph, threebody_cutoff)
    src, dst = (part.numpy().astype(np.int64) for part in graph.edges())
    images = np.rint(graph.edata["pbc_offset"].numpy()).astype(np.int64)
    vectors = atoms.positions[dst] + images @ np.array(atoms.cell) - atoms.positions[src]
    distances = graph.edata["bond_dist"].detach().numpy()
    return {
        "src": src,
        "dst": dst,
        "images": images,
        "distances": distances,
        "distances_float64": np.linalg.norm(vectors, axis=1),
        "kept": np.flatnonzero(~(distances > threebody_cutoff)),
        "triples": np.stack([part.numpy() for part in line_graph.edges()], axis=1).astype(np.int64),
        "targets": get_segment_indices_from_n(line_graph.ndata["n_triple_ij"]).numpy(),
    }


def keep_graphs(calculator: Any) -> list[Any]:
    """Make a calculator append every DGL graph that it builds to the returned list."""
    graphs: list[Any] = []
    get_graph = calculator.graph_converter.get_graph

    def get_and_keep(atoms: Any) -> Any:
        graph, lattice, state = get_graph(atoms)
        graphs.append(graph)
        return graph, lattice, state

    calculator.graph_converter.get_graph = get_and_keep
    return graphs


def evaluate(folder: Path, frames: list[Any]) -> Iterator[Evaluation]:
    """Evaluate fully periodic structures with one model, one at a time.

    A structure without ``info["name"]`` is named ``frameN`` after its place among them, from 0.
    """
    calculator = load_calculator(folder)
    model = calculator.potential.model
    graphs = keep_graphs(calculator)
    for number, frame in enumerate(frames, start=1):
        atoms = frame.copy()
        atoms.info.setdefault("name", f"frame{number - 1}")
        if not atoms.pbc.all():
            hint = "give it a cell with enough vacuum and pbc='T T T'"
            fail(f"structure {number} for {folder.name} has pbc {atoms.pbc}, expected all", hint)
        calculator.calculate(atoms)
        results = calculator.results
        yield Evaluation(
            model=folder.name,
            cutoff=float(model.cutoff),
            atoms=atoms,
            energy=results["energy"],
            forces=np.array(results["forces"]),
            stress=np.array(results["stress"]),
            graph=read_graph(graphs.pop(), atoms, model.threebody_cutoff),
        )


def assign(folder: Path, frames: list[Any]) -> dict[Path, list[Any]]:
    """Group structures by the model that is to evaluate them.

    Args:
        folder: a model, or a folder of models.
        frames: structures; ``info["model"]`` names the model where it is present.

    Returns:
        Model folder → its structures. A single model skips structures that name another one.
    """
    groups: dict[Path, list[Any]] = {}
    single = (folder / "model.json").is_file()
    for number, frame in enumerate(frames, start=1):
        name = frame.info.get("model")
        if single and name not in (None, folder.resolve().name):
            continue
        if not single and name is None:
            hint = "name one model's folder instead"
            fail(f"{folder} is not one model and structure {number} has no info['model']", hint)
        groups.setdefault(folder.resolve() if single else folder / name, []).append(frame)
    if not groups:
        fail(f"no structure to evaluate with {folder}", "their info['model'] names other models")
    for model in groups:
        missing = [name for name in MODEL_FILES if not (model / name).is_file()]
        if missing:
            fail(f"{model} lacks {', '.join(missing)}", f"a model has {', '.join(MODEL_FILES)}")
    return groups


# --- input and output ---------------------------------------------------------------------------


def read_frames(path: Path) -> list[Any]:
    """Read structures, or leave with a clear message."""
    from ase.io import read

    try:
        return list(read(path, index=":"))
    except Exception as error:  # ase.io raises whatever its readers raise
        fail(f"cannot read {path}: {error!r}", "expected extended xyz with a Lattice entry")


def write_frames(results: list[Evaluation], path: Path) -> None:
    """Write results as extended xyz (energy, forces, ``stress_voigt``), whole or not at all."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = []
    for result in results:
        atoms = result.atoms.copy()
        atoms.calc = SinglePointCalculator(atoms, energy=result.energy, forces=result.forces)
        atoms.info.update(model=result.model, stress_voigt=result.stress)
        frames.append(atoms)
    partial = path.with_name(path.name + ".partial")
    write(partial, frames, format="extxyz")
    partial.replace(path)


def write_graphs(results: list[Evaluation], path: Path, per_model: int) -> None:
    """Write graphs and results of the first structures of each model to one .npz file.

    Keys: ``MODEL/NAME/FIELD``, where NAME is ``info["name"]`` and the fields are those of
    `read_graph` and positions, cell, numbers, energy, forces, stress.
    """
    counts: dict[str, int] = {}
    arrays: dict[str, Any] = {}
    for result in results:
        counts[result.model] = counts.get(result.model, 0) + 1
        if counts[result.model] > per_model:
            continue
        atoms = result.atoms
        values = {
            **result.graph,
            "positions": atoms.positions,
            "cell": np.array(atoms.cell),
            "numbers": atoms.numbers,
            "energy": result.energy,
            "forces": result.forces,
            "stress": result.stress,
        }
        arrays.update({"/".join((*result.key, name)): value for name, value in values.items()})
    np.savez_compressed(path, **arrays)


def compare(results: list[Evaluation], golden: Path) -> bool:
    """Print the largest differences from reference values, per model; say whether all are small.

    Args:
        results: what was computed here.
        golden: extended xyz with energy, forces, ``stress_voigt``, ``model`` and ``name``.
    """
    references = {(f.info.get("model"), f.info.get("name")): f for f in read_frames(golden)}
    worst: dict[str, list[list[float]]] = {}
    for result in results:
        reference = references.get(result.key)
        if reference is None or len(reference) != len(result.atoms):
            what = f"{'/'.join(result.key)} of {len(result.atoms)} atoms"
            fail(f"{golden} has no structure {what}", "compare the same structures")
        differences = (
            (result.energy - reference.get_potential_energy()) / len(reference),
            result.forces - reference.get_forces(),
            result.stress - reference.info["stress_voigt"],
        )
        worst.setdefault(result.model, []).append([float(np.abs(d).max()) for d in differences])
    limits = np.array([ENERGY_TOLERANCE, FORCE_TOLERANCE, STRESS_TOLERANCE])
    print(f"{'model':36s} frames  max|dE| eV/atom  max|dF| eV/Å  max|dS| eV/Å^3")
    largest = {model: np.max(rows, axis=0) for model, rows in worst.items()}
    for model, (energy, force, stress) in (*largest.items(), ("limit", limits)):
        n_frames = len(worst.get(model, []))
        print(f"{model:36s} {n_frames or '':6}  {energy:15.2e}  {force:12.2e}  {stress:14.2e}")
    return all(bool((row <= limits).all()) for row in largest.values())


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line and refuse what cannot work."""
    parser = argparse.ArgumentParser(
        description="Evaluate M3GNet checkpoints with matgl 2.0.4 + DGL 2.1.0 (float32, CPU)."
    )
    add = parser.add_argument
    add("models", type=Path, metavar="MODEL_DIR", help="a model's folder, or a folder of models")
    add("structures", type=Path, metavar="STRUCTURES.extxyz")
    add("-o", "--output", type=Path, metavar="OUT.extxyz")
    add("--compare", type=Path, metavar="GOLDEN.extxyz", help="print the largest differences")
    add("--check-order", action="store_true", help="check the rule for the order of the bonds")
    add("--order-only", type=float, metavar="CUTOFF", help="the same (Å), evaluating no model")
    add("--shuffle-bonds", type=int, metavar="SEED", help="shuffle the bonds of every centre")
    add("--dump", type=Path, metavar="OUT.npz", help="write bonds and triplets as DGL saw them")
    add("--dump-frames", type=int, default=3, metavar="N", help="structures per model in OUT.npz")
    add("--force", action="store_true", help="overwrite output files")
    options = parser.parse_args(arguments)
    outputs = [path for path in (options.output, options.dump) if path is not None]
    for path in outputs:
        if path.exists() and not options.force:
            fail(f"{path} exists", "name another file or pass --force")
    if options.order_only is not None and (outputs or options.compare):
        fail("--order-only has nothing to write or to compare", "drop it, or the other options")
    if not options.models.is_dir():
        fail(f"{options.models} is not a folder", f"a model has {', '.join(MODEL_FILES)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit status."""
    options = parse_arguments(arguments)
    require_environment()
    frames = read_frames(options.structures)
    if options.order_only is not None:
        cutoff = options.order_only
        agreed = [order_agrees(a, cutoff, search_with_pymatgen(a, cutoff)) for a in frames]
        print(f"order of the bonds reproduced: {sum(agreed)} of {len(agreed)} structures")
        return 0 if all(agreed) else 1
    if options.shuffle_bonds is not None:
        from matgl.ext import _ase_dgl as module

        search = module.find_points_in_spheres
        module.find_points_in_spheres = shuffle_search(search, options.shuffle_bonds)
    results: list[Evaluation] = []
    for folder, group in assign(options.models, frames).items():
        for result in evaluate(folder, group):
            print(f"{'/'.join(result.key)}: {result.energy:.6f} eV", file=sys.stderr)
            results.append(result)
    passed = True
    if options.output is not None:
        write_frames(results, options.output)
    if options.dump is not None:
        write_graphs(results, options.dump, options.dump_frames)
    if options.check_order:
        agreed = [order_agrees(r.atoms, r.cutoff, r.bonds) for r in results]
        print(f"order of the bonds reproduced: {sum(agreed)} of {len(agreed)} structures")
        passed = all(agreed)
    if options.compare is not None:
        passed = compare(results, options.compare) and passed
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
