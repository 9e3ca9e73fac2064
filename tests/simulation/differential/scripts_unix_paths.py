"""The paths of UNIX stream sockets: what can be there, what is in the way, and what is left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError

from .script import script
from .world import World


@script()
async def a_missing_path(world: World) -> None:
    """A path where nothing is: the attempt fails in a later turn."""
    world.dial(world.path(), world.factory())
    world.record("script", "called connectUNIX")
    await world.settle()


@script()
async def what_a_missing_path_says(world: World) -> None:
    """The error carries errno 2."""
    factory = world.quiet_factory()
    reasons: list[Any] = []
    factory.hooks["failed"] = lambda _: reasons.append(factory.reason)
    world.dial(world.path(), factory)
    await world.until(lambda: reasons)
    world.record("failed", reasons[0].__class__.__name__, reasons[0].osError)


@script()
async def a_dead_path(world: World) -> None:
    """A socket's node where nobody listens refuses: ConnectionRefusedError."""
    path = world.path()
    os.mknod(path, stat.S_IFSOCK | 0o666)
    world.dial(path, world.factory())
    await world.settle()


@script()
async def a_path_of_a_plain_file(world: World) -> None:
    """A plain file refuses as well."""
    path = world.path()
    Path(path).write_bytes(b"")
    world.dial(path, world.factory())
    await world.settle()


@script()
async def a_path_in_use(world: World) -> None:
    """A path in use raises CannotListenError with errno 98, though the factory has been started."""
    port = world.listen(world.quiet_factory(), "unix")
    try:
        world.reactor.listenUNIX(port.getHost().name, world.factory())
    except CannotListenError as error:
        world.record("error", error.socketError.errno)


@script()
async def a_path_with_anything_at_it(world: World) -> None:
    """A plain file or a dead node at the path is in the way too."""
    path = world.path()
    Path(path).write_bytes(b"")
    world.attempt("file", world.reactor.listenUNIX, path, world.quiet_factory())
    dead = world.path()
    os.mknod(dead, stat.S_IFSOCK | 0o666)
    world.attempt("node", world.reactor.listenUNIX, dead, world.quiet_factory())


@script()
async def a_path_in_no_folder(world: World) -> None:
    """A path in a folder that does not exist raises CannotListenError with errno 2."""
    try:
        world.reactor.listenUNIX(world.path() + "/below", world.quiet_factory())
    except CannotListenError as error:
        world.record("error", error.socketError.errno)


@script()
async def a_path_that_is_too_long(world: World) -> None:
    """A path of more than 107 octets raises CannotListenError."""
    world.attempt("long", world.reactor.listenUNIX, world.path() + "x" * 108, world.quiet_factory())


@script()
async def the_mode_of_a_path(world: World) -> None:
    """A path is a socket with mode 0666, or the mode that is asked for."""
    for mode in ({}, {"mode": 0o600}):
        path = world.listen(world.quiet_factory(), "unix", **mode).getHost().name
        node = Path(os.fsdecode(path)).stat().st_mode
        world.record("socket", stat.S_ISSOCK(node), oct(stat.S_IMODE(node)))


@script()
async def stopping_removes_the_path(world: World) -> None:
    """stopListening removes the path, in a later turn; then it can be had again."""
    port = world.listen(world.quiet_factory(), "unix")
    path = os.fsdecode(port.getHost().name)
    done = port.stopListening()
    world.record("there", Path(path).exists())
    await done
    world.record("there", Path(path).exists())
    again = world.attempt("again", world.reactor.listenUNIX, path, world.quiet_factory())
    world.keep_port(again)


@script(logs=(FileNotFoundError,))
async def a_path_that_was_removed(world: World) -> None:
    """Once somebody has removed the path, nobody can connect, and stopListening fails with FileNotFoundError."""
    port = world.listen(world.quiet_factory(), "unix")
    path = os.fsdecode(port.getHost().name)
    Path(path).unlink()
    world.dial(path, world.factory())
    await world.settle()
    Path(path).write_bytes(b"")
    await port.stopListening()
    world.record("there", Path(path).exists())


@script()
async def the_abstract_namespace(world: World) -> None:
    """A path that starts with a zero octet is no file, and works like any other."""
    name = "\0" + world.path()
    server, client = world.plain("server"), world.plain("client")
    port = world.keep_port(world.reactor.listenUNIX(name, world.quiet_factory(server)))
    world.record("host", port.getHost().name == name.encode())
    world.dial(name, world.quiet_factory(client))
    await world.until(lambda: server.transport)
    client.transport.write(b"abstract")
    await world.settle()
    world.record("received", server.received)
    world.attempt("again", world.reactor.listenUNIX, name, world.quiet_factory())


@script()
async def a_missing_abstract_name(world: World) -> None:
    """An abstract name that nobody has refuses: ConnectionRefusedError."""
    world.dial("\0" + world.path(), world.factory())
    await world.settle()


@script()
async def a_lock_of_the_path(world: World) -> None:
    """wantPID makes a lock beside the path, which goes with it; a locked path cannot be had, nor one connected without."""
    path = world.path()
    port = world.keep_port(world.reactor.listenUNIX(path, world.quiet_factory(None), wantPID=True))
    lock = Path(path + ".lock")
    world.record("lock", lock.is_symlink())
    world.attempt("again", world.reactor.listenUNIX, path, world.quiet_factory(), wantPID=True)
    await port.stopListening()
    world.record("lock", lock.is_symlink())
    world.reactor.connectUNIX(path, world.factory(), checkPID=True)
    await world.settle()


@script()
async def a_dead_path_is_taken_over_with_a_lock(world: World) -> None:
    """With wantPID a dead node is removed, if its lock was left behind by a process that is gone."""
    path = world.path()
    os.mknod(path, stat.S_IFSOCK | 0o666)
    Path(path + ".lock").symlink_to("999999999")
    port = world.attempt("listenUNIX", world.reactor.listenUNIX, path, world.quiet_factory(), wantPID=True)
    world.keep_port(port)
