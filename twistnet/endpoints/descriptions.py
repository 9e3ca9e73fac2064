"""Endpoint strings, taken apart and put together again.

The rule of this module: the grammar is Twisted's own (`serverFromString`): a prefix, then arguments and `key=value`
between colons, with a backslash before what is meant literally. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from attrs import evolve, field, frozen
from twisted.internet.endpoints import quoteStringArgument

from ..units import did_you_mean, parse_whole

__all__ = ["Description", "colon_hint", "parse_peer", "split_description"]

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "tls": ("path", "port", "backlog", "interface"),
    "mtls": ("path", "port", "ca", "backlog", "interface"),
    "ssl": (
        "port",
        "privateKey",
        "certKey",
        "sslmethod",
        "interface",
        "backlog",
        "extraCertChain",
        "dhParameters",
    ),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "udp": ("port", "interface", "reuse_port", "max_datagram"),
    "udp6": ("port", "interface", "reuse_port", "max_datagram"),
    "unix-datagram": ("address", "mode", "max_datagram"),
    "systemd-datagram": ("domain", "index", "name", "max_datagram"),
}
"""The arguments of each server endpoint, in the order in which they stand without their keys."""

_LOOPBACK: Mapping[str, str] = {"tcp6": "::1", "udp6": "::1"}

_PORT = r"0*(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PATTERNS = {
    "port": (re.compile(_PORT), "a port (0 to 65535, 0 for any that is free)"),
    "mode": (re.compile(r"0*[0-7]{1,3}"), "an octal permission such as 660"),
    "backlog": (re.compile(r"0*[1-9][0-9]{0,8}"), "a number of connections"),
}
"""What some arguments must look like; the rest is for the endpoint itself to read."""

_ANYTHING = (re.compile(r".+", re.DOTALL), "anything")


@frozen
class Description:
    """A server endpoint string.

    Attributes:
        prefix: What it begins with: `tcp`, `unix-datagram`, or that of a wrapper such as `haproxy`.
        arguments: What stands between colons without a key.
        keywords: What stands there with one.
    """

    prefix: str
    arguments: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, text: str) -> Description:
        """Take a string apart.

        Raises:
            ValueError: It is not an endpoint string, has an argument that its kind does not take, or a port that
                no socket has.
        """
        arguments, keywords = split_description(text)
        parsed = cls(arguments[0], tuple(arguments[1:]), keywords)
        parsed._check(text)
        return parsed

    def __str__(self) -> str:
        words = (self.prefix, *self.arguments)
        quoted = [quoteStringArgument(word).replace("=", r"\=") for word in words]
        return ":".join(
            [*quoted, *(f"{key}={quoteStringArgument(value)}" for key, value in self.keywords.items())]
        )

    @property
    def leaf(self) -> str:
        """The prefix of what really listens, within whatever wraps it; empty where it is not one of Twisted's."""
        return next((word for word in (self.prefix, *self.arguments) if word in _ARGUMENTS), "")

    @property
    def known(self) -> tuple[str, ...]:
        """The arguments that the leaf takes."""
        return _ARGUMENTS.get(self.leaf, ())

    @property
    def values(self) -> dict[str, str]:
        """The arguments of the leaf by their keys, however they were given."""
        return dict(zip(_ARGUMENTS.get(self.leaf, ()), self._positional, strict=False)) | dict(self.keywords)

    @property
    def listens_on(self) -> tuple[str, ...]:
        """What two listeners cannot both have; the same for two strings that mean the same place."""
        values = self.values
        if self.leaf in {"unix", "unix-datagram"}:
            return ("unix", str(Path(values["address"]).absolute()))
        if "port" not in values or not int(values["port"]) or "reuse_port" in values:
            return ()
        kind = "udp" if self.leaf.startswith("udp") else "tcp"
        return (kind, values.get("interface", self._loopback), str(int(values["port"])))

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it, as far as one can know: a path, or an address of loopback."""
        if self.leaf in {"unix", "unix-datagram"}:
            return True
        try:
            return "interface" in self.known and ip_address(self.values["interface"]).is_loopback
        except (KeyError, ValueError):
            return False

    def on_loopback(self) -> Description:
        """The same, but on loopback only, unless it names an interface."""
        if "interface" not in _ARGUMENTS.get(self.leaf, ()):
            return self
        return self.with_default("interface", self._loopback)

    def with_default(self, key: str, value: str) -> Description:
        """The same with a value for an argument that it takes and does not give."""
        if key not in _ARGUMENTS.get(self.leaf, ()) or key in self.values:
            return self
        return evolve(self, keywords={**self.keywords, key: value})

    @property
    def _loopback(self) -> str:
        return _LOOPBACK.get(self.leaf, "127.0.0.1")

    @property
    def _positional(self) -> tuple[str, ...]:
        """The words after the leaf."""
        words = (self.prefix, *self.arguments)
        return words[words.index(self.leaf) + 1 :] if self.leaf else ()

    def _check(self, text: str) -> None:
        """Refuse what the leaf does not take; of a foreign prefix nothing is known."""
        if not self.leaf:
            return
        known, given = _ARGUMENTS[self.leaf], self._positional
        if len(given) > len(known):
            raise ValueError(f"{text!r} has too many parts; {self.leaf} takes {', '.join(known)}")
        if twice := sorted(self.keywords.keys() & set(known[: len(given)])):
            raise ValueError(
                f"{text!r} gives {twice[0]} twice; a colon that is part of a word is written \\:"
            )
        unknown = sorted(self.keywords.keys() - set(known))
        if unknown and self.leaf == self.prefix:
            raise ValueError(
                f"{text!r}: {self.prefix} takes no {unknown[0]!r}; {did_you_mean(unknown[0], known)}"
            )
        if known[0] not in self.values:
            raise ValueError(f"{text!r} lacks its {known[0]}")
        self._check_values(text)

    def _check_values(self, text: str) -> None:
        interface = self.values.get("interface", ":")
        if self.leaf in _LOOPBACK and ":" not in interface:
            raise ValueError(f"{text!r}: the interface, {interface!r}, is not an address of IPv6")
        for name, value in self.values.items():
            pattern, right = _PATTERNS.get(name, _ANYTHING)
            if not pattern.fullmatch(value):
                raise ValueError(f"{text!r}: the {name}, {value!r}, is not {right}")


def split_description(text: str) -> tuple[list[str], dict[str, str]]:
    """An endpoint string as its words, of which the first is the prefix, and its keywords.

    Raises:
        ValueError: It has no prefix, or gives a key twice.
    """
    words: list[str] = []
    keywords: dict[str, str] = {}
    for key, *value in _split(text):
        if not value:
            words.append(key)
        elif key in keywords:
            raise ValueError(f"{text!r} gives {key} twice")
        else:
            keywords[key] = value[0]
    if not words or not words[0]:
        raise ValueError(f"{text!r} is not an endpoint (tcp:7007, udp:7009, unix:/run/echo.sock, ...)")
    return words, keywords


def colon_hint(arguments: Sequence[str]) -> str:
    """A remark for who wrote the parts of an address of IPv6 as arguments, of which there are too many."""
    return r" (a colon within HOST is written \:)" if len(arguments) > 2 else ""


def parse_peer(host: str, port: str) -> tuple[str, int]:
    """A client's host and port.

    Raises:
        ValueError: The host is no name that can be looked up (IDNA), or the port is none that can be connected to.
    """
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is not a host name") from None
    try:
        return host, parse_whole(port, lowest=1, highest=65535)
    except ValueError:
        raise ValueError(f"{port!r} is not a port (1 to 65535)") from None


def _split(text: str) -> list[list[str]]:
    """The parts between colons, each of one word or of a key and a value."""
    parts = [[""]]
    characters = iter(text)
    for character in characters:
        part = parts[-1]
        if character == "\\":
            part[-1] += next(characters, character)
        elif character == ":":
            parts.append([""])
        elif character == "=" and len(part) == 1:
            part.append("")
        else:
            part[-1] += character
    return parts
