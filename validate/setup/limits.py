"""The table of limits: read, overridden by files and by single values, and never guessed."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from m3compress.errors import M3CompressError
from m3compress.validate.result import Limit, Shipped
from m3compress.validate.setup.profiles import PROFILES

_KEYS = {"limit", "unit", "source", "mandatory"}


class LimitError(M3CompressError):
    """A limit that does not exist or is not a number."""


def read_limits(
    profile: str, overriding: Path | None = None, single: Iterable[str] = ()
) -> dict[str, Limit]:
    """Limits of all checks for one profile.

    Args:
        profile: Name of a profile; one that a limit does not name has the limit of all.
        overriding: A TOML file of the form of ``limits.toml``; it may leave fields out.
        single: ``id=value`` strings, which win over the file.

    Raises:
        LimitError: For an unknown check, a bad number, or a file that cannot be read.
    """
    shipped = files("m3compress.validate.setup").joinpath("limits.toml").read_text(encoding="utf-8")
    table = _flat(tomllib.loads(shipped))
    before = {name: _limit(name, fields, profile) for name, fields in table.items()}
    if overriding is not None:
        for name, fields in _flat(_read(overriding)).items():
            _require_known(name, table)
            _require_fields(name, fields)
            # A limit in a user's file holds for every profile, unless the file names profiles.
            base = _for_all(table[name]) if "limit" in fields else table[name]
            table[name] = {**base, **fields}
    for text in single:
        name, value = _parse_single(text, table)
        table[name] = {**_for_all(table[name]), "limit": value}
    return {
        name: _marked(_limit(name, fields, profile), before[name]) for name, fields in table.items()
    }


def _marked(limit: Limit, before: Limit) -> Limit:
    """A limit that says what it was, if it is another one now."""
    shipped = Shipped(value=before.value, mandatory=before.mandatory)
    if shipped == Shipped(value=limit.value, mandatory=limit.mandatory):
        return limit
    return limit.model_copy(update={"overridden": True, "shipped": shipped})


def _for_all(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a limit but for those of single profiles."""
    return {name: value for name, value in fields.items() if name in _KEYS}


def _flat(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"md": {"rdf": {...}}}`` to ``{"md.rdf": {...}}``."""
    found: dict[str, dict[str, Any]] = {}
    for tier, checks in document.items():
        if not isinstance(checks, dict) or not all(isinstance(c, dict) for c in checks.values()):
            raise LimitError(
                f"[{tier}] is not a table of checks",
                hint="write one table per check, for instance [md.rdf] with limit = 3.0",
            )
        found.update({f"{tier}.{name}": dict(fields) for name, fields in checks.items()})
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LimitError(
            f"the limits in {path} cannot be read: {error}",
            hint="the form is that of validate/setup/limits.toml",
        ) from error


def _require_known(name: str, table: Mapping[str, Any]) -> None:
    if name in table:
        return
    close = difflib.get_close_matches(name, table, n=1, cutoff=0.0)
    raise LimitError(f"there is no check {name!r}", hint=f"did you mean {close[0]!r}?")


def _require_fields(name: str, fields: Mapping[str, Any]) -> None:
    known = _KEYS | set(PROFILES)
    unknown = sorted(set(fields) - known)
    if unknown:
        raise LimitError(
            f"the limit {name} has a field {unknown[0]!r}",
            hint=f"known: {', '.join(sorted(known))}",
        )


def _parse_single(text: str, table: Mapping[str, Any]) -> tuple[str, float]:
    name, separator, value = (part.strip() for part in text.partition("="))
    if not separator:
        raise LimitError(f"{text!r} is not id=value", hint="for instance --limit md.rdf=3")
    _require_known(name, table)
    try:
        return name, float(value)
    except ValueError as error:
        raise LimitError(
            f"the limit of {name} is {value!r}, expected a number",
            hint="for instance --limit md.rdf=3",
        ) from error


def _limit(name: str, fields: Mapping[str, Any], profile: str) -> Limit:
    value = fields.get(profile, fields["limit"])
    if value is False:
        value = None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise LimitError(f"the limit of {name} is {value!r}, expected a number or false")
    elif not math.isfinite(value) or value < 0:
        raise LimitError(f"the limit of {name} is {value}, expected a finite number, 0 or more")
    mandatory = fields.get("mandatory", True)
    if not isinstance(mandatory, bool):
        raise LimitError(f"mandatory of {name} is {mandatory!r}, expected true or false")
    return Limit(
        value=None if value is None else float(value),
        unit=str(fields["unit"]),
        source=str(fields["source"]),
        mandatory=mandatory,
    )
