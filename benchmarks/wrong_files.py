"""Are exported files that are wrong in one way refused, and by the check that is there to see it?

Every row of ``attacks/table.py`` is made of a right file and put through the static checks of a
profile with several seeds: first those that are named for it, and all the others only if these see
nothing. The right file itself is put through all of them, and must pass.

    python benchmarks/wrong_files.py --model builtin --seeds 2
    python benchmarks/wrong_files.py --model MODEL --seeds 2    # a universal one
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacks.row import Attack
from attacks.surgery import Surgery
from attacks.table import ATTACKS
from results_file import keep

from m3compress.api import export_model, resolve_source
from m3compress.errors import M3CompressError
from m3compress.validate.result import CheckResult, Tier, Verdict
from m3compress.validate.run import CHECKS, run_checks
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.settings import Settings, open_context

RESULTS = Path(__file__).parent / "results" / "wrong_files.json"
_STATIC = (Tier.ARTEFACT, Tier.INVARIANTS, Tier.DERIVATIVES, Tier.PARITY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What became of a wrong file.

    Attributes:
        attack: Name of the attack; empty for the right file.
        seed: Seed of the gate.
        refused_by: Checks that failed, or the error before any check.
        named: Whether a check that is named for it is among them.
        seconds: Processor time.
    """

    attack: str
    seed: int
    refused_by: tuple[str, ...]
    named: bool
    seconds: float


class Bench:
    """Gates of one model that share what its reference says.

    Args:
        settings: Of the right file.
        folder: For wrong files and workplaces.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self._first: Context | None = None
        self.limits = settings.read_limits()

    def refuses(self, artefact: Path, names: Iterable[str] | None) -> tuple[str, ...]:
        """Mandatory checks that do not pass; of all static ones where no names are given."""
        try:
            context = self._open(artefact)
        except M3CompressError as error:
            model = self.settings.model
            return (f"error: {error.message.replace(model, Path(model).name)}",)
        wanted = None if names is None else set(names)
        checks = [
            check
            for check in CHECKS
            if (check.tier in _STATIC if wanted is None else check.id in wanted)
        ]
        results = run_checks(context, self.limits, checks=checks)
        return tuple(dict.fromkeys(result.id for result in results if _is_refusal(result)))

    def _open(self, artefact: Path) -> Context:
        workplace = Path(tempfile.mkdtemp(dir=self.folder))
        context = open_context(replace(self.settings, artefact=artefact), workplace, workplace)
        if self._first is None:
            self._first = context
            return context
        # The reference and the twin stay open, with what they have said of every structure.
        for name in ("reference_subject", "twin_subject"):
            context.__dict__[name] = getattr(self._first, name)
        known = {id(self._first.reference_subject), id(self._first.twin_subject)}
        context.cached.update((k, v) for k, v in self._first.cached.items() if k[0] in known)
        return context


def _is_refusal(result: CheckResult) -> bool:
    return result.decides and result.verdict in (Verdict.FAIL, Verdict.ERROR)


def refusals(bench: Bench, attacks: Sequence[Attack], right: Path) -> Iterator[Refusal]:
    """What becomes of the right file and of every wrong one."""
    seed = bench.settings.seed
    start = time.process_time()
    wrongly = bench.refuses(right, None)
    yield Refusal("", seed, wrongly, named=not wrongly, seconds=time.process_time() - start)
    for attack in attacks:
        start = time.process_time()
        file = Surgery(right)
        attack.edit(file)
        wrong = file.save(bench.folder / f"{attack.name}.m3c.onnx")
        found = bench.refuses(wrong, attack.seen_by)
        named = any(name.partition(":")[0] in attack.seen_by for name in found)
        if not found:
            found = bench.refuses(wrong, None)
        yield Refusal(attack.name, seed, found, named, time.process_time() - start)


def say(refusal: Refusal) -> None:
    """Tell whoever watches."""
    verdict = "by name" if refusal.named else "NOT by name" if refusal.refused_by else "PASSED"
    if not refusal.attack:
        verdict = "refused" if refusal.refused_by else "passes"
    sys.stderr.write(
        f"{refusal.seed} {refusal.attack or 'the right file':18s} {verdict:12s} "
        f"{refusal.seconds:5.1f} s  {', '.join(refusal.refused_by)}\n"
    )
    sys.stderr.flush()


def main() -> int:
    """Run, print and keep the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="builtin", help="what is exported")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of attacks")
    arguments = parser.parse_args()
    kind = "builtin" if arguments.model == "builtin" else "universal"
    chosen = [
        attack
        for attack in ATTACKS
        if (attack.name in arguments.only if arguments.only else attack.model == kind)
    ]
    found: list[Refusal] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        right = folder / "right.m3c.onnx"
        export_model(arguments.model, output=right)
        for seed in range(arguments.seeds):
            settings = Settings(
                artefact=right,
                model=str(resolve_source(arguments.model)),
                profile=arguments.profile,
                seed=seed,
                n_workers=1,
            )
            for refusal in refusals(Bench(settings, folder), chosen, right):
                say(refusal)
                found.append(refusal)
    if not arguments.only:
        name = f"{Path(arguments.model).name}, {arguments.profile}"
        keep(RESULTS, name, table(found))
    return 0 if all(refusal.named for refusal in found) else 1


def table(found: Sequence[Refusal]) -> dict[str, Any]:
    """What is kept of all of them."""
    wrong = [refusal for refusal in found if refusal.attack]
    what = {attack.name: attack.what for attack in ATTACKS}
    return {
        "refused_by_name": f"{sum(refusal.named for refusal in wrong)} of {len(wrong)}",
        "passed": [refusal.attack for refusal in wrong if not refusal.refused_by],
        "rows": {
            name: {
                "what": what.get(name, "nothing is wrong"),
                "refused_by": [
                    list(refusal.refused_by) for refusal in found if refusal.attack == name
                ],
            }
            for name in dict.fromkeys(refusal.attack for refusal in found)
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
