"""Every command that takes a domain takes the other hosts of a vassal too, and names the vassal."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor

APP, WILDCARD = "a.example", "_.b.example"
OTHERS = {
    "www.a.example": (APP, f"emperorctl: www.a.example is an alias of {APP}\n"),
    "x.b.example": (WILDCARD, f"emperorctl: {WILDCARD} answers for x.b.example\n"),
    APP: (APP, ""),
    "A.Example.": (APP, ""),
}


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize(
    "arguments",
    ["status", "why", "logs", "start", "sleep", "restart", "reload", "events --once --domain",
     "status --failed", "maintenance"],
)  # fmt: skip
def test_another_host_means_its_vassal(
    emperor: FakeEmperor, ctl: Ctl, host: str, arguments: str, tmp_path: Path
) -> None:
    emperor.serve(APP, aliases=("www.a.example",))
    emperor.serve(WILDCARD)
    name, note = OTHERS[host]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / f"{name}.log").write_text(f"the log of {name}\n")
    ctl("restart" if arguments != "logs" else "sleep", name)
    switch = ["on"] if arguments == "maintenance" else []
    result = ctl(*arguments.split(), host, *switch)
    assert (result.status, result.err) == (0, note)
    assert name in result.out or "--failed" in arguments


def test_json_has_the_vassal_alone(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(APP, "c.example", aliases=())
    emperor.serve(WILDCARD)
    shown = json.loads(ctl("status", "--json", "x.b.example").out)
    assert [vassal["name"] for vassal in shown["vassals"]] == [WILDCARD]


def test_a_host_of_nobody_is_no_vassal(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(APP)
    emperor.refuse("_.c.example", "cannot read _.c.example.ini: binary")
    assert ctl("status", "x.example").status == 3
    assert ctl("why", "x.example").status == 3
    refused = ctl("why", "x.c.example")
    assert (refused.status, refused.err) == (1, "emperorctl: cannot read _.c.example.ini: binary\n")
