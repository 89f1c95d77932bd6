"""Structures as LAMMPS reads them: elements are types, in the order in which they appear."""

from __future__ import annotations

from ase import Atoms


def types_of(atoms: Atoms) -> dict[str, float]:
    """Chemical symbol and mass of every atom type, from type 1 on."""
    masses = atoms.get_masses()
    return {
        symbol: float(masses[atoms.symbols == symbol][0]) for symbol in dict.fromkeys(atoms.symbols)
    }


def data_file(atoms: Atoms) -> str:
    """A structure for ``read_data``, with types in the order in which elements appear.

    Args:
        atoms: As :func:`~m3compress.engines.codes.boxes.turned` turns them.
    """
    (x, _, _), (xy, y, _), (xz, yz, z) = atoms.cell.array
    types = types_of(atoms)
    symbols = list(types)
    places = atoms.get_positions(wrap=True)
    lines = [
        f"{atoms.get_chemical_formula()}, by m3compress",
        *("", f"{len(atoms)} atoms", f"{len(types)} atom types", ""),
        *(f"0 {x:.12f} xlo xhi", f"0 {y:.12f} ylo yhi", f"0 {z:.12f} zlo zhi"),
        *(f"{xy:.12f} {xz:.12f} {yz:.12f} xy xz yz", "", "Masses", ""),
        *(f"{k} {mass:.6f}  # {symbol}" for k, (symbol, mass) in enumerate(types.items(), 1)),
        *("", "Atoms  # atomic", ""),
    ]
    for number, (symbol, place) in enumerate(zip(atoms.symbols, places, strict=True), 1):
        where = " ".join(f"{value:.12f}" for value in place)
        lines.append(f"{number} {1 + symbols.index(symbol)} {where}")
    return "\n".join(lines) + "\n"
