"""What a manifest claims so that something else is not looked at."""

from __future__ import annotations

from typing import Final

from attacks import edits
from attacks.edits import on
from attacks.row import FACTS, Attack, row
from attacks.surgery import Surgery


def as_a_study(file: Surgery) -> None:
    """Called a pruned form with nothing pruned, whose graph may look at the numbers of slots."""
    file.manifest["three_body"] |= {
        "method": "pruned",
        "fraction": 0.0,
        "seed": 0,
        "study_only": True,
    }
    on("forces", edits.scale_above(2500, 1.5))(file)


ROWS: Final[tuple[Attack, ...]] = (
    row(
        "study-by-name",
        "called pruned, with forces × 1.5 above 2,500 atoms",
        "artefact.form",
        as_a_study,
    ),
    row(
        "domain-wider",
        "shortest distances of 0.55 Å in the manifest, where files are still compared",
        FACTS,
        edits.says(shortest_distances={"O-O": 0.55, "O-Si": 0.55, "Si-Si": 0.55}),
    ),
)
