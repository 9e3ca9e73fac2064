"""The folder of a server: nothing leads out of it, nothing is half there, and no more is in it than is allowed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.errors import FilesError
from twistnet.protocols.files.partial import Partial
from twistnet.protocols.files.store import FileStore, Upload
from twistnet.wire.file_messages import Entry
from twistnet.wire.file_names import PARTIALS

SECRET = b"this is outside"
PIECES = [
    "..",
    ".",
    "",
    "in",
    "file",
    "out",
    "secret",
    "link",
    "loop",
    "deep",
    "\0",
    PARTIALS,
    "new",
    "~",
    "nul",
]


def digest_of(data: bytes) -> str:
    """Its SHA-256."""
    return hashlib.sha256(data).hexdigest()


def put(store: FileStore, name: str, data: bytes) -> None:
    """Put a file, all of it."""
    upload = store.put(name, len(data))
    try:
        upload.agreed(0)
        upload.write([data])
        upload.finish(digest_of(data))
    finally:
        upload.close()


def code_of(store: FileStore, name: str, size: int = 1) -> str:
    """The code with which a file is refused."""
    with pytest.raises(FilesError) as refused:
        store.put(name, size).close()
    return refused.value.code


def tree(folder: Path) -> None:
    """A folder to serve, with ways out of it, and something outside."""
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").write_bytes(SECRET)
    served = folder / "served"
    (served / "in" / "deep").mkdir(parents=True)
    (served / "file").write_bytes(b"inside")
    (served / "in" / "file").write_bytes(b"inside")
    (served / "out").symlink_to(folder / "outside")
    (served / "secret").symlink_to(folder / "outside" / "secret")
    (served / "in" / "out").symlink_to("../../outside")
    (served / "link").symlink_to("in")
    (served / "in" / "loop").symlink_to("loop")


@given(st.lists(st.sampled_from(PIECES), max_size=5).map("/".join))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """Nor does a put or a remove of it: what is outside is as it was, and what is got is what is inside."""
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        tree(folder)
        store = FileStore(folder / "served", writable=True)
        try:
            source = store.get(name)
        except FilesError:
            pass
        else:
            assert source.read() == b"inside"
            source.close()
        for change in (lambda: put(store, name, b"new"), lambda: store.remove(name)):
            try:
                change()
            except FilesError:
                continue
        for entries in _lists(store, name):
            assert not {"out", "secret", "link", "loop", PARTIALS} & {entry.name for entry in entries}
        store.close()
        assert (folder / "outside" / "secret").read_bytes() == SECRET
        assert [path.name for path in (folder / "outside").iterdir()] == ["secret"]
        assert sorted(path.name for path in folder.iterdir()) == ["outside", "served"]


def _lists(store: FileStore, name: str) -> list[tuple[Entry, ...]]:
    try:
        return list(store.list(name))
    except FilesError:
        return []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    tree(tmp_path)
    store = FileStore(tmp_path / "served", writable=True)
    put(store, "secret", b"new")
    store.close()
    assert (tmp_path / "served" / "secret").read_bytes() == b"new"
    assert not (tmp_path / "served" / "secret").is_symlink()
    assert (tmp_path / "outside" / "secret").read_bytes() == SECRET


def test_a_folder_of_partials_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "served" / PARTIALS).symlink_to(tmp_path / "outside")
    store = FileStore(tmp_path / "served", writable=True)
    assert code_of(store, "new") == "not-found"
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]
    store.close()


def test_a_file_has_its_name_once_all_of_it_is_there(tmp_path: Path) -> None:
    store = FileStore(tmp_path, writable=True)
    upload = store.put("a/b", 6)
    upload.agreed(0)
    upload.write([b"abc"])
    assert not (tmp_path / "a").exists()
    with pytest.raises(FilesError) as mismatch:
        upload.finish(digest_of(b"abcdef"))
    assert mismatch.value.code == "digest-mismatch"
    upload.close()
    assert list((tmp_path / PARTIALS).iterdir()) == []
    assert not (tmp_path / "a" / "b").exists()
    store.close()


def test_what_came_is_offered_to_the_next(tmp_path: Path) -> None:
    store = FileStore(tmp_path, writable=True)
    first = store.put("x", 6)
    first.agreed(0)
    first.write([b"a", b"bc"])
    first.close()
    second = store.put("x", 6)
    assert (second.offset, second.digest) == (3, digest_of(b"abc"))
    second.agreed(3)
    second.write([b"def"])
    second.finish(digest_of(b"abcdef"))
    second.close()
    assert (tmp_path / "x").read_bytes() == b"abcdef"
    third = store.put("x", 6)
    assert (third.offset, third.digest) == (6, digest_of(b"abcdef"))
    third.agreed(6)
    (tmp_path / "x").write_bytes(b"other")
    with pytest.raises(FilesError) as changed:
        third.finish(digest_of(b"abcdef"))
    assert changed.value.code == "changed"
    third.close()
    shorter = store.put("x", 2)
    assert shorter.offset == 0
    shorter.close()
    store.close()
    assert list((tmp_path / PARTIALS).iterdir()) == []


def test_one_name_has_one_sender_of_all_processes(tmp_path: Path) -> None:
    one, other = FileStore(tmp_path, writable=True), FileStore(tmp_path, writable=True)
    upload = one.put("x", 1)
    assert code_of(one, "x") == code_of(other, "x") == "busy"
    other.put("y", 1).close()
    program = (
        "import sys; from twistnet.protocols.files.store import *; from twistnet.errors import FilesError\n"
        "try: FileStore(sys.argv[1], writable=True).put('x', 1)\n"
        "except FilesError as error: print(error.code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "busy\n"
    upload.close()
    other.put("x", 1).close()
    one.close()
    other.close()


def test_the_quota_counts_what_is_there_what_has_come_and_what_will(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "there").write_bytes(b"x" * 400)
    store = FileStore(tmp_path, writable=True, quota=1000)
    coming = store.put("coming", 500)
    assert code_of(store, "more", 101) == "quota"
    store.put("more", 100).close()
    coming.agreed(0)
    coming.write([b"x" * 300])
    assert code_of(store, "more", 101) == "quota"
    coming.close()
    assert code_of(store, "more", 301) == "quota"
    put(store, "more", b"x" * 300)
    assert code_of(store, "coming", 301) == "quota"
    store.put("coming", 300).close()
    store.close()


def test_what_the_disk_has_no_room_for_is_refused_before_it_begins(tmp_path: Path) -> None:
    store = FileStore(tmp_path, writable=True)
    assert code_of(store, "x", 2**61) == "no-space"
    assert list((tmp_path / PARTIALS).iterdir()) == []
    store.close()


def test_what_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    now = [0.0]
    store = FileStore(tmp_path, writable=True, partial_lifetime=60, now=lambda: now[0])

    def begin(name: str) -> Upload:
        upload = store.put(name, 10)
        upload.agreed(0)
        upload.write([b"x"])
        return upload

    begin("old").close()
    kept = begin("still coming")
    (newest,) = {
        path.stat().st_mtime for path in [max((tmp_path / PARTIALS).iterdir(), key=os.path.getmtime)]
    }
    now[0] = newest + 59
    begin("new").close()
    assert len(list((tmp_path / PARTIALS).iterdir())) == 3
    now[0] = newest + 120
    store.put("x", 1).close()
    assert [path.name for path in (tmp_path / PARTIALS).iterdir()] == [digest_of(b"still coming")]
    kept.close()
    store.close()


def test_what_is_written_in_many_pieces_is_whole(tmp_path: Path) -> None:
    """More of them than the kernel takes at once."""
    pieces = [bytes([number % 256]) * (number % 7) for number in range(5000)]
    store = FileStore(tmp_path, writable=True)
    upload = store.put("x", sum(map(len, pieces)))
    upload.agreed(0)
    upload.write(pieces)
    upload.finish(digest_of(b"".join(pieces)))
    upload.close()
    store.close()
    assert (tmp_path / "x").read_bytes() == b"".join(pieces)


def test_a_partial_that_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="symbolic"):
        Partial(folder, "link")
    with pytest.raises(FilesError):
        Partial(folder, "pipe")
    os.close(folder)
