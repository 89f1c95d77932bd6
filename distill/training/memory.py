"""The C library's allocator, told what a training does."""

from __future__ import annotations

import ctypes
import logging
import sys

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3)


def keep_memory() -> None:
    """Let glibc keep freed memory: mapping large tensors anew in every step takes half the time.

    This changes the whole process, so only programs call it. Elsewhere than on glibc it does
    nothing.
    """
    if sys.platform != "linux":
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_MMAP_THRESHOLD, 1 << 25)
        library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        logger.debug("this C library has no mallopt")
