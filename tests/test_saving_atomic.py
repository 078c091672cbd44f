"""Atomic writes: full disks, failing calls and kills at any moment leave the whole old file, or the whole new one."""

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest

from minigrad.saving import atomic, load_arrays, save_arrays

OLD = {"x": np.zeros(5), "y": np.zeros(3, np.int8)}
NEW = {"x": np.ones(50_000), "y": np.ones((7, 5), np.float32), "z": np.arange(3)}
CALLS = ["open", "write", "lseek", "fchmod", "fsync", "close", "replace"]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Spy:
    """The module os, which notes what is called, and does `at` instead of the call with the number `when`."""

    def __init__(self, at=None, when=None):
        self.calls, self.at, self.when = [], at, when

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments, **options):
            self.calls.append((name, arguments))
            if len(self.calls) - 1 == self.when:
                return self.at(name, real, arguments)
            return real(*arguments, **options)

        return call


@pytest.fixture
def spy(monkeypatch):
    def put(*arguments):
        new = Spy(*arguments)
        monkeypatch.setattr(atomic, "os", new)
        monkeypatch.setattr("minigrad.saving.container.os", new)
        return new

    return put


def save(path, arrays=NEW):
    save_arrays(path, arrays, {"of": len(arrays)}, kind="checkpoint")


def whole(path):
    """Which of the two the file is, after all of it was verified."""
    arrays, record = load_arrays(path, kind="checkpoint")
    expected = {2: OLD, 3: NEW}[record["of"]]
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
    return "old" if expected is OLD else "new"


def names_of(spy):
    return [name for name, _ in spy.calls]


def test_the_order_of_write_sync_and_rename(tmp_path, spy):
    path = tmp_path / "a"
    save(path, OLD)
    seen = spy()
    save(path)
    order = [name for i, name in enumerate(names_of(seen)) if i == 0 or name != names_of(seen)[i - 1]]
    expected = ["open", "fchmod", "write", "lseek", "write", "fsync", "replace", "close", "open", "fsync", "close"]
    assert order == [name for name in expected if hasattr(os, name)]
    file, directory = (arguments[0] for name, arguments in seen.calls if name == "open")
    assert (file, directory) == (f"{path}.partial", str(tmp_path))
    (replaced,) = (arguments for name, arguments in seen.calls if name == "replace")
    assert replaced == (f"{path}.partial", str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def calls_of_a_save(path, spy):
    save(path, OLD)
    seen = spy()
    save(path)
    return names_of(seen)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_any_call_may_fail(tmp_path, spy, code):
    path = tmp_path / "a"
    names = calls_of_a_save(path, spy)

    def fail(name, real, arguments):
        if name == "close":
            real(*arguments)
        raise OSError(code, os.strerror(code))

    failed = 0
    for when, name in enumerate(names):
        if name == "close" and when < len(names) - 1:
            continue  # the file itself, after fsync: nothing is lost any more
        spy()
        save(path, OLD)
        before = path.read_bytes()
        spy(fail, when)
        replaced = "replace" in names[:when]
        if replaced and name == "open":
            save(path)  # a directory that cannot be opened cannot be synced
        else:
            said = "the new file is whole and in its place" if replaced else "nothing was saved, and the old file there"
            with pytest.raises(OSError, match=said) as caught:
                save(path)
            assert caught.value.errno == code
            failed += 1
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
        assert whole(path) == ("new" if replaced else "old")
        assert replaced or path.read_bytes() == before
    assert failed > 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_no_partial_file(tmp_path, spy, error):
    path = tmp_path / "a"
    names = calls_of_a_save(path, spy)

    def interrupt(name, real, arguments):
        raise error

    for when in range(1, names.index("replace") + 1):
        spy()
        save(path, OLD)
        spy(interrupt, when)
        with pytest.raises(error):
            save(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
        assert whole(path) == "old"


def test_a_system_that_writes_little_at_a_time(tmp_path, monkeypatch):
    class Slow(Spy):
        def __getattr__(self, name):
            return (lambda file, data: os.write(file, data[:1013])) if name == "write" else getattr(os, name)

    monkeypatch.setattr(atomic, "os", Slow())
    save(tmp_path / "a")
    assert whole(tmp_path / "a") == "new"


def test_one_writer_at_a_time(tmp_path, spy):
    path = tmp_path / "a"
    names = calls_of_a_save(path, spy)
    caught = []

    def meanwhile(name, real, arguments):
        with pytest.raises(OSError, match="Another process or thread is saving there: nothing was saved") as error:
            save(path, OLD)
        caught.append(error)
        return real(*arguments)

    for when in range(1, names.index("replace") + 1):
        spy(meanwhile, when)
        save(path)
        assert whole(path) == "new"
    assert len(caught) == names.index("replace")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_many_writers_and_a_reader(tmp_path):
    path = tmp_path / "a"
    save(path)

    def keep_saving():
        for i in range(150):
            with suppress(OSError):
                save(path, NEW if i % 2 else OLD)

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                keep_saving()
            finally:
                os._exit(0)
        children.append(child)
    seen = [whole(path) for _ in range(200)]
    for child in children:
        os.waitpid(child, 0)
    assert set(seen) <= {"old", "new"}
    assert whole(path) in ("old", "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def killed(save_it):
    """Run in a forked child, which ends by SIGKILL or goes through; which of the two."""
    child = os.fork()
    if child == 0:
        try:
            save_it()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_kill_at_any_call(tmp_path, spy):
    path = tmp_path / "a"
    names = calls_of_a_save(path, spy)

    def kill_after(name, real, arguments):
        real(*arguments)
        kill()

    for when in range(len(names)):
        for at in (kill, kill_after):
            spy()
            save(path, OLD)
            spy(at, when)
            assert killed(lambda: save(path))
            done = when > names.index("replace") or (names[when] == "replace" and at is kill_after)
            assert whole(path) == ("new" if done else "old")
    spy()
    save(path)  # over what the killed ones left
    assert whole(path) == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning", "ignore:os.fork:RuntimeWarning")
def test_a_kill_after_any_number_of_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save(path)
    size = path.stat().st_size
    save(path, OLD)
    real = os.write
    kills = 0
    for last in np.random.default_rng(0).integers(0, size + 200, 60):
        left = [int(last)]

        class Dying(Spy):
            def __getattr__(self, name, left=left):
                def write(file, data):
                    written = real(file, data[: left[0]])
                    left[0] -= written
                    return written if left[0] else kill()

                return write if name == "write" else getattr(os, name)

        monkeypatch.setattr(atomic, "os", Dying())
        kills += killed(lambda: save(path))
        assert whole(path) == "old"
    assert kills == 60


LIMITED = """
import resource, sys
import numpy as np
from minigrad.saving import save_arrays
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    save_arrays(sys.argv[1], {"x": np.ones(50_000)}, kind="checkpoint")
except OSError as error:
    print(error)
else:
    raise SystemExit("it was saved")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("limit", [0, 5, 3000, 300_000])
def test_a_file_larger_than_the_system_allows(tmp_path, limit):
    path = tmp_path / "a"
    save(path, OLD)
    before = path.read_bytes()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, path, str(limit)], capture_output=True, text=True, check=True, env=environment
    )
    assert "the old file there is intact" in run.stdout
    assert str(path) in run.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    except OSError:
        pytest.skip("mount is not there")
    if mounted.returncode:
        pytest.skip("mounting is not allowed")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small_disk):
    path = small_disk / "a"
    with pytest.raises(OSError, match="No space left on device: nothing was saved, and there is no file there"):
        save(path)
    assert not list(small_disk.iterdir())
    save(path, OLD)
    before = path.read_bytes()
    with pytest.raises(
        OSError, match=r"No space left .* nothing was saved, and the old file there is intact: make room, or"
    ):
        save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in small_disk.iterdir()] == ["a"]


def test_where_nothing_can_be_saved(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file .* nothing was saved, and there is no file there: save"):
        save(tmp_path / "nowhere" / "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="is not a regular file, and was left as it is"):
        save(tmp_path / "a")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_links_are_followed_and_permissions_kept(tmp_path):
    (tmp_path / "runs").mkdir()
    path, link = tmp_path / "runs" / "a", tmp_path / "latest"
    save(path, OLD)
    path.chmod(0o640)
    link.symlink_to(path)
    save(link)
    assert link.is_symlink()
    assert whole(path) == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["a"]


def test_a_link_put_there_in_the_meantime_is_not_written_into(tmp_path, spy):
    path, victim = tmp_path / "a", tmp_path / "victim"
    save(path, OLD)
    victim.write_text("mine")

    def first(name, real, arguments):
        os.symlink(victim, arguments[0])
        return real(*arguments)

    spy(first, 0)
    with pytest.raises(BlockingIOError, match="nothing was saved, and the old file there is intact"):
        save(path)
    assert victim.read_text() == "mine"
    assert whole(path) == "old"


def test_what_stands_where_the_partial_file_goes_is_left_alone(tmp_path):
    path, partial, victim = tmp_path / "a", tmp_path / "a.partial", tmp_path / "victim"
    victim.write_text("mine")
    partial.symlink_to(victim)
    with pytest.raises(OSError, match=r"a.partial' is not a regular file, and nothing was saved: remove it"):
        save(path)
    assert partial.is_symlink()
    assert victim.read_text() == "mine"
    partial.unlink()
    partial.mkdir()
    with pytest.raises(OSError, match=r"a.partial' is not a regular file, and nothing was saved: remove it"):
        save(path)
    assert not path.exists()


def test_a_circle_of_links_is_left_alone(tmp_path):
    path = tmp_path / "a"
    path.symlink_to("a")
    with pytest.raises(OSError, match="is not a regular file, and was left as it is"):
        save(path)
    assert path.is_symlink()
    path.unlink()
    path.symlink_to("runs")  # one that leads to where no file is yet
    save(path)
    assert path.is_symlink()
    assert whole(tmp_path / "runs") == "new"


def test_what_replaces_a_private_file_is_private_from_the_beginning(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    seen = []
    real = os.open

    def spied(name, flags, mode=0o777):
        descriptor = real(name, flags, mode)
        if flags & os.O_CREAT:
            seen.append(os.fstat(descriptor).st_mode & 0o777)
        return descriptor

    monkeypatch.setattr(os, "open", spied)
    atomic.write_atomically(str(path), lambda file: seen.append(os.fstat(file).st_mode & 0o777))
    assert seen == [0o600, 0o600]
    path.chmod(0o644)
    atomic.write_atomically(str(path), lambda file: seen.append(os.fstat(file).st_mode & 0o777))
    assert seen[2:] == [0o600, 0o644]


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks")
def test_a_writer_that_comes_between_two_others_disturbs_neither(tmp_path, monkeypatch):
    """B has opened what a killed process left; A takes its place and is done; C begins; and B goes on."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    (tmp_path / "a.partial").write_bytes(b"left by a killed process")
    opened, go, began, done = (threading.Event() for _ in range(4))
    real = atomic._lock
    said = []

    def lock(descriptor):
        if threading.current_thread().name == "B" and not opened.is_set():
            opened.set()
            go.wait(10)
        real(descriptor)

    def write(data):
        try:
            atomic.write_atomically(str(path), lambda file: atomic.write_all(file, data))
        except OSError as error:
            said.append(str(error))

    def slowly(descriptor):
        atomic.write_all(descriptor, b"C, ")
        began.set()
        done.wait(10)
        atomic.write_all(descriptor, b"whole")

    monkeypatch.setattr(atomic, "_lock", lock)
    b = threading.Thread(target=write, args=(b"B",), name="B")
    c = threading.Thread(target=atomic.write_atomically, args=(str(path), slowly))
    b.start()
    opened.wait(10)
    write(b"A")
    assert path.read_bytes() == b"A"
    c.start()
    began.wait(10)
    go.set()
    b.join()
    done.set()
    c.join()
    assert len(said) == 1
    assert "Another process or thread is saving there: nothing was saved, and the old file there is intact" in said[0]
    assert path.read_bytes() == b"C, whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_without_locks_a_half_written_file_takes_no_place(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_lock", lambda descriptor: None)
    path = str(tmp_path / "a")

    def overtaken(descriptor):
        atomic.write_atomically(path, lambda file: atomic.write_all(file, b"whole"))
        atomic.write_all(descriptor, b"ha")

    with pytest.raises(BlockingIOError, match="Another process or thread is saving there"):
        atomic.write_atomically(path, overtaken)
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
