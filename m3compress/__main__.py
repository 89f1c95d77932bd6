"""Entry point of ``m3compress`` and ``python -m m3compress``: run a command, report its errors."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Final

from m3compress.console import print_error
from m3compress.contract.files import expanded
from m3compress.errors import M3CompressError

COULD_NOT_RUN = 2

#: Shells expand ``~`` at the beginning of a word only, and not where it is quoted.
_IN_HOME: Final = re.compile(r"(--[\w-]+=|-\w)?(~.*)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; usage errors and finished commands leave through ``SystemExit``.

    Args:
        arguments: Words after the program name; those of the process by default.

    Returns:
        The exit code of an error: that of its class, or 2 for what could not run. A crash is never
        1, which is for what ran and failed.
    """
    from m3compress.app import app

    words = [_with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    try:
        app(words, prog_name="m3compress")
    except M3CompressError as error:
        print_error(error.message, error.hint)
        return error.exit_code
    except ImportError as error:
        return _report_import(error)
    except OSError as error:
        print_error(_describe(error))
    except Exception as error:  # a mistake of ours: show where
        _report_crash(error)
    return COULD_NOT_RUN


def _with_home(word: str) -> str:
    """A word of the command line with the home folder for ``~``, also behind ``--option=``."""
    found = _IN_HOME.fullmatch(word)
    return word if found is None else f"{found[1] or ''}{expanded(found[2])}"


def _report_import(error: ImportError) -> int:
    from m3compress.extras import missing_dependency

    missing = missing_dependency(error)
    if missing is None:
        _report_crash(error)
        return COULD_NOT_RUN
    print_error(missing.message, missing.hint)
    return missing.exit_code


def _describe(error: OSError) -> str:
    """``file: reason`` where the system says both."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


def _report_crash(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)
    print_error(
        f"unexpected {type(error).__name__}: {error}",
        "this is a fault in m3compress; please report it with the lines above",
    )


if __name__ == "__main__":
    sys.exit(main())
