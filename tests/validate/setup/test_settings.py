"""Options and files that cannot be meant: one clear error before anything is measured."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from m3compress.api import resolve_source
from m3compress.errors import (
    ArtefactError,
    ConventionError,
    M3CompressError,
    MissingDependencyError,
)
from m3compress.validate.checks.artefact import check_conventions
from m3compress.validate.controls.selfcheck import CONTROLS, NEGATIVE
from m3compress.validate.setup.settings import Settings, open_context
from m3compress.validate.setup.subject import ExportedSpec, provenance_of

BUILTIN = str(resolve_source("builtin"))


def opened(artefact: Path, tmp_path: Path, **options: Any) -> Any:
    settings = Settings(**{"artefact": artefact, "model": BUILTIN, "profile": "smoke", **options})
    return open_context(settings, tmp_path / "work", tmp_path / "trajectories")


def test_a_gate_of_the_built_in_model(silica_artefact: Path, tmp_path: Path) -> None:
    context = opened(silica_artefact, tmp_path, temperature=450.0, n_replicas=3, seed=7)
    assert (context.profile.temperature, context.profile.n_replicas, context.seed) == (450.0, 3, 7)
    assert context.twin is not None
    assert context.twin.form == "native"
    assert len(context.zoo) >= 8
    (sample,) = context.samples
    assert min(sample.atoms.cell.lengths()) >= 2 * context.profile.r_max


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "thorough"}, "no profile"),
        ({"timestep": 0.0}, "timestep is 0.0"),
        ({"duration": -1.0}, "duration is -1.0"),
        ({"duration": 0.02}, "duration is 0.02 ps, expected 0.05 or more"),
        ({"n_replicas": 1}, "n_replicas is 1, expected 2"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"pressure": float("inf")}, "pressure is inf"),
        ({"structures": Path("nowhere.xyz")}, r"nowhere\.xyz"),
        ({"labels": Path("nowhere.xyz")}, r"nowhere\.xyz"),
    ],
)
def test_impossible_options(
    options: dict[str, Any], message: str, silica_artefact: Path, tmp_path: Path
) -> None:
    with pytest.raises(M3CompressError, match=message) as caught:
        opened(silica_artefact, tmp_path, **options)
    assert caught.value.exit_code == 2


def _claiming(artefact: Path, folder: Path, convention: str) -> Path:
    """A copy of a file whose manifest says that its user asked for another convention."""
    path = folder / artefact.name
    shutil.copyfile(artefact, path)
    document = json.loads(artefact.with_suffix(".json").read_text(encoding="utf-8"))
    document["source"] |= {"convention": convention, "evidence": {"decided_by": "user"}}
    path.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_artefact_does_not_choose_the_convention(silica_artefact: Path, tmp_path: Path) -> None:
    claiming = _claiming(silica_artefact, tmp_path, "matgl-dgl")
    context = opened(claiming, tmp_path)
    assert context.reference.convention == "matgl-4.1"
    assert check_conventions(context, claiming).value == 1
    provenance = provenance_of(context.reference_subject)
    assert provenance is not None
    assert provenance.evidence["decided_by"] == "measurement"
    assert "measured crystals" in provenance.how
    given = opened(claiming, tmp_path, convention="matgl-dgl")
    assert given.reference.convention == "matgl-dgl"
    assert check_conventions(given, claiming).value == 0


def test_a_convention_that_is_not_found_must_be_given(
    silica_artefact: Path, tmp_path: Path
) -> None:
    """Weights of noise: no reading of them looks like a trained model."""
    noise = tmp_path / "noise"
    shutil.copytree(BUILTIN, noise, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    state = torch.load(noise / "state.pt", weights_only=True)
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim > 1:
            state[name] = torch.randn(value.shape, generator=generator) / value.shape[-1] ** 0.5
    torch.save(state, noise / "state.pt")
    claiming = _claiming(silica_artefact, tmp_path, "matgl-4.1")
    with pytest.raises(ConventionError, match="undecided") as caught:
        opened(claiming, tmp_path, model=str(noise))
    assert "--convention" in str(caught.value.hint)
    assert caught.value.exit_code == 2


@pytest.fixture
def plan(silica_artefact: Path, tmp_path: Path) -> Path:
    """A file whose manifest calls it a plan of TensorRT-RTX."""
    path = tmp_path / "silica.plan"
    shutil.copyfile(silica_artefact, path)
    document = json.loads(silica_artefact.with_suffix(".json").read_text(encoding="utf-8"))
    document["backend"] = "tensorrt-rtx"
    path.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_plan_is_validated_where_a_gpu_is(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtefactError, match="GPUs only") as refused:
        opened(plan, tmp_path)
    assert "--device cuda" in str(refused.value.hint)
    for module in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match="tensorrt-rtx") as missing:
        opened(plan, tmp_path, device="cuda")
    assert refused.value.exit_code == missing.value.exit_code == 2


def test_the_candidate_runs_on_the_device_that_is_asked_for(
    silica_artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(ExportedSpec, "open", lambda spec: tried.append(spec.device))
    context = opened(silica_artefact, tmp_path, device="cuda")
    assert context.candidate.device == "cuda"
    assert tried == ["cuda"]
    with pytest.raises(M3CompressError, match=r"'tpu'.*cpu, cuda"):
        opened(silica_artefact, tmp_path, device="tpu")


def test_an_artefact_of_other_weights_is_refused(silica_artefact: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(BUILTIN, other, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    state = torch.load(other / "state.pt", weights_only=True)
    name = next(key for key, value in state.items() if value.is_floating_point() and value.ndim > 1)
    state[name] = state[name] * (1 + 1e-6)
    torch.save(state, other / "state.pt")
    with pytest.raises(ArtefactError, match="was made from"):
        opened(silica_artefact, tmp_path, model=str(other))


def test_an_artefact_for_other_elements_is_refused(silica_artefact: Path, tmp_path: Path) -> None:
    path = tmp_path / silica_artefact.name
    shutil.copy(silica_artefact, path)
    manifest = json.loads(silica_artefact.with_suffix(".json").read_text())
    manifest["shortest_distances"] = None
    manifest["elements"] = ["Ge", "O"] if manifest["elements"][0] == "Si" else ["O", "Ge"]
    path.with_suffix(".json").write_text(json.dumps(manifest))
    with pytest.raises(M3CompressError, match="Ge"):
        opened(path, tmp_path)


def test_cells_that_are_too_small_are_refused_if_they_must_not_be_repeated(
    silica_artefact: Path, tmp_path: Path
) -> None:
    from ase.build import bulk

    path = tmp_path / "si.xyz"
    bulk("Si", cubic=True).write(path)
    (sample,) = opened(silica_artefact, tmp_path, structures=path).samples
    assert len(sample.atoms) > 8
    with pytest.raises(M3CompressError, match=r"Å") as caught:
        opened(silica_artefact, tmp_path, structures=path, supercell=False)
    assert "--supercell" in str(caught.value.hint)


def test_structures_with_unknown_elements_are_refused(
    silica_artefact: Path, tmp_path: Path
) -> None:
    from ase.build import bulk

    path = tmp_path / "ge.xyz"
    bulk("Ge").write(path)
    with pytest.raises(M3CompressError, match="Ge"):
        opened(silica_artefact, tmp_path, structures=path)


def test_a_run_is_the_same_if_its_files_and_options_are(
    silica_artefact: Path, tmp_path: Path
) -> None:
    base = Settings(artefact=silica_artefact, model=BUILTIN)
    assert base.fingerprint() == Settings(artefact=silica_artefact, model=BUILTIN).fingerprint()
    same = Settings(artefact=silica_artefact, model=BUILTIN, n_workers=7, limit=("md.rdf=3",))
    assert base.fingerprint() == same.fingerprint(), "neither cores nor limits change a trajectory"
    other = Settings(artefact=silica_artefact, model=BUILTIN, seed=1)
    assert base.fingerprint() != other.fingerprint()
    moved = tmp_path / silica_artefact.name
    shutil.copy(silica_artefact, moved)
    assert Settings(artefact=moved, model=BUILTIN).fingerprint() == base.fingerprint()
    # A copy of the model, for the run and for a control, is the same model.
    copied = str(shutil.copytree(BUILTIN, tmp_path / "copy"))
    controls = [
        Settings(artefact=moved, model=path, control=NEGATIVE).fingerprint()
        for path in (BUILTIN, copied)
    ]
    assert controls[0] == controls[1] != base.fingerprint()
    everyone = [Settings(artefact=moved, model=BUILTIN, control=c).fingerprint() for c in CONTROLS]
    assert all(everyone.count(one) == 1 for one in everyone)
    moved.write_bytes(moved.read_bytes() + b"x")
    assert Settings(artefact=moved, model=BUILTIN).fingerprint() != base.fingerprint()


def test_the_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("artefact", "model", "structures", "labels")
    for name in names:
        (tmp_path / name).write_text(name)
    inside = {name: Path("~", name) for name in names}
    settings = Settings(**{**inside, "model": "~/model"}, limits=Path("~/limits"))
    outside = {name: tmp_path / name for name in names}
    expected = Settings(**{**outside, "model": str(tmp_path / "model")})
    assert settings.fingerprint() == expected.fingerprint()
    assert settings.limits == tmp_path / "limits"
