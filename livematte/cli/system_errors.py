"""Errors for which neither livematte nor the command is the reason: no memory, no threads, a full disk."""

from __future__ import annotations

import errno

_FIXES = {
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ELOOP: "use a path without a circle of links",
    errno.ENOSPC: "free some space on the disk",
    getattr(errno, "EDQUOT", errno.ENOSPC): "free some space on the disk",  # Windows has none
    errno.EFBIG: "the size of files is limited here; raise the limit (ulimit -f)",
    errno.EROFS: "use another folder",
    errno.EACCES: "use another file or change its permissions",
    errno.EPERM: "use another file or change its permissions",
    errno.EIO: "the disk reports an error; use another one",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open; close other programs",
    errno.ENOMEM: "close other programs or raise the limit (ulimit -v)",
    errno.EAGAIN: "no further process is allowed; close other programs or raise the limit (ulimit -u)",
}

_NO_MEMORY = (
    "std::bad_alloc",
    "bad allocation",
    "Insufficient memory",
    "Cannot allocate memory",
    "failed to map segment",
)
"""Parts of the messages with which C++ libraries report that there is no memory."""

_NO_THREADS = ("can't start new thread", "Resource temporarily unavailable", "pthread_create")

_MEMORY_FIX = "use a smaller --size or a smaller video, close other programs, or raise the limit (ulimit -v)"


def system_reason(error: BaseException) -> str:
    """Return the reason and the fix in one line if the system refused something; empty otherwise."""
    text = str(error)
    if isinstance(error, MemoryError) or any(part in text for part in _NO_MEMORY):
        return f"there is not enough memory: {_MEMORY_FIX}"
    if isinstance(error, RuntimeError) and any(part in text for part in _NO_THREADS):
        return f"no further thread can be started: {_FIXES[errno.EAGAIN].partition('; ')[2]}"
    if isinstance(error, OSError) and error.errno in _FIXES:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*names[:1], str(error.strerror), _FIXES[error.errno]])
    return ""
