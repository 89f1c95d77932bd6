"""One frozen description of an M3GNet: its sizes and the convention of its weights.

The differences between the original TensorFlow code, the eras of matgl, and MatterSim are spelled
out in ``docs/conventions.md``; here each is a field with a name, so that the network itself has one
definition.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from m3compress.errors import CheckpointError, ConventionError

Basis = Literal["smooth", "bessel"]
MessageTarget = Literal["center", "neighbor"]
TripletIndex = Literal["parent", "pruned"]
GateAtom = Literal["neighbor", "center"]
Activation = Literal["silu", "identity"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """What weights of an M3GNet mean, which the weights themselves do not say.

    Attributes:
        name: Name used in manifests and by ``--convention``.
        messages_to: Atom of the edge i→j on which the message m_ij is summed: centre i or
            neighbour j.
        triplet_index: Bond list that the three-body sums index: the ``parent`` list of all edges
            (correct), or the ``pruned`` list used as if it were the parent (matgl before 4.1).
        gate_atom: Atom whose features gate a triplet (j, i, k): the end atom k or the centre i.
        basis_constants: Precision in which the constants of the smooth basis were computed when the
            model was trained; a float32 rounding is part of such a model.
    """

    name: str
    messages_to: MessageTarget
    triplet_index: TripletIndex
    gate_atom: GateAtom
    basis_constants: Precision = "float64"


_ALL = (
    Convention(name="tf", messages_to="center", triplet_index="parent", gate_atom="neighbor"),
    Convention(
        name="matgl-dgl", messages_to="neighbor", triplet_index="pruned", gate_atom="neighbor"
    ),
    Convention(name="matgl-3", messages_to="center", triplet_index="pruned", gate_atom="neighbor"),
    Convention(
        name="matgl-4.1", messages_to="center", triplet_index="parent", gate_atom="neighbor"
    ),
    Convention(
        name="mattersim",
        messages_to="center",
        triplet_index="parent",
        gate_atom="center",
        basis_constants="float32",
    ),
)
CONVENTIONS: dict[str, Convention] = {one.name: one for one in _ALL}


def convention(name: str) -> Convention:
    """Look a convention up by name.

    Raises:
        ConventionError: If there is no convention of that name.
    """
    if name not in CONVENTIONS:
        raise ConventionError(
            f"unknown convention {name!r}", hint=f"choose one of {', '.join(CONVENTIONS)}"
        )
    return CONVENTIONS[name]


#: Sizes beyond these are garbage in a file; building such a network would exhaust the memory.
_LARGEST = {"max_n": 64, "max_l": 16, "n_blocks": 64, "node_width": 8192, "edge_width": 8192}
_LARGEST_CUTOFF = 100.0  # Å


@dataclass(frozen=True, slots=True, kw_only=True)
class M3GNetConfig:
    """Everything about an M3GNet except its weights.

    Attributes:
        elements: Chemical symbols in the order of the rows of the embedding.
        cutoff: Cutoff of the edges in Å.
        three_body_cutoff: Cutoff of the three-body block in Å; larger than ``cutoff`` in matgl's
            dialects only, where it shapes f(r) but adds no edges.
        max_n: Radial functions per angular momentum.
        max_l: Angular momenta 0 … max_l − 1.
        n_blocks: Message-passing blocks; the receptive field is ``n_blocks · cutoff``.
        node_width: Features per atom.
        edge_width: Features per edge.
        hidden: Hidden widths of the gated MLPs of a block.
        readout_hidden: Hidden widths of the gated MLP of the readout.
        edge_basis: Radial basis of the edges, h(r).
        triplet_basis: Radial basis inside the three-body block, R_ln(r).
        edge_bias: Whether the edge embedding has a bias.
        message_activation: φ in m_ij = gMLP_v ⊙ φ(W_v h).
        convention: What the weights mean.
    """

    elements: tuple[str, ...]
    cutoff: float
    three_body_cutoff: float
    max_n: int
    max_l: int
    n_blocks: int
    node_width: int
    edge_width: int
    hidden: tuple[int, ...]
    readout_hidden: tuple[int, ...]
    edge_basis: Basis
    triplet_basis: Basis
    edge_bias: bool
    message_activation: Activation
    convention: Convention

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be a model.

        Raises:
            CheckpointError: If a size is out of range or the cutoffs contradict each other.
        """
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if not (type(value) is int and 0 < value <= largest):
                raise CheckpointError(f"{name} is {value}, expected an integer from 1 to {largest}")
        for width in (*self.hidden, *self.readout_hidden):
            if not (type(width) is int and 0 < width <= _LARGEST["node_width"]):
                raise CheckpointError(f"a hidden width is {width}")
        if not 0 < self.cutoff < _LARGEST_CUTOFF:
            raise CheckpointError(
                f"cutoff is {self.cutoff} Å, expected a number between 0 and {_LARGEST_CUTOFF}"
            )
        # matgl runs what the others do not: the block then has all edges, and only its radial
        # functions vanish at the cutoff.
        is_matgl = self.convention.name.startswith("matgl-")
        longest = _LARGEST_CUTOFF if is_matgl else self.cutoff
        if not 0 < self.three_body_cutoff <= longest:
            raise CheckpointError(
                f"three-body cutoff {self.three_body_cutoff} Å is not in (0, {longest} Å] "
                f"(the cutoff is {self.cutoff} Å)"
            )
        if not self.elements:
            raise CheckpointError("the model names no chemical elements")

    @property
    def edge_basis_size(self) -> int:
        """Number of radial functions h(r): max_n (smooth) or max_n · max_l (Bessel)."""
        return self.max_n if self.edge_basis == "smooth" else self.max_n * self.max_l

    @property
    def triplet_basis_size(self) -> int:
        """Number of (l, n) pairs of the three-body block."""
        return self.max_n * self.max_l

    @property
    def receptive_field(self) -> float:
        """Largest distance in Å at which one atom feels another."""
        return self.n_blocks * self.cutoff

    def with_convention(self, convention: Convention) -> M3GNetConfig:
        """The same network read in another convention."""
        return replace(self, convention=convention)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> M3GNetConfig:
        """Inverse of :meth:`to_json`.

        Raises:
            CheckpointError: If a field is missing or unknown.
        """
        try:
            values = dict(document)
            values["convention"] = Convention(**values["convention"])
            for name in ("elements", "hidden", "readout_hidden"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"the configuration is not one of an M3GNet: {error}",
                hint="the file was written by another version, or edited by hand",
            ) from error
