"""A trial case with a simulated network.

The rule of this module: errors that were logged are trial's affair. The network hands them over, and takes back the ones
that it was told to expect.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextlib import suppress as letting_pass  # `suppress` in a module of cases is a setting of trial's
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.trial.itrial import IReporter
from twisted.trial.unittest import SynchronousTestCase

from ..errors import ConfigurationError, ErrorsLogged
from ..units import parse_whole
from .network import PATIENCE, TIMEOUT, Network

if TYPE_CHECKING:
    from .conditions import LinkConfig

__all__ = ["NetworkTestCase"]

TRACE_LINES = 40


class NetworkTestCase(SynchronousTestCase):
    """A case whose `network` is new for each test, and lends the global reactor to its hosts meanwhile.

    It runs under trial and under pytest; with a base of one's own it is `class Mine(NetworkTestCase, MyBase)`. A test
    may be an `async def` or return a Deferred, and so may `setUp`, `tearDown` and what `addCleanup` is given: the network
    runs it. A test that fails shows the seed, the command that
    repeats it and the end of the trace. Errors that were logged fail a test as they do in any trial case, after it,
    unless `flushLoggedErrors` has removed them or they came within `network.expected_errors`; `network.run` does not
    raise them.

    Attributes:
        network: The network, which is there before `setUp`.
        link: What is between its hosts, as `Network` takes it.
        seed: What its choices follow from, unless `chosen_seed` or else TWISTNET_SEED in the environment is another.
        patience: How many events it lets happen in vain.
        timeout: Virtual seconds after which a test is given up.
        chosen_seed: What pytest's `--network-seed` says.
    """

    link: ClassVar[LinkConfig | dict[str, Any] | None] = None
    seed: ClassVar[int] = 0
    patience: ClassVar[int] = PATIENCE
    timeout: ClassVar[float] = TIMEOUT
    chosen_seed: int | None = None
    network: Network

    def run(self, result: Any = None) -> Any:
        """Run the test; a reporter of trial's is shown more of what fails."""
        own = vars(self).copy()
        replaced = {
            "setUp": self._opening(self.setUp),
            "tearDown": self._closing(self.tearDown),
            self._testMethodName: self._by_network(getattr(self, self._testMethodName)),
        }
        vars(self).update(replaced)
        try:
            return super().run(_Reporter(result) if IReporter.providedBy(result) else result)
        finally:
            for name in replaced:
                del vars(self)[name]
                vars(self).update({name: own[name]} if name in own else {})

    def addCleanup(self, f: Callable[..., object], *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """See `unittest.TestCase.addCleanup`; what `f` returns may be waited for."""
        super().addCleanup(self._by_network(f), *args, **kwargs)

    def _by_network(self, call: Callable[..., object]) -> Callable[..., None]:
        """The same call, of which the network runs what is to be waited for."""

        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> None:
            returned = call(*args, **kwargs)
            if isinstance(returned, Awaitable):
                self.network.run(returned)

        return run

    def _opening(self, set_up: Callable[[], object]) -> Callable[[], None]:
        """`setUp`, with a network from now on, unless it fails: then nothing else is called."""

        def run() -> None:
            with ExitStack() as failing:
                failing.callback(self._stop_observing)
                self._open(set_up)
                failing.pop_all()

        return run

    def _open(self, set_up: Callable[[], object]) -> None:
        seed = _seed(self.seed) if self.chosen_seed is None else self.chosen_seed
        network = _Network(self, seed, link=self.link, patience=self.patience, timeout=self.timeout)
        with ExitStack() as closing:
            self.network = closing.enter_context(network)
            self._by_network(set_up)()
            self._closes = closing.pop_all()

    def _stop_observing(self) -> None:
        """After a `setUp` that has failed trial goes on listening to the log, and blames others for what it hears."""
        self._observer.flushErrors()
        self._removeObserver()

    def _closing(self, tear_down: Callable[[], object]) -> Callable[[], None]:
        """`tearDown`, which is called after the cleanups, and the end of the network."""

        def run() -> None:
            with self._closes:
                self._by_network(tear_down)()

        return run


def _seed(default: int) -> int:
    if "TWISTNET_SEED" not in os.environ:
        return default
    try:
        return parse_whole(os.environ["TWISTNET_SEED"])
    except ValueError as error:
        raise ConfigurationError(str(error), ("TWISTNET_SEED",)) from None


class _Network(Network):
    """A network that leaves it to trial to fail a test for what was logged."""

    def __init__(self, case: NetworkTestCase, seed: int, **settings: Any) -> None:
        super().__init__(seed, **settings)
        self._case = case

    def check_errors(self, *, thoroughly: bool = False) -> None:
        """See that everything is logged that has gone wrong."""
        with letting_pass(ErrorsLogged):
            super().check_errors(thoroughly=thoroughly)

    @contextmanager
    def expected_errors(self, *types: type[BaseException]) -> Iterator[list[Failure]]:
        """See `Network.expected_errors`."""
        with super().expected_errors(*types) as caught:
            yield caught
        expected = {id(failure) for failure in caught}
        logged: list[Failure] = self._case._observer.getErrors()
        logged[:] = [failure for failure in logged if id(failure) not in expected]


class _Reporter(proxyForInterface(IReporter, "original")):  # type: ignore[misc]
    """Hands a reporter of trial's what it shows of a failure."""

    def addError(self, test: Any, error: Any) -> None:
        """See `IReporter.addError`."""
        self.original.addError(test, _explained(test, error))

    def addFailure(self, test: Any, failure: Any) -> None:
        """See `IReporter.addFailure`."""
        self.original.addFailure(test, _explained(test, failure))


class _Explained(Failure):
    """A failure whose traceback goes on with what happened on the network."""

    def __init__(self, failure: Failure, explanation: str) -> None:
        self.__dict__.update(failure.__dict__)
        self._explanation = explanation

    def getTraceback(self, *args: Any, **kw: Any) -> str:
        """See `Failure.getTraceback`."""
        return f"{super().getTraceback(*args, **kw)}\n{self._explanation}\n"


def _explained(case: NetworkTestCase, failure: Any) -> Any:
    from .replay import explained, trial_command

    network = getattr(case, "network", None)
    if network is None or not isinstance(failure, Failure):
        return failure
    return _Explained(failure, explained(network, trial_command(case.id(), network.seed), TRACE_LINES))
