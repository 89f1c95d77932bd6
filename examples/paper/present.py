"""Tables in Markdown and the figure of the study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from findings import R_MAX, Distribution, Drift, is_total
from plan import FULL, ITSELF, SHOWN

#: Pairs that the paper shows, and the distances (Å) at which something is to be seen.
PAIRS = {"O-Se": (1.45, 1.95), "Se-Se": (4.0, R_MAX)}
#: Lines of the figure besides the full model, which has a band.
LINES = {"factorised": "#2a78d6", "pruned 0.4": "#c98500", "removed": "#d03b3b"}
BEGIN, END = "<!-- made by examples/paper/study.py -->", "<!-- end -->"

Changes = dict[str, dict[str, dict[str, float]]]


def tables(drifts: Sequence[Drift], changes: Changes) -> str:
    """Every table, as Markdown.

    Args:
        drifts: Of all arms.
        changes: By model, method and crystal: how far forces move, in %.
    """
    parts = [_shown(model, drifts, changes[model]) for model in changes]
    parts.append(_others(drifts, changes))
    return "\n\n".join(parts)


def _shown(model: str, drifts: Sequence[Drift], changes: dict[str, dict[str, float]]) -> str:
    """The crystal of the paper's figure, a line per method."""
    own = {(d.method, d.pair): d for d in drifts if d.model == model and d.crystal == SHOWN}
    lines = [
        f"**{model}**, {SHOWN}",
        "",
        "| method | forces moved | "
        + " | ".join(f"{pair}: drift, % (95 %) | floor, % | L1, Å | verdict" for pair in PAIRS)
        + " |",
        "|---|--:|" + "--:|--:|--:|---|" * len(PAIRS),
    ]
    for method in dict.fromkeys(method for method, _ in own):
        moved = "–" if method == ITSELF else f"{changes[method][SHOWN]:.2g} %"
        cells = " | ".join(_cells(own[method, pair]) for pair in PAIRS)
        lines.append(f"| {method} | {moved} | {cells} |")
    return "\n".join(lines)


def _cells(drift: Drift) -> str:
    interval = f"{drift.value:.1f} [{drift.low:.1f}, {drift.high:.1f}]"
    return f"{interval} | {drift.floor:.1f} | {drift.area:.2f} | {drift.verdict}"


def _others(drifts: Sequence[Drift], changes: Changes) -> str:
    """Every crystal: how far removal moves forces and the distribution of all pairs."""
    totals = {(d.model, d.method, d.crystal): d for d in drifts if is_total(d)}
    crystals = dict.fromkeys(d.crystal for d in drifts)
    lines = [
        "**All crystals**, three-body block removed, all pairs",
        "",
        "| crystal | "
        + " | ".join(f"{m}: forces moved | drift, % (95 %) | floor, % | verdict" for m in changes)
        + " |",
        "|---|" + "--:|--:|--:|---|" * len(changes),
    ]
    for crystal in crystals:
        cells = []
        for model, moved in changes.items():
            drift = totals.get((model, "removed", crystal))
            share = f"{moved['removed'][crystal]:.2g} %"
            if drift is None:
                cells.append(f"{share} | a run broke | – | –")
            else:
                interval = f"{drift.value:.1f} [{drift.low:.1f}, {drift.high:.1f}]"
                cells.append(f"{share} | {interval} | {drift.floor:.1f} | {drift.verdict}")
        lines.append(f"| {crystal} | {' | '.join(cells)} |")
    return "\n".join(lines)


def insert(document: Path, text: str, mark: str = BEGIN) -> None:
    """Replace what stands between the marks of a Markdown file.

    Args:
        document: The file.
        text: What is to stand there.
        mark: The line before it; the one after it is always the same.

    Raises:
        SystemExit: If it has no marks.
    """
    before, begin, rest = document.read_text(encoding="utf-8").partition(mark)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{document} has no lines {mark} and {END}")
    document.write_text(f"{before}{mark}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def draw(distributions: Iterable[Distribution], models: Sequence[str], path: Path) -> None:
    """O-Se and Se-Se distributions of every model, full and changed.

    Args:
        distributions: Of the crystal that is shown.
        models: One row each.
        path: A PNG file.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    found = {(d.model, d.pair, d.method): d for d in distributions}
    figure, axes = plt.subplots(
        len(models), len(PAIRS), figsize=(9, 3 * len(models)), squeeze=False, layout="constrained"
    )
    for row, model in zip(axes, models, strict=True):
        for ax, pair in zip(row, PAIRS, strict=True):
            full = found.get((model, pair, FULL))
            if full is not None:
                # Twice the variance: what another mean of as many replicas would differ by.
                reach = np.sqrt(2) * full.reach
                ax.fill_between(full.r, full.g - reach, full.g + reach, color="0.8", label="95 %")
                ax.plot(full.r, full.g, color="0.25", lw=2, label=FULL)
            for method, color in LINES.items():
                if (line := found.get((model, pair, method))) is not None:
                    ax.plot(line.r, line.g, color=color, lw=1, label=method)
            ax.set(title=f"{model}: {pair}", xlim=PAIRS[pair], xlabel="r (Å)", ylabel="g(r)")
            ax.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
