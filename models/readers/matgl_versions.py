"""Which version of matgl wrote a file? It does not say, but its arguments and modules do.

Every version saves all arguments of its classes, with the modules they are in. What each version
writes was read in its wheel on PyPI:

| version | modules of potential and M3GNet | arguments that the one before lacks |
|---|---|---|
| up to 1.2 (DGL) | ``apps.pes``, ``models._m3gnet`` | |
| 1.3 (DGL) | the same | ``dropout`` |
| 2.0 (DGL) | ``apps._pes_dgl``, ``models._m3gnet`` | ``calc_charge`` |
| 3.0 | ``…_dgl`` or ``…_pyg``, as the graphs are | |
| 4.0.0, 4.0.1 | ``apps._pes``, ``models._m3gnet`` | ``compile_model``, ``compile_mode`` |
| from 4.0.2 | ``apps.pes``, ``models._m3gnet`` | |

The version that wrote a file need not be the one that trained it: weights that were only loaded and
saved again mean what they meant before. So this is evidence, and no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from m3compress.models.potential import Writer

_DGL: Final = ("matgl-dgl",)
_NOT_DGL: Final = ("matgl-3", "matgl-4.1")
_COMPILED: Final = ("compile_model", "compile_mode")


def writer_of(potential: Mapping[str, Any] | None, network: Mapping[str, Any]) -> Writer:
    """Who wrote the arguments of a model.

    Args:
        potential: Arguments of the potential, ``@module`` among them where it is known; None for a
            bare network.
        network: Arguments of the M3GNet, with ``@module`` likewise.
    """
    outer = {} if potential is None else potential
    modules = [str(arguments.get("@module", "")) for arguments in (outer, network)]
    ends = tuple(module.rsplit("_", 1)[-1] for module in modules if "_" in module)
    if "pyg" in ends:
        return Writer("matgl 3.0 with PyG", f"its class is in {modules[-1]}", ("matgl-3",))
    if modules[0].endswith("._pes"):
        return Writer("matgl 4.0", f"its class is in {modules[0]}", ("matgl-3",))
    # Before the modules of DGL: that of a network may be older than the program that saved it.
    if found := [name for name in _COMPILED if name in outer]:
        return Writer("matgl 4.0 or newer", f"it has {' and '.join(found)}", _NOT_DGL)
    if "dgl" in ends:
        named = next(module for module in modules if module.endswith("_dgl"))
        return Writer("matgl 2 or 3.0 with DGL", f"its class is in {named}", _DGL)
    if "dropout" not in network:
        return Writer("matgl 1.2 or older", "it has no argument dropout", _DGL)
    if potential is None:
        # What tells 4.0 from those before is among the arguments of the potential alone.
        return Writer("matgl 1.3 or newer", "it has dropout", (*_DGL, *_NOT_DGL))
    if "calc_charge" not in outer:
        return Writer("matgl 1.3", "it has dropout, but no calc_charge", _DGL)
    return Writer("matgl 1.3 to 3.0", "it has dropout, but no compile_mode", (*_DGL, "matgl-3"))


def trainer_of(hyper_parameters: Any) -> Writer | None:
    """Who trained a Lightning checkpoint, by the arguments of matgl's training module.

    From 3.0 they have ``charge_weight``, and from 4.0.2 no ``optimizer`` any more.

    Args:
        hyper_parameters: As the checkpoint holds them.

    Returns:
        None where they leave it open.
    """
    if not isinstance(hyper_parameters, Mapping):
        return None
    if "charge_weight" in hyper_parameters and "optimizer" not in hyper_parameters:
        return Writer("matgl 4.0 or newer", "it has charge_weight, but no optimizer", _NOT_DGL)
    if "magmom_weight" in hyper_parameters and "charge_weight" not in hyper_parameters:
        return Writer("matgl 3.0 or older", "it has no charge_weight", (*_DGL, "matgl-3"))
    return None


def writer_of_training(hyper_parameters: Any, arguments: Writer) -> Writer | None:
    """Who trained weights, by their training, else by the arguments that stand beside them.

    Those may be of the model that the training began with, and only say that it was not older.

    Args:
        hyper_parameters: Of the training, as :func:`trainer_of` takes them.
        arguments: Who wrote the arguments.

    Returns:
        None where both leave it open.
    """
    trainer = trainer_of(hyper_parameters)
    if trainer is not None or set(_DGL) & set(arguments.conventions):
        return trainer
    versions = f"{arguments.versions.removesuffix(' or newer')} or newer"
    return Writer(versions, f"of its arguments: {arguments.because}", _NOT_DGL)
