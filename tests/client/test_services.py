"""`twistnet services`, run as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.running import BIN
from twistnet.services.definition import SHARED, find_service, installed_services

BUILT_IN = sorted(
    name for name, plugin in installed_services().items() if plugin.definition.startswith("twistnet.")
)

DROP_IN = """
from twistnet import ServicePlugin

here = ServicePlugin("here", "my_package.HERE")
broken = ServicePlugin("broken", "my_package.nowhere.BROKEN")
"""
PACKAGE = """
import attrs
from twistnet import EchoFactory, ServiceDefinition, setting
from twistnet.config import COUNT

@attrs.frozen(kw_only=True, slots=False)
class Options:
    often: int = setting(3, COUNT, "how often to say it")

HERE = ServiceDefinition(
    name="here", description="Says it.", listen=("tcp:7999",), options=Options,
    stream=lambda options, clock: EchoFactory(),
)
"""


def services(*words: str, folder: Path) -> tuple[int, str, str]:
    """Exit status, output and error output, where packages of a folder are installed too."""
    ran = subprocess.run(
        [BIN / "twistnet", "services", *words],
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "100"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def in_json(*words: str, folder: Path) -> tuple[int, dict[str, Any], str]:
    """The same in JSON."""
    status, out, err = services("--json", *words, folder=folder)
    return status, json.loads(out), err


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with a service that works, one that does not, and a drop-in that is no Python."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "mine_plugins.py").write_text(DROP_IN)
    (plugins / "worse_plugins.py").write_text("from twistnet import\n")
    (tmp_path / "my_package.py").write_text(PACKAGE)
    return tmp_path


def test_all_are_listed_with_their_options_and_defaults(tmp_path: Path) -> None:
    status, told, err = in_json(folder=tmp_path)
    assert (status, err, told["problems"]) == (0, "", [])
    assert [service["name"] for service in told["services"]] == BUILT_IN
    for service in told["services"]:
        definition = find_service(service["name"])
        assert tuple(service["listen"]) == definition.listen
        assert (service["description"], service["package"]) == (definition.description, "twistnet")
        assert service["streams"] is (definition.stream is not None)
        assert service["datagrams"] is (definition.datagram is not None)
        assert {one["name"]: one["default"] for one in service["options"]} == {
            field.name: field.default for field in attrs.fields(definition.options)
        }
    every = {field.name for model in SHARED for field in attrs.fields(model)}
    assert {one["name"] for one in told["every_service"]} == every


def test_one_that_cannot_be_loaded_is_told_of_and_the_others_are_listed(packages: Path) -> None:
    status, told, err = in_json(folder=packages)
    assert status == 1
    by_name = {service["name"]: service for service in told["services"]}
    assert set(by_name) == {*BUILT_IN, "here", "broken"}
    assert by_name["broken"]["problem"].startswith("service 'broken' cannot be loaded: ")
    assert (by_name["here"]["problem"], by_name["here"]["package"]) == (None, "my_package")
    assert by_name["here"]["options"][0]["default"] == 3
    drop_in, broken = sorted(err.splitlines())
    assert drop_in.startswith(f"{packages}/twisted/plugins/worse_plugins.py cannot be loaded: SyntaxError: ")
    assert broken == by_name["broken"]["problem"]
    assert sorted(told["problems"]) == [drop_in, broken]


def test_in_words(packages: Path) -> None:
    status, out, err = services("here", "echo", folder=packages)
    assert status == 1, "a drop-in that cannot be loaded may have had it"
    assert "worse_plugins.py" in err
    assert "here  (my_package)\n  Says it.\n  Answers streams; on tcp:7999 unless told otherwise.\n" in out
    assert "  --often NUMBER                  how often to say it [3]\n" in out
    assert "upper" not in out.partition("every service")[0]
    assert "  --idle-timeout DURATION " in out
    assert "\x1b" not in out, "no colour into a pipe"


def test_one_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    status, out, err = services("eco", folder=tmp_path)
    assert (status, out) == (2, "")
    assert "there is no service 'eco'; did you mean echo?" in err
