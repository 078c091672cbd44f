"""Atomic writes: a file is the whole old one or the whole new one, whenever the power goes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress

_BINARY = getattr(os, "O_BINARY", 0)


def write_atomically(path: str, fill: Callable[[int], None]) -> None:
    """Have `fill(descriptor)` write a file beside `path`, bring it to the disk, and put it in the place of `path`.

    The order is write, fsync, rename, fsync of the directory: Pillai et al., "All file systems are not created equal",
    OSDI 2014.  The file beside it is path + ".partial"; it is removed where anything fails, and a killed process leaves
    it for the next to overwrite.  A link is followed, and permissions are kept.  OSError says whether the old file
    stands; it is raised too where another process is writing there at the time.
    """
    target = os.path.realpath(path)
    partial = target + ".partial"
    try:
        mode = os.stat(target).st_mode
    except OSError:
        mode = None
    if os.path.islink(target) or (mode is not None and not stat.S_ISREG(mode)):  # what is still a link ends nowhere
        raise OSError(f"{path!r} is not a regular file, and was left as it is: save to another path")
    if not _is_free(partial):
        raise OSError(f"{partial!r} is not a regular file, and nothing was saved: remove it, or save to another path")
    try:
        # What replaces a private file is private while it is written.
        descriptor = _new(partial, 0o666 if mode is None else 0o600)
    except OSError as error:
        raise _told(error, path, mode is not None) from error
    is_open = True
    try:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(descriptor, stat.S_IMODE(mode))
        fill(descriptor)
        os.fsync(descriptor)
        if os.name == "nt":  # an open file has no other name there; elsewhere it is locked until it has
            is_open = False
            os.close(descriptor)
        elif not _stands(descriptor, partial):  # on a file system without locks
            raise _in_use()
        os.replace(partial, target)
    except BaseException as error:
        with suppress(OSError):
            if not is_open or _stands(descriptor, partial):  # and is not another's
                os.unlink(partial)
        if isinstance(error, OSError):
            raise _told(error, path, mode is not None) from error
        raise
    finally:
        if is_open:
            with suppress(OSError):  # what it could say, fsync has said
                os.close(descriptor)
    _sync_directory(path, os.path.dirname(target))


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data`, in as many goes as the system takes."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _new(partial: str, mode: int) -> int:
    """A new file of this name, open and locked, in the place of what a killed process left there."""
    if os.path.lexists(partial):
        _remove_left(partial)
    try:
        # O_EXCL: what was put there in the meantime, such as a link to elsewhere, is not written into.
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    except FileExistsError:
        raise _in_use() from None
    try:
        _lock(descriptor)
        if not _stands(descriptor, partial):
            raise _in_use()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_left(partial: str) -> None:
    """Remove what a killed process left, and nothing of a living one."""
    try:
        left = os.open(partial, os.O_RDONLY)
    except FileNotFoundError:
        raise _in_use() from None
    try:
        _lock(left)
        # Whoever held the lock may have put the file in its place in the meantime, and a third begun another here.
        if not _stands(left, partial):
            raise _in_use()
        os.unlink(partial)
    finally:
        os.close(left)


def _is_free(partial: str) -> bool:
    """Nothing stands there, or a regular file: in one look, since other writers come and go."""
    try:
        return stat.S_ISREG(os.lstat(partial).st_mode)
    except OSError:
        return True


def _stands(descriptor: int, path: str) -> bool:
    """The file that is open still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> None:
    """Lock a file until it is closed, or its process ends (BlockingIOError where another has it)."""
    try:
        import fcntl
    except ImportError:
        return  # Windows, where an open file cannot be removed anyway
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use() from None
    except OSError:
        return  # a file system without locks


def _in_use() -> OSError:
    import errno

    return BlockingIOError(errno.EAGAIN, "Another process or thread is saving there")


def _told(error: OSError, path: str, replaces: bool) -> OSError:
    import errno

    old = "the old file there is intact" if replaces else "there is no file there"
    full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    fix = "make room, or save to another path" if full else "save to another path"
    return OSError(error.errno or 0, f"{error.strerror or error}: nothing was saved, and {old}: {fix}", path)


def _sync_directory(path: str, directory: str) -> None:
    """Bring the new name to the disk, where a directory can be opened and synced."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return  # Windows, and directories that may be written but not read
    try:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        import errno

        if error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            return  # this file system brings names to the disk as it likes
        said = f"{error.strerror}: the new file is whole and in its place, but may be the old one after a power cut"
        raise OSError(error.errno or 0, said, path) from error
