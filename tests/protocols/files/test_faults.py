"""Files through whatever plan of faults: whoever goes on asking has the file in the end, whole, and nothing else."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import deferLater

from twistnet import FilesClient, FilesFactory, FileStore
from twistnet.simulation import Host, Network, RandomSizes
from twistnet.simulation.plans import Plan, fault_plans
from twistnet.wire.file_names import PARTIALS

PORT = 7014
OCTETS = 300_000
DATA = random.Random(7).randbytes(OCTETS)
LINK = {"latency": 0.02, "loss": 0.01, "rate": 100_000.0, "slicing": RandomSizes(1, 1460)}


def serving(network: Network, store: FileStore) -> None:
    """A server that serves again after a crash, when the kernel has closed its files."""

    def boot(host: Host) -> None:
        for upload in list(store._coming):
            upload.close()
        host.listenTCP(PORT, FilesFactory(store, host))

    network.host("server", boot=boot)


async def until_done(host: Host, way: str, *words: Any) -> None:
    """Try again whatever happens, as a person would."""
    while True:
        client = FilesClient(host, HostnameEndpoint(host, "server", PORT), timeout=5.0)
        try:
            await getattr(client, way)(*words)
        except Exception:
            await deferLater(host, 1, lambda: None)
        else:
            return


@settings(max_examples=25)
@given(
    way=st.sampled_from(["put", "get"]),
    plan=fault_plans(
        ["server", "client"], duration=10, crashing=["server"], octets=OCTETS, ports=[("server", PORT)]
    ),
)
def test_whoever_goes_on_has_the_file_in_the_end(way: str, plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as where, Network(link=LINK) as network:
        served, mine = Path(where, "served"), Path(where, "mine")
        served.mkdir()
        mine.mkdir()
        source, target = (mine / "x", served / "x") if way == "put" else (served / "x", mine / "x")
        source.write_bytes(DATA)
        store = FileStore(served, writable=True)
        serving(network, store)
        client = network.host("client")
        plan.apply(network)
        words = (source, "x") if way == "put" else ("x", target)
        done = Deferred.fromCoroutine(until_done(client, way, *words))
        while not done.called:
            network.advance(0.5)
            assert not target.exists() or target.read_bytes() == DATA
            assert network.clock.now < 400
        network.run(done)
        assert target.read_bytes() == DATA
        assert [path.name for path in mine.iterdir()] == ["x"]
        hidden = served / PARTIALS
        assert way == "get" or list(hidden.iterdir()) == []
        store.close()
