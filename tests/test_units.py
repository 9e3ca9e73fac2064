"""Quantities that people write down."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.units import did_you_mean, parse_duration, parse_flag, parse_rate, parse_size, parse_whole


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1.5", 1.5),
        (" 3 s ", 3.0),
        (7, 7.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("64KiB", 65536),
        ("1MB", 10**6),
        ("1mb", 10**6),
        ("2GiB", 2**31),
        ("1.5k", None),
        ("1.5kB", 1500),
        ("10", 10),
        (3, 3),
    ],
)
def test_sizes(text: object, octets: int | None) -> None:
    if octets is None:
        with pytest.raises(ValueError, match="is not a size"):
            parse_size(text)
    else:
        assert parse_size(text) == octets


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_rate, parse_whole])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "x",
        "1x",
        "nan",
        "inf",
        "1e5",
        "٣",
        -1,
        math.nan,
        math.inf,
        True,
        None,
        [],
        {},
        10**400,
        "9" * 5000,
    ],
)
def test_what_is_no_quantity_is_named_in_the_error(parse: object, value: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse(value)  # type: ignore[operator]


def test_a_fraction_of_an_octet_is_no_size() -> None:
    with pytest.raises(ValueError, match=r"'0\.5' is not a size"):
        parse_size("0.5")


@given(st.floats(min_value=0, max_value=1e9))
def test_numbers_of_seconds_are_durations_as_they_are(seconds: float) -> None:
    assert parse_duration(seconds) == seconds


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h"]))
def test_every_unit_reads_back(number: int, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    if number * factor <= 1e9:
        assert parse_duration(f"{number}{unit}") == pytest.approx(number * factor)


@given(st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.none(), st.lists(st.integers())))
def test_anything_else_is_a_value_error_of_one_line(value: object) -> None:
    for parse in (parse_duration, parse_size, parse_rate, parse_whole, parse_flag):
        try:
            parse(value)
        except ValueError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 200


def test_flags() -> None:
    assert [parse_flag(word) for word in (True, "on", "YES", "1", "true")] == [True] * 5
    assert [parse_flag(word) for word in (False, "off", "no", "0", "False")] == [False] * 5


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("ech", ["echo", "upper"]) == "did you mean echo?"
    assert did_you_mean("zzz", ["echo", "upper"]) == "known: echo, upper"
