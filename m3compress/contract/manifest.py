"""The manifest: what an exported file is, in one versioned document.

It is written beside the file (``model.m3c.json``) and inside it (ONNX
``metadata_props["m3compress"]``). What is said *about* the finished file (its hash, its parity,
whether the gate passed it) stands beside it only: inside, it would change what it is about.
Needs neither torch nor onnx.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from m3compress.contract.backends import backend_named
from m3compress.contract.forms import FORMS, ThreeBodyForm
from m3compress.units import ENERGY_UNIT, FORCE_UNIT, LENGTH_UNIT, STRESS_UNIT

#: Inputs of every exported graph in order; a graph without three-body block may use fewer.
INPUT_NAMES: Final = (
    "species",
    "neighbors",
    "mask",
    "edge_vectors",
    "incoming",
    "incoming_mask",
)
#: Outputs of every exported graph in order.
OUTPUT_NAMES: Final = ("energies", "forces", "virial")
#: Of the virials of all atoms.
_RANK: Final = 3

#: Units of everything that goes in and comes out.
UNITS: Final = {
    "energy": ENERGY_UNIT,
    "length": LENGTH_UNIT,
    "force": FORCE_UNIT,
    "stress": STRESS_UNIT,
}
#: Signs, orders and sums: what the units leave open.
CONVENTIONS: Final = {
    "stress": "(1/V) dE/dstrain; positive under tension; Voigt order xx, yy, zz, yz, xz, xy",
    "cell": "rows are the cell vectors",
    "energy": "sum(energies) + sum(element_energies[species]) + energy_offset, in float64",
    "edges": "directed; every edge i→j within the cutoff appears once at i, self-images included",
}

#: Raised with every change that an older reader would misread.
SCHEMA_VERSION: Final = 1
#: Key of the manifest in ONNX metadata_props.
METADATA_KEY: Final = "m3compress"
#: In files of the native core: of the manifest in the description of the model.
MANIFEST_KEY: Final = "manifest"
#: Fields of the manifest that are not repeated inside the file.
BESIDE_ONLY: Final = ("artefact_sha256", "parity", "graph_parity", "gate")
#: Who ran the files whose parity names no engine: written before others were run.
UNNAMED_ENGINE: Final = "ONNX Runtime, cpu"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tensor(_Strict):
    """One input or output; string dimensions are dynamic."""

    name: str
    dtype: Literal["float32", "float64", "int64"]
    shape: tuple[int | str, ...]
    meaning: str


class Source(_Strict):
    """The trained model that the file was made from."""

    format: str
    name: str
    sha256: str
    convention: str
    #: How the convention was decided: by the file format, by measurement, or by the user.
    evidence: dict[str, Any] = Field(default_factory=dict)


class ThreeBodyMethod(_Strict):
    """What was done to the three-body block."""

    #: Name of a three-body form that is exportable.
    method: str
    fraction: float | None = None
    seed: int | None = None
    #: A study mode is not meant for production runs (hard pruning breaks smoothness).
    study_only: bool = False
    #: Why this method: measured share of the block, or the user's choice.
    reason: str = ""

    @field_validator("method")
    @classmethod
    def _is_exportable(cls, name: str) -> str:
        exportable = [row.name for row in FORMS.values() if row.exportable]
        if name not in exportable:
            raise ValueError(f"expected one of {', '.join(exportable)}, got {name!r}")
        return name

    @classmethod
    def of(cls, form: ThreeBodyForm, reason: str = "") -> ThreeBodyMethod:
        """What a file says of the form that it was exported in."""
        drops = form.row.fraction != "never"
        return cls(
            method=form.name,
            fraction=form.fraction if drops else None,
            seed=form.seed if drops else None,
            study_only=form.row.study_only,
            reason=reason,
        )

    @property
    def form(self) -> ThreeBodyForm:
        """The form that the file was exported in."""
        return ThreeBodyForm(name=self.method, fraction=self.fraction or 0.0, seed=self.seed or 0)


class ParityRow(_Strict):
    """Largest differences from the reference on one structure of the zoo."""

    structure: str
    n_atoms: int
    energy_error: float
    """|ΔE| per atom in eV."""
    energy_limit: float
    force_error: float
    """Largest component of |ΔF| in eV/Å."""
    force_limit: float
    stress_error: float | None
    """Largest component of |Δσ| in eV/Å³; None where the structure has no volume."""
    # Without these, a file of an earlier version was not judged by them.
    stress_limit: float | None = None
    atom_energy_error: float | None = None
    """Largest |ΔE| of a single atom in eV."""
    atom_energy_limit: float | None = None


class Parity(_Strict):
    """Agreement of an exported file with its reference, run in an engine."""

    reference: str
    engine: str = UNNAMED_ENGINE
    """What ran the file, with its version and where."""
    rows: tuple[ParityRow, ...]
    passed: bool


class GateStamp(_Strict):
    """Whether the release gate has passed this file."""

    status: Literal["unvalidated", "passed"] = "unvalidated"
    report_sha256: str | None = None

    @model_validator(mode="after")
    def _names_its_report(self) -> Self:
        if self.status == "passed" and self.report_sha256 is None:
            raise ValueError("a gate that was passed names the hash of its report")
        return self


class Manifest(_Strict):
    """Everything a runtime or a reader needs to know of an exported file."""

    schema_version: int = SCHEMA_VERSION
    created_by: str
    artefact_sha256: str | None = None
    #: Name of a row of the table of backends.
    backend: str = "onnx"
    precision: Literal["float32", "mixed"] = "float32"
    source: Source
    elements: tuple[str, ...]
    """Chemical symbols; an atom's position here is its ``species`` input."""
    element_energies: tuple[float, ...]
    """Reference energy in eV of each element, added by the engine in float64."""
    energy_offset: float
    """Energy in eV added once per structure."""
    cutoff: float
    """Cutoff of the edges in Å."""
    three_body_cutoff: float
    n_blocks: int
    receptive_field: float
    three_body: ThreeBodyMethod
    shortest_distances: dict[str, float] | None = None
    """Shortest distance in Å of each pair of elements (``O-Si``) in the training domain, where
    something is known of that; nothing is said of pairs that are left out."""
    units: dict[str, str]
    conventions: dict[str, str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parity: Parity | None = None
    """Of this file, run in its own engine; None if it was not run."""
    graph_parity: Parity | None = None
    """Of the ONNX graph that this file was built from: no statement about the file itself."""
    gate: GateStamp = GateStamp()
    tools: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keep_to_what_was_run(cls, document: Any) -> Any:
        """A file that is no graph once carried the parity of the graph it was built from."""
        if not isinstance(document, dict) or document.get("backend", "onnx") == "onnx":
            return document
        parity = document.get("parity")
        if not isinstance(parity, dict) or "engine" in parity:
            return document
        return {**document, "parity": None, "graph_parity": parity}

    @property
    def has_atom_virials(self) -> bool:
        """Whether its engine tells what every atom adds to the virial; old files give the sum."""
        return any(one.name == "virial" and len(one.shape) == _RANK for one in self.outputs)

    @field_validator("backend")
    @classmethod
    def _exists(cls, name: str) -> str:
        return backend_named(name).name
