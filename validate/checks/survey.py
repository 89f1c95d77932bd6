"""Every element, and every pair of them, against the twin: what was not compared is not certified.

Crystals and alloys show each element among its own and among others; dimers show all pairs, from
0.5 Å to the cutoff.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.models.structures.frames import Named
from m3compress.models.structures.survey import (
    dimers_apart,
    dimers_of_all_pairs,
    element_crystals,
    random_alloys,
)
from m3compress.validate.checks.agreement import Sides, worst
from m3compress.validate.checks.building import Case, Check, counting, on_structures
from m3compress.validate.checks.exports import sides_of, twin_in, without_twin
from m3compress.validate.checks.rounding import rounded_subject
from m3compress.validate.checks.selection import Found
from m3compress.validate.setup.context import Context

#: So many next shorter and next longer dimers are rounded alike.
_ABOUT_AS_LONG: Final = 20
#: Errors of overlapping atoms have long tails. In proportion, the worst of 12,000 dimers of a right
#: file of M3GNet-MatPES-r2SCAN was 14 times the cost in PyTorch, at 0.6 Å.
_TAIL: Final = 10
#: Draws of what is beyond: a few of 12,000 dimers are far out, or cost PyTorch little by luck.
_DRAWS: Final = 64
_STRETCH: Final = 2e-3
_MOST_IN_DOUBT: Final = 20  # more are no tail


def crystals_and_alloys(context: Context) -> tuple[Named, ...]:
    """A crystal of every element of the reference, and alloys that show each of them twice."""
    model, seed = context.reference_subject, context.seed
    return (
        *element_crystals(model.elements, cutoff=model.cutoff, seed=seed),
        *random_alloys(model.elements, cutoff=model.cutoff, seed=seed),
    )


def dimers(context: Context) -> tuple[Named, ...]:
    """Dimers of all pairs of elements of the reference."""
    model = context.reference_subject
    return dimers_of_all_pairs(model.elements, cutoff=model.cutoff, seed=context.seed)


def _in_cells(case: Case[Named]) -> Found:
    """Largest error of an energy, an atom's energy, a force or a stress, over its tolerance."""
    return worst(sides_of(case, crystals_and_alloys))


def _in_dimers(case: Case[Named]) -> Found:
    """The same of every dimer by itself, so that no steep one lends its tolerance to another."""
    from m3compress.export.parity import ROUNDINGS

    sides = sides_of(case, dimers)
    limits, atoms = sides.limits, sides.atoms
    tolerances = {"atom-energy": limits.atom_energy, "force": limits.force}
    sizes, errors = _sizes(sides.expected), _errors(sides.ours, sides.expected)
    allowed = {name: tolerance.of(sizes[name]) for name, tolerance in tolerances.items()}
    if not all((errors[name] <= allowed[name]).all() for name in errors):
        rounding = _rounding(sides)
        allowed = {
            name: np.maximum(allowed[name], _TAIL * ROUNDINGS * rounding[name]) for name in errors
        }
        doubtful = np.flatnonzero(np.any([errors[n] > allowed[n] for n in errors], axis=0))
        for k in doubtful if len(doubtful) <= _MOST_IN_DOUBT else ():
            for name, cost in _rounding_of_one(case, atoms[2 * k : 2 * k + 2]).items():
                allowed[name][k] = max(allowed[name][k], ROUNDINGS * cost)
    ratios = {name: np.nan_to_num(errors[name] / allowed[name], nan=np.inf) for name in errors}
    quantity = max(ratios, key=lambda name: ratios[name].max())
    row = int(np.argmax(ratios[quantity]))
    pair = atoms[2 * row : 2 * row + 2]
    evidence = {
        "quantity": quantity,
        "pair": "-".join(pair.symbols),
        "distance": float(pair.get_distance(0, 1)),
        "largest_difference": float(errors[quantity][row]),
        "tolerance": float(allowed[quantity][row]),
    }
    return Found(float(ratios[quantity][row]), evidence)


def _rounding(sides: Sides) -> dict[str, FloatArray]:
    """What float32 costs the model in PyTorch: the most of dimers of about the same length.

    What it costs a single one may be little by chance. Costs are compared in proportion to the
    numbers themselves and the median of dimers about as long.
    """
    draw = next(iter(sides.draws))
    sizes, rounded = _sizes(draw.exact), _errors(draw.rounded, draw.exact)
    order = np.argsort(np.linalg.norm(np.diff(sides.atoms.positions, axis=0)[::2], axis=1))
    places = np.arange(len(order))[:, None] + np.arange(-_ABOUT_AS_LONG, _ABOUT_AS_LONG + 1)
    near = order[np.clip(places, 0, len(order) - 1)]
    costs = {}
    for name, size in sizes.items():
        scale = np.empty(len(order))
        scale[order] = size[order] + np.median(size[near], axis=1)
        costs[name] = np.empty(len(order))
        costs[name][order] = scale[order] * (rounded[name] / scale)[near].max(axis=1)
    return costs


def _rounding_of_one(case: Case[Named], dimer: Atoms) -> dict[str, float]:
    """What float32 costs the model in PyTorch at most, where a dimer is turned and stretched."""
    context, symbols = case.context, dimer.get_chemical_symbols()
    rng = np.random.default_rng([context.seed, *dimer.numbers])
    lengths = dimer.get_distance(0, 1) * rng.uniform(1 - _STRETCH, 1 + _STRETCH, _DRAWS)
    alike = dimers_apart(
        [(symbols, length) for length in lengths], cutoff=context.reference_subject.cutoff, rng=rng
    )
    exact = twin_in(context).evaluate(alike)
    errors = _errors(rounded_subject(context).evaluate(alike), exact)
    return {name: float(error.max()) for name, error in errors.items()}


def _sizes(result: Evaluation) -> dict[str, FloatArray]:
    return {"atom-energy": _by_dimer(result.energies), "force": _by_dimer(result.forces)}


def _errors(ours: Evaluation, expected: Evaluation) -> dict[str, FloatArray]:
    return {
        "atom-energy": _by_dimer(ours.energies - expected.energies),
        "force": _by_dimer(ours.forces - expected.forces),
    }


def _by_dimer(values: FloatArray) -> FloatArray:
    """Largest absolute value of every dimer, shape (n_dimers,), of one or more per atom."""
    return np.asarray(np.abs(values).reshape(len(values) // 2, -1).max(axis=1))


def _elements(context: Context, measured: Container[str]) -> dict[str, Any]:
    frames = [named.atoms for named in crystals_and_alloys(context) if named.name in measured]
    return {
        "elements_compared": len({symbol for atoms in frames for symbol in atoms.symbols}),
        "elements_declared": len(context.reference_subject.elements),
    }


def _pairs(context: Context, measured: Container[str]) -> dict[str, Any]:
    frames = [named.atoms for named in dimers(context) if named.name in measured]
    seen = {frozenset(pair) for atoms in frames for pair in np.reshape(atoms.numbers, (-1, 2))}
    n = len(context.reference_subject.elements)
    return {"pairs_compared": len(seen), "pairs_possible": n * (n + 1) // 2}


CHECKS: Final[tuple[Check, ...]] = (
    counting(
        on_structures(
            "parity.elements",
            "crystals and alloys of every element against the same model in PyTorch",
            _in_cells,
            among=lambda context, _: crystals_and_alloys(context),
            unless=without_twin,
        ),
        _elements,
    ),
    counting(
        on_structures(
            "parity.pairs",
            "dimers of every pair of elements, from 0.5 Å to the cutoff, against the same",
            _in_dimers,
            among=lambda context, _: dimers(context),
            unless=without_twin,
        ),
        _pairs,
    ),
)
