"""What a connector does and its factory is told: attempts, refusals, timeouts, and trying again."""

from __future__ import annotations

from typing import Any

from .recording import made
from .script import script
from .world import World


@script()
async def refusal_is_asynchronous(world: World) -> None:
    """A refusal is told in a later turn: ConnectionRefusedError, and the factory is stopped."""
    number = await world.vacant()
    world.dial(number, world.factory())
    world.record("script", "called connectTCP")
    await world.settle()


@script()
async def what_a_refusal_says(world: World) -> None:
    """A refusal carries errno 111 and the system's words."""
    factory = world.quiet_factory()
    reasons: list[Any] = []
    factory.hooks["failed"] = lambda _: reasons.append(factory.reason)
    world.dial(await world.vacant(), factory)
    await world.until(lambda: reasons)
    world.record("refused", reasons[0].osError, str(reasons[0]))


@script()
async def stopping_fails_synchronously(world: World) -> None:
    """stopConnecting fails the attempt synchronously, with UserError."""
    port = world.listen(world.quiet_factory())
    connector = world.dial(port, world.factory())
    connector.stopConnecting()
    world.record("script", "called stopConnecting", connector.state)
    await world.settle()


@script()
async def disconnecting_while_connecting_is_stopping(world: World) -> None:
    """A connector's disconnect while it connects is stopConnecting."""
    connector = world.dial(world.listen(world.quiet_factory()), world.factory())
    connector.disconnect()
    world.record("script", "called disconnect", connector.state)
    await world.settle()


@script()
async def disconnecting_when_connected_is_closing(world: World) -> None:
    """A connector's disconnect once it is connected is loseConnection."""
    client = world.plain("client")
    connector = world.dial(world.listen(world.quiet_factory(world.plain("server"))), world.factory(client))
    await world.settle()
    connector.disconnect()
    world.record("script", "called disconnect", connector.state)
    await world.settle()
    world.record("in the end", connector.state)


@script()
async def stopping_when_connected_is_an_error(world: World) -> None:
    """stopConnecting once it is connected raises NotConnectingError; connect raises RuntimeError."""
    client = world.plain("client")
    connector = world.dial(
        world.listen(world.quiet_factory(world.plain("server"))), world.quiet_factory(client)
    )
    await world.until(lambda: client.transport)
    world.attempt("stopConnecting", connector.stopConnecting)
    world.attempt("connect", connector.connect)
    world.record("state", connector.state)


@script()
async def what_a_clients_factory_is_told(world: World) -> None:
    """Started, connecting, then the protocol's life, then client lost, and stopped."""
    client = world.plain("client", made=made)
    world.dial(world.listen(world.quiet_factory(world.plain("server"))), world.factory(client))
    await world.settle()
    client.transport.loseConnection()
    await world.settle()


@script(apart=True)
async def a_client_that_refuses(world: World) -> None:
    """buildProtocol returns None at the client: it is lost at once with ConnectionDone, and so is the server."""
    server = world.plain("server", made=made)
    world.dial(world.listen(world.quiet_factory(server)), world.factory(None))
    await world.settle()


@script(logs=(IndexError,))
async def an_error_in_a_clients_factory(world: World) -> None:
    """An exception in a client's buildProtocol is logged, and the attempt fails with ConnectError."""
    world.dial(world.listen(world.quiet_factory(world.plain("server"))), world.factory())
    await world.settle()


@script()
async def a_timeout_of_nothing(world: World) -> None:
    """With timeout=0 a TCP attempt fails with TimeoutError, though somebody listens."""
    world.dial(world.listen(world.quiet_factory(None)), world.factory(), timeout=0)
    await world.settle()


@script()
async def a_timeout_ends_with_the_attempt(world: World) -> None:
    """Once connected the timeout is no longer among the timed calls."""

    def timeouts() -> int:
        horizon = world.reactor.seconds() + 900
        return sum(call.getTime() > horizon for call in world.reactor.getDelayedCalls())

    client = world.plain("client")
    port = world.listen(world.quiet_factory(world.plain("server")))
    world.dial(port, world.quiet_factory(client), timeout=1000)
    world.record("timeouts", timeouts())
    await world.until(lambda: client.transport)
    world.record("timeouts", timeouts())


@script()
async def trying_again_when_it_failed(world: World) -> None:
    """connector.connect() in clientConnectionFailed tries again; the factory is neither stopped nor started between."""
    tries: list[object] = []

    def again(connector: Any) -> None:
        tries.append(connector)
        if len(tries) < 3:
            connector.connect()

    world.dial(await world.vacant(), world.factory(failed=again))
    await world.settle()


@script()
async def connecting_again_when_lost(world: World) -> None:
    """connector.connect() in clientConnectionLost connects again, with a new protocol."""
    clients = [world.plain("first"), world.plain("second", made=made)]
    port = world.listen(world.quiet_factory(world.plain("server 1"), world.plain("server 2")))
    world.dial(
        port, world.factory(*clients, client_lost=lambda c: c.connect() if len(c.factory.protocols) else None)
    )
    await world.settle()
    clients[0].transport.loseConnection()
    await world.settle()
    world.record("second open", clients[1].is_open)


@script()
async def the_states_of_a_connector(world: World) -> None:
    """connecting, connected, disconnected."""
    client = world.plain("client", made=lambda p: world.record("made", connector.state))
    client.hooks["lost"] = lambda p: world.record("protocol lost", connector.state)
    factory = world.quiet_factory(client)
    connector = world.dial(world.listen(world.quiet_factory(world.plain("server"))), factory)
    world.record("at first", connector.state)
    await world.until(lambda: client.transport)
    client.transport.loseConnection()
    await world.until(lambda: client.reason)
    world.record("in the end", connector.state)


@script()
async def the_destination_of_a_connector(world: World) -> None:
    """getDestination is where it was sent, as the port's own address says."""
    for family in ("tcp", "tcp6", "unix"):
        port = world.listen(world.quiet_factory(world.plain("server")), family)
        connector = world.dial(port, world.quiet_factory(world.plain("client")))
        world.record(family, connector.getDestination() == port.getHost())
        await world.settle()


@script()
async def refused_over_ipv6(world: World) -> None:
    """A refusal over ::1 is ConnectionRefusedError too."""
    port = world.listen(world.quiet_factory(), "tcp6")
    number = port.getHost().port
    await port.stopListening()
    world.reactor.connectTCP("::1", number, world.factory())
    await world.settle()


@script()
async def stopping_within_started_connecting(world: World) -> None:
    """stopConnecting in startedConnecting fails the attempt before connectTCP returns."""
    factory = world.factory(connecting=lambda connector: connector.stopConnecting())
    world.dial(world.listen(world.quiet_factory()), factory)
    world.record("script", "called connectTCP")
    await world.settle()
