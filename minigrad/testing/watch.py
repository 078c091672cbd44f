"""A limit on the time that one call of a rule may take, so that a rule that hangs gives a finding."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class TookTooLong(BaseException):
    """Raised inside a call that exceeds its limit.  No Exception: a rule that catches those must not catch this."""


class Watch:
    """Interrupts what runs between `start` and `stop` after `limit` seconds.

    On the main thread of a POSIX system by an alarm, which also ends a sleep; elsewhere from a second thread, which
    can interrupt Python code alone.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.by_alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        self.deadline: float | None = None
        self.done = threading.Event()

    def start(self) -> None:
        if self.by_alarm:
            signal.setitimer(signal.ITIMER_REAL, self.limit, self.limit)  # again, for a rule that swallows the first
        else:
            self.deadline = time.monotonic() + self.limit

    def stop(self) -> None:
        if self.by_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        else:
            self.deadline = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """function(*arguments); TookTooLong where it does not return in time."""
        try:
            self.start()
            return function(*arguments)
        finally:
            self.stop()

    def raise_late(self, thread: int) -> None:
        """Looks at the deadline until `done`, and raises TookTooLong in `thread` when it has passed."""
        while not self.done.wait(min(0.1, self.limit / 4)):
            deadline = self.deadline
            if deadline is not None and time.monotonic() > deadline:
                self.deadline = time.monotonic() + self.limit
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TookTooLong))


@contextmanager
def watching(limit: float) -> Iterator[Watch]:
    """A watch for the calls inside the block.  An alarm that was set before goes on after it."""
    watch = Watch(limit)
    if not watch.by_alarm:
        watcher = threading.Thread(target=watch.raise_late, args=(threading.get_ident(),), daemon=True)
        watcher.start()
        try:
            yield watch
        finally:
            watch.done.set()
            watcher.join()
        return

    def late(*_: Any) -> None:
        raise TookTooLong

    handler = signal.signal(signal.SIGALRM, late)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    begin = time.monotonic()
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - begin), 1e-3), interval)
