"""What the documents point at exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "docs/engines", "models/builtin", "examples/paper")
    for path in (ROOT / folder).glob("*.md")
)
#: Rooms that documents name files of in code spans.
ROOMS = "models|distill|export|engines|validate|m3compress|benchmarks|examples|scripts|tests"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    # A file of an older commit is not expected to be there still.
    named = re.findall(rf"`((?:{ROOMS})/[\w./]+\.(?:py|toml|sh|json))`(?!\s+as of)", text)
    # Names in capitals and dots stand for files that a reader will make.
    real = [name for name in named if not re.search(r"NAME|…|test_\.", name)]
    assert [name for name in real if not (ROOT / name).exists()] == []
