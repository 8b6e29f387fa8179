"""Descriptors that a process was given, and those it passes on when it calls exec."""

import json
import os
import subprocess
import sys

import pytest

from emperor.linux.inheritance import inherited, keep_across_exec

PID = str(os.getpid())
TELL = """
import json, os
from emperor.linux.inheritance import inherited
found = inherited(os.environ)
left = [name for name in os.environ if name.startswith("LISTEN_")]
is_open = [os.path.exists(f"/proc/self/fd/{fd}") for fd in (3, 4, 5)]
print(json.dumps([found, left, is_open, [os.get_inheritable(fd) for fd in found.values()]]))
"""


def given_three(names: str, python: str = TELL) -> list[object]:
    """What a process finds that systemd gave three descriptors of these names."""
    script = (
        f'LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES={names} exec "$@"'
        " 3</dev/null 4</dev/null 5</dev/null"
    )
    command = ["/bin/bash", "-c", script, "bash", sys.executable, "-c", python]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(output)
    assert isinstance(found, list)
    return found


def test_passed_descriptors_begin_at_three_for_us_alone() -> None:
    assert given_three("a:b:c") == [
        {"a": 3, "b": 4, "c": 5},
        [],
        [True, True, True],
        [False, False, False],
    ]


def test_of_two_with_one_name_the_other_is_closed() -> None:
    found, _, is_open, _ = given_three("a:b:a")
    assert found == {"a": 3, "b": 4}
    assert is_open == [True, True, False]


@pytest.mark.parametrize(
    "environment",
    [
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"},
        {"LISTEN_PID": PID, "LISTEN_FDS": "many", "LISTEN_FDNAMES": "a"},
        {"EMPERORD_FDS": "a=-1 b= =c c"},
        {"EMPERORD_FDS": "a=999999"},
        {},
    ],
)
def test_variables_for_another_process_pass_nothing(
    environment: dict[str, str],
) -> None:
    assert inherited(environment) == {}
    assert environment == {}


def test_what_is_left_to_the_next_is_found_by_it() -> None:
    read_end, write_end = os.pipe()
    name, value = keep_across_exec({"reader": read_end, "writer": write_end})
    assert os.get_inheritable(read_end)
    assert os.get_inheritable(write_end)
    environment = {name: value}
    assert inherited(environment) == {"reader": read_end, "writer": write_end}
    assert not os.get_inheritable(read_end)
    for fd in (read_end, write_end):
        os.close(fd)
