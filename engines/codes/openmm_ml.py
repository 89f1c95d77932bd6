"""``MLPotential("m3compress", model="silica.m3c.onnx")`` of OpenMM-ML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import openmm
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from m3compress.engines.codes.openmm import force
from m3compress.errors import M3CompressError, StructureError


class Factory(MLPotentialImplFactory):
    """What the entry point ``openmmml.potentials`` names."""

    def createImpl(self, name: str, **args: Any) -> MLPotentialImpl:  # noqa: N802 (OpenMM's name)
        """The potential of an exported file.

        Raises:
            M3CompressError: If no ``model`` is named.
        """
        if "model" not in args:
            raise M3CompressError(
                f"MLPotential({name!r}) names no model",
                hint="MLPotential('m3compress', model='model.m3c.onnx')",
            )
        return Potential(args.pop("model"), args)


class Potential(MLPotentialImpl):
    """An exported file on all atoms of a topology, or on some as if there were no others.

    Args:
        model: Its path.
        options: Of :class:`~m3compress.engines.evaluator.ArtefactEvaluator`, such as ``threads``.
    """

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        self._model = model
        known = {"device", "threads", "precision", "memory"}
        self._options = {name: value for name, value in options.items() if name in known}

    def addForces(  # noqa: N802 (OpenMM's name)
        self,
        topology: openmm.app.Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        **args: Any,
    ) -> None:
        """Add the model to a system.

        Raises:
            ArtefactError: If the file cannot be opened.
            StructureError: If an atom has no element, or one that the model does not know.
        """
        del args
        chosen = list(topology.atoms())
        particles = None if atoms is None else list(atoms)
        if particles is not None:
            chosen = [chosen[index] for index in particles]
        if any(atom.element is None for atom in chosen):
            raise StructureError("an atom of the topology has no element")
        made = force(
            self._model,
            [atom.element.atomic_number for atom in chosen],
            periodic=topology.getPeriodicBoxVectors() is not None,
            particles=particles,
            **self._options,
        )
        made.setForceGroup(forceGroup)
        system.addForce(made)
