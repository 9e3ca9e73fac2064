"""twisted.names, resolver and server, unmodified: over UDP that loses, and TCP where an answer is too large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv6Address
from twisted.internet.defer import TimeoutError, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.names import cache, client, dns, secondary, server
from twisted.names.authority import BindAuthority
from twisted.names.error import DNSNameError

from twistnet.simulation import BlackHole, Host, Network, OneByte, Partition

ROUGH = {"latency": 0.02, "jitter": 0.015, "loss": 0.1, "duplicate": 0.1, "reorder": 0.1}
ZONE = """$ORIGIN example.test.
$TTL 3600
example.test. IN SOA ns.example.test. admin.example.test. 2024010101 10800 3600 604800 3600
example.test. IN NS ns.example.test.
www.example.test. IN A 192.0.2.1
www.example.test. IN AAAA 2001:db8::1
alias.example.test. IN CNAME www.example.test.
"""
MANY = "".join(f"many.example.test. IN A 192.0.2.{number}\n" for number in range(1, 101))


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    file = tmp_path / "zone"
    file.write_text(ZONE + MANY)
    return file


class Answering(server.DNSServerFactory):
    """Counts the questions that it is asked over TCP, and truncates what it answers over UDP."""

    noisy = False
    streams = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.streams += 1
        return super().buildProtocol(addr)

    def sendReply(self, protocol: Any, message: Any, address: Any) -> None:
        message.maxSize = 512 if address is not None else 0
        super().sendReply(protocol, message, address)


def listen(host: Host, factory: Any) -> Any:
    host.listenUDP(53, dns.DNSDatagramProtocol(factory, reactor=host))
    host.listenTCP(53, factory)
    return factory


def resolver(host: Host, *servers: Host) -> client.Resolver:
    return client.Resolver(servers=[(each.addresses[0], 53) for each in servers], reactor=host)


def addresses(answer: Any) -> list[str]:
    records, _, _ = answer
    return [record.payload.dottedQuad() for record in records if record.type == dns.A]


def test_questions_over_udp(zone: Path) -> None:
    """Every question is answered in the end, however many datagrams are lost, doubled or late."""
    with Network(seed=91, link=ROUGH) as net:
        names, asking = net.host("names"), net.host("asking")
        factory = listen(names, Answering([BindAuthority(str(zone))]))
        questions = [resolver(asking, names).lookupAddress("www.example.test") for _ in range(50)]
        assert [addresses(answer) for answer in net.run(gatherResults(questions))] == [["192.0.2.1"]] * 50
        assert factory.streams == 0
        assert 1 < net.clock.now < 60


def test_other_records(zone: Path) -> None:
    """An alias is followed, an IPv6 address is one, and what is not there is an error."""
    with Network(seed=92, link=ROUGH) as net:
        names, asking = net.host("names"), net.host("asking")
        listen(names, Answering([BindAuthority(str(zone))]))
        asked = resolver(asking, names)
        (alias,), _, _ = net.run(asked.lookupAddress("alias.example.test"))
        assert alias.payload.name.name == b"www.example.test"
        assert net.run(asked.getHostByName("alias.example.test")) == "2001:db8::1"
        (record,), _, _ = net.run(asked.lookupIPV6Address("www.example.test"))
        assert record.payload.address.hex() == "20010db8000000000000000000000001"
        with pytest.raises(DNSNameError):
            net.run(asked.lookupAddress("missing.example.test"))


@pytest.mark.parametrize("slicing", [None, OneByte()], ids=["whole", "one octet"])
def test_an_answer_that_is_too_large(zone: Path, slicing: Any) -> None:
    """An answer of more than 512 octets comes over TCP."""
    with Network(seed=93, link={**ROUGH, "loss": 0.02, "slicing": slicing}) as net:
        names, asking = net.host("names"), net.host("asking")
        factory = listen(names, Answering([BindAuthority(str(zone))]))
        answer = net.run(resolver(asking, names).lookupAddress("many.example.test"))
        assert set(addresses(answer)) == {f"192.0.2.{number}" for number in range(1, 101)}
        assert factory.streams == 1


def test_nobody_answers() -> None:
    """A resolver gives up after the last of its timeouts."""
    with Network(seed=94) as net:
        names, asking = net.host("names"), net.host("asking")
        listen(names, Answering())
        with net.fault(BlackHole(names, 53, transport="udp")), net.expected_errors(TimeoutError):
            with pytest.raises(TimeoutError):
                net.run(resolver(asking, names).lookupAddress("www.example.test"))
        assert net.clock.now == pytest.approx(1 + 3 + 11 + 45)


def test_the_other_server_answers(zone: Path) -> None:
    """A resolver with two servers gets its answer from the one that can be reached."""
    with Network(seed=95, link={"latency": 0.02}) as net:
        away, names, asking = net.host("away"), net.host("names"), net.host("asking")
        for host in (away, names):
            listen(host, Answering([BindAuthority(str(zone))]))
        with net.fault(Partition("away", "asking")):
            answers = [resolver(asking, away, names).lookupAddress("www.example.test") for _ in range(3)]
            assert [addresses(answer) for answer in net.run(gatherResults(answers))] == [["192.0.2.1"]] * 3


def test_a_cache_in_between(zone: Path) -> None:
    """A caching server asks once, answers while the authority is away, and forgets when the time to live is over."""
    with Network(seed=96, link=ROUGH) as net:
        names, caching, asking = net.host("names"), net.host("caching"), net.host("asking")
        listen(names, Answering([BindAuthority(str(zone))]))
        kept = cache.CacheResolver(reactor=caching)
        listen(caching, Answering(caches=[kept], clients=[resolver(caching, names)]))
        asked = resolver(asking, caching)
        assert addresses(net.run(asked.lookupAddress("www.example.test"))) == ["192.0.2.1"]
        with net.fault(Partition("names", "caching")):
            assert addresses(net.run(asked.lookupAddress("www.example.test"))) == ["192.0.2.1"]
        net.advance(3600)
        assert kept.cache == {}


def test_a_zone_transfer(zone: Path) -> None:
    """A secondary server copies the zone over TCP, and answers in its own name."""
    with Network(seed=97, link={"latency": 0.02, "slicing": OneByte()}) as net:
        names, second, asking = net.host("names"), net.host("second"), net.host("asking")
        listen(names, Answering([BindAuthority(str(zone))]))

        async def copy() -> Any:
            copied = secondary.SecondaryAuthority.fromServerAddressAndDomain(
                (names.addresses[0], 53), "example.test"
            )
            await copied.transfer()
            return copied

        listen(second, Answering([net.run(copy(), on=second)]))
        net.crash(names)
        assert addresses(net.run(resolver(asking, second).lookupAddress("www.example.test"))) == ["192.0.2.1"]


def test_it_is_the_resolver_of_a_host(zone: Path) -> None:
    """A host with this resolver connects by names that only the simulated server knows."""
    with Network(seed=98, link=ROUGH) as net:
        names, web, asking = net.host("names"), net.host("web", addresses=["2001:db8::1"]), net.host("asking")
        listen(names, Answering([BindAuthority(str(zone))]))
        web.listenTCP(80, Factory.forProtocol(Protocol), interface="::")
        asking.installResolver(resolver(asking, names))
        connected: Any = net.run(
            connectProtocol(HostnameEndpoint(asking, "alias.example.test", 80), Protocol())
        )
        assert connected.transport.getPeer() == IPv6Address("TCP", "2001:db8::1", 80)
