"""`emperorctl check` with the real uWSGI and without a daemon."""

import json
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl, Outcome
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import ENVIRONMENT, command, on_terminal
from tests.cli.records import GOAT
from tests.eventually import PATIENCE_SECONDS
from tests.traces import public_folder

GOOD = "[uwsgi]\nfile = app.py\n[emperor]\nuid = nobody\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder of inis and settings, on which the command is run."""

    folder: Path
    ctl: Ctl

    def write(self, name: str, content: str | bytes) -> str:
        """Write an ini; returns its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def settle(self, line: str) -> None:
        """Change the settings of this test."""
        (self.folder / "emperord.conf").write_text(f"[emperord]\nallow-root = true\n{line}\n")

    def check(self, *arguments: str) -> Outcome:
        """Run it with the settings of this test."""
        return self.ctl("check", "--config", str(self.folder / "emperord.conf"), *arguments)


@pytest.fixture
def desk(ctl: Ctl) -> Iterator[Desk]:
    """A folder that every user may enter, with an app, and settings that are all defaults."""
    with public_folder() as folder:
        (folder / "emperord.conf").write_text(
            f"[emperord]\nvassals-dir = {folder}\nallow-root = true\n"
        )
        (folder / "app.py").write_text("application = None\n")
        yield Desk(folder, ctl)


def test_the_ini_of_the_talk_can_be_served(desk: Desk) -> None:
    path = desk.write(
        f"{GOAT}.ini",
        f"[uwsgi]\nsocket = /var/sockets/{GOAT}/socket\n"
        f"file = {desk.folder}/app.py\nidle = 93600\n",
    )
    checked = desk.check(path)
    assert (checked.status, checked.err) == (0, "")
    assert checked.out.splitlines()[-1] == f"{path}: would be served at /var/sockets/{GOAT}/socket"


def test_a_good_ini_gets_no_finding(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD)
    assert desk.check(path).out == f"{path}: would be served at /var/sockets/a.example/socket\n"


def test_no_semaphore_is_left_in_the_kernel(desk: Desk) -> None:
    path = desk.write("a.example.ini", "[uwsgi]\nfile = app.py\nlock-engine = ipcsem\n")
    settings = str(desk.folder / "emperord.conf")
    checking = shlex.join(command(desk.folder, "check", "--config", settings, path))
    counting = f"{checking} >&2; cat /proc/sysvipc/sem"
    found = subprocess.run(
        ["unshare", "--ipc", "sh", "-c", counting], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    assert "would be served" in found.stderr
    assert len(found.stdout.splitlines()) == 1  # the head of the table


def test_a_folder_that_others_can_write_is_an_error(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD)
    desk.folder.chmod(0o777)
    checked = desk.check(path)
    assert checked.status == 1
    assert (
        f"error: others than root can change {desk.folder}, so emperord serves no ini of"
        f" {desk.folder}; chown root:root {desk.folder}, chmod go-w {desk.folder}"
    ) in checked.out


def test_the_option_sockets_wins_over_the_settings(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD)
    (desk.folder / "emperord.conf").write_text("[emperord]\nsockets-dir = /srv/sockets\n")
    assert "at /srv/sockets/a.example/socket" in desk.check(path).out
    assert "at /run/s/a.example/socket" in desk.check("--sockets-dir", "/run/s", path).out


def test_findings_name_file_line_severity_cause_and_cure(desk: Desk) -> None:
    path = desk.write(
        "a.example.ini", GOOD.replace("file", "harakri = 3\nsocket = :8080\nstats = :9191\nfile")
    )
    lines = desk.check(path).out.splitlines()
    assert lines[0] == (
        f"{path}:2: warning: uWSGI has no option 'harakri' and ignores it; write harakiri"
    )
    assert lines[1].startswith(f"{path}:3: warning: a request at :8080 does not wake the app; ")
    assert lines[2].startswith(f"{path}:4: note: a changed ini stops the app before its successor")
    assert lines[3] == f"{path}: would be served at /var/sockets/a.example/socket"
    (desk.folder / "app.py").unlink()
    assert desk.check(path).out.splitlines()[3] == (
        f"{path}:5: error: there is no {desk.folder}/app.py, so the app does not start;"
        f" put it there, or write the path from / on: a relative one begins in {desk.folder}"
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.example.ini", "", ": error: the file is empty"),
        ("a.example.ini", b"\xff\xfe[\0u\0w\0", ":1: error: it is UTF-16 text"),
        ("a.example.ini", "[uwsgi]\nfile = x\n" * 70_000, ": error: it has "),
        ("a.example.ini", GOOD + "idle = soon\n", ":5: error: cannot use idle = 'soon'"),
        ("a.example.ini", GOOD + "gid = nosuchgroup\n", ":5: error: there is no group"),
        ("a.example.ini", "[uwsgi]\nprocesses = 0\nfile = x\n", ":2: error: processes = 0"),
        ("a.example.ini", "[uwsgi]\nidle = 5\n", ": error: it names no app"),
        ("a.example.ini", "[uwsgi]\ninclude = nosuch.ini\nfile = x\n", "nosuch.ini"),
        ("A b.ini", GOOD, ": error: its name is no host name; call it DOMAIN.ini"),
        ("a.example.cfg", GOOD, ": error: its name is no host name; call it DOMAIN.ini"),
    ],
)  # fmt: skip
def test_an_ini_that_cannot_be_served_exits_1_and_says_why(
    desk: Desk, name: str, content: str | bytes, expected: str
) -> None:
    path = desk.write(name, content)
    outcome = desk.check(path)
    assert outcome.status == 1
    assert any(line.startswith(path) and expected in line for line in outcome.out.splitlines())
    assert "would be served" not in outcome.out
    assert outcome.err == f"emperorctl: cannot serve {path}\n"


def test_a_missing_file_and_a_folder_are_errors(desk: Desk) -> None:
    missing, folder, pipe = (str(desk.folder / f"{name}.example.ini") for name in "abc")
    os.mkdir(folder)
    os.mkfifo(pipe)
    checked = desk.check(missing, folder, pipe)
    assert checked.status == 1
    assert checked.out.splitlines() == [
        f"{missing}: error: cannot read it: No such file or directory",
        f"{folder}: error: it is not a file",
        f"{pipe}: error: it is not a file",
    ]


def test_a_bad_ini_does_not_keep_others_from_being_checked(desk: Desk) -> None:
    bad, good = desk.write("a.example.ini", ""), desk.write("b.example.ini", GOOD)
    checked = desk.check(bad, good)
    assert checked.status == 1
    assert f"{good}: would be served" in checked.out
    assert checked.err == f"emperorctl: cannot serve {bad}\n"


def test_an_inherited_value_may_be_overruled(desk: Desk) -> None:
    desk.write("common.ini", "[uwsgi]\nprocesses = 2\nharakri = 30\n")
    text = f"[uwsgi]\nini = {desk.folder}/common.ini\nfile = app.py\nprocesses = 7\n"
    checked = desk.check(desk.write("a.example.ini", text))
    assert checked.status == 0
    assert "overrules" not in checked.out
    place = f"({desk.folder}/common.ini, line 3)"
    assert f"uWSGI has no option 'harakri' and ignores it {place}; write harakiri" in checked.out
    checked = desk.check(desk.write("a.example.ini", f"{text}processes = 8\n"))
    assert ":5: warning: processes = 8 overrules line 4, '7'" in checked.out


def test_many_inis_that_are_not_served_are_listed(desk: Desk) -> None:
    bad = [desk.write(f"{name}.example.ini", "") for name in "abcd"]
    checked = desk.check(desk.write("good.example.ini", GOOD), *bad)
    listed = ["Would not be served:", *(f"  {path}" for path in bad)]
    assert checked.out.splitlines()[-5:] == listed
    assert checked.err == "emperorctl: 1 would be served, 4 would not\n"


def test_a_socket_without_a_folder_gets_one_line(desk: Desk) -> None:
    text = GOOD.replace("file", "socket = /nowhere/a.sock\nfile")
    path = desk.write("a.example.ini", text)
    assert [line for line in desk.check(path).out.splitlines() if f"{path}:2:" in line] == [
        f"{path}:2: error: there is no folder /nowhere, so the app does not start;"
        " drop socket, as nginx talks to emperord's own socket"
    ]


def test_an_option_that_strict_refuses_gets_one_line(desk: Desk) -> None:
    path = desk.write(
        "a.example.ini",
        "[uwsgi]\nfile = app.py\nstrict = true\nvaccum = 1\n[emperor]\nuid = nobody",
    )
    assert [line for line in desk.check(path).out.splitlines() if "vaccum" in line] == [
        f"{path}:4: error: uWSGI refuses it under strict: unknown config directive: vaccum;"
        " write vacuum"
    ]


def test_a_missing_include_tells_where_it_was_looked_for(desk: Desk) -> None:
    path = desk.write("a.example.ini", "[uwsgi]\ninclude = nosuch.ini\nfile = x\n")
    assert f"put the file there: a relative path begins in {desk.folder}" in desk.check(path).out


def test_uwsgi_resolves_an_ini_that_only_it_can_read(desk: Desk) -> None:
    desk.write("common.ini", "[uwsgi]\nfile = /srv/app.py\nprocesses = 0\n")
    path = desk.write("a.example.ini", "[uwsgi]\ninclude = common.ini\n")
    checked = desk.check(path)
    assert checked.status == 1
    assert "error: processes = 0 counts as 0, so no worker accepts requests" in checked.out


def test_root_reads_nothing_that_others_could_have_written(desk: Desk) -> None:
    path = desk.write("a.example.ini", "[uwsgi]\nfile = app.py\nstrict = true\nvaccum = 1\n")
    assert "unknown config directive" in desk.check(path).out
    os.chown(desk.folder, 33, 33)
    checked = desk.check(path)
    assert f"and others than root can change {desk.folder}; have root own that" in checked.out
    assert "unknown config directive" not in checked.out
    other = desk.write("b.example.ini", "[uwsgi]\nset = x=1\nfile = app.py\n")
    assert ":2: error: uWSGI would have to resolve set as root" in desk.check(other).out


def test_checking_has_no_side_effects(desk: Desk) -> None:
    world = desk.folder / "world"
    world.mkdir()
    (world / "pid").write_text("4711")
    lines = [
        "vacuum = true", "pidfile = {0}/pid", "pidfile2 = {0}/pid2", "logto = {0}/log",
        "exec-asap = touch {0}/asap", "exec-as-user-atexit = touch {0}/atexit",
        "master-fifo = {0}/fifo", "stats = {0}/stats",
    ]  # fmt: skip
    text = "\n".join(lines).format(world)
    for more in ("", "cron = * * * * * true\n"):
        desk.check(desk.write("a.example.ini", f"{GOOD}[uwsgi]\n{text}\n{more}"))
        desk.check(desk.write("b.example.ini", f"[uwsgi]\nfile = app.py\n{text}\n{more}"))
    assert [path.name for path in world.iterdir()] == ["pid"]
    assert (world / "pid").read_text() == "4711"


def test_an_ini_that_acts_when_it_is_read_is_not_read(desk: Desk) -> None:
    path = desk.write("a.example.ini", f"{GOOD}[uwsgi]\nenv = A=@(exec://touch {desk.folder}/x)\n")
    assert "note: uWSGI did not read it: env = A=@(exec://touch" in desk.check(path).out
    assert not (desk.folder / "x").exists()


def test_a_link_with_a_relative_path_is_checked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("a.example.ini", GOOD)
    (desk.folder / "b.example.ini").symlink_to("a.example.ini")
    monkeypatch.chdir(desk.folder)
    assert desk.check("b.example.ini").out.startswith("b.example.ini: would be served at ")


def test_relative_paths_of_a_draft_begin_among_the_vassals(desk: Desk) -> None:
    vassals = desk.folder / "vassals"
    vassals.mkdir()
    desk.settle(f"vassals-dir = {vassals}")
    checked = desk.check(desk.write("a.example.ini", GOOD))
    assert checked.status == 1
    assert f":2: error: there is no {vassals}/app.py, so the app does not start;" in checked.out
    assert f"from / on: a relative one begins in {vassals}" in checked.out
    (vassals / "app.py").write_text("application = None\n")
    assert desk.check(desk.write("a.example.ini", GOOD)).status == 0
    desk.write("more.ini", f"[uwsgi]\nfile = {vassals}/app.py\n")
    checked = desk.check(desk.write("b.example.ini", "[uwsgi]\ninclude = more.ini\n"))
    assert checked.status == 1
    assert f":2: error: uWSGI looks for more.ini in {vassals}, where it is not;" in checked.out


def test_a_draft_is_compared_with_the_inis_of_the_folder(desk: Desk) -> None:
    vassals = desk.folder / "vassals"
    vassals.mkdir()
    desk.settle(f"vassals-dir = {vassals}")
    good = GOOD.replace("app.py", f"{desk.folder}/app.py")
    text = good.replace("[emperor]", "http = :20123\n[emperor]") + "aliases = c.example\n"
    (vassals / "b.example.ini").write_text(text)
    draft = desk.write("c.example.ini", good.replace("[emperor]", "stats = :20123\n[emperor]"))
    checked = desk.check(draft)
    assert checked.status == 1
    assert "warning: c.example.ini claims the host c.example, which b.example" in checked.out
    assert "stats = :20123 excludes http = :20123 of b.example.ini" in checked.out
    # The daemon serves the one that came first. A draft of the ini itself replaces it.
    (vassals / "c.example.ini").write_text(good)
    checked = desk.check(str(vassals / "c.example.ini"))
    assert checked.status == 0
    assert "warning: c.example.ini claims the host c.example" in checked.out
    assert desk.check(desk.write("b.example.ini", good)).status == 0


def test_an_alias_that_two_inis_claim_is_a_warning(desk: Desk) -> None:
    first = desk.write("a.example.ini", GOOD + "aliases = c.example\n")
    second = desk.write("b.example.ini", GOOD + "aliases = c.example\n")
    checked = desk.check(first, second)
    assert checked.status == 0
    assert (
        f"{second}: warning: b.example.ini claims the host c.example, which a.example.ini has; "
        "drop one of the two"
    ) in checked.out.splitlines()


def test_a_folder_stands_for_all_inis_in_it(desk: Desk) -> None:
    folder = desk.folder / "drafts"
    folder.mkdir()
    assert desk.check(str(folder)).err == (
        f"emperorctl: cannot check {folder}: there is no DOMAIN.ini in it\n"
    )
    good, bad = desk.write("drafts/a.example.ini", GOOD), desk.write("drafts/b.example.ini", "")
    for other in (".c.example.ini", "d.example.ini.bak", "README"):
        desk.write(f"drafts/{other}", "")
    checked = desk.check(str(folder), good)
    assert checked.status == 1
    assert [line.split(": ")[0] for line in checked.out.splitlines()] == [good, bad]


def test_json_has_an_object_for_each_ini(desk: Desk) -> None:
    good = desk.write("a.example.ini", GOOD.replace("file", "harakri = 3\nfile"))
    bad = desk.write("b.example.ini", "")
    checked = desk.check("--json", good, bad)
    assert checked.status == 1
    first, second = json.loads(checked.out)
    assert (first["path"], first["socket"]) == (good, "/var/sockets/a.example/socket")
    assert first["findings"] == [
        {
            "line": 2, "severity": "warning", "cure": "write harakiri",
            "text": "uWSGI has no option 'harakri' and ignores it",
        }
    ]  # fmt: skip
    assert (second["path"], second["socket"]) == (bad, None)
    assert [(each["line"], each["severity"]) for each in second["findings"]] == [(None, "error")]


def test_settings_that_cannot_be_used_are_an_error(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD)
    (desk.folder / "emperord.conf").write_text("[emperord]\nidle = soon\n")
    checked = desk.check(path)
    assert checked.status == 1
    assert f"cannot use idle = 'soon' from {desk.folder}/emperord.conf, line 2: " in checked.err
    (desk.folder / "emperord.conf").write_bytes(b"[emperord]\n; caf\xe9\n")
    assert ": line 2: it is not UTF-8 text; save it as UTF-8\n" in desk.check(path).err
    assert desk.ctl("check", "--config", "/nosuch", path).err == (
        "emperorctl: cannot read /nosuch: no such file\n"
    )


def test_the_settings_of_the_daemon_that_runs_count(desk: Desk, emperor: FakeEmperor) -> None:
    path = desk.write("a.example.ini", GOOD)
    assert f"at {emperor.sockets_dir}/a.example/socket" in desk.ctl("check", path).out
    assert "at /var/sockets/a.example/socket" in desk.check(path).out
    assert "at /run/s/a.example/socket" in desk.ctl("check", "--sockets-dir", "/run/s", path).out


def test_a_daemon_that_does_not_answer_leaves_the_file(desk: Desk, tmp_path: Path) -> None:
    path = desk.write("a.example.ini", GOOD)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
        checked = desk.ctl("check", path)
    assert "at /var/sockets/a.example/socket" in checked.out
    assert checked.err.startswith("emperorctl: cannot reach emperord at ")
    assert checked.err.endswith("; the settings are those of the file\n")


@pytest.mark.parametrize("binary", ["/nosuch/uwsgi", "/bin/sleep"])
def test_a_binary_that_is_no_uwsgi_is_an_error(desk: Desk, binary: str) -> None:
    path = desk.write("a.example.ini", GOOD)
    (desk.folder / "emperord.conf").write_text(f"[emperord]\nuwsgi-binary = {binary}\n")
    checked = desk.check(path)
    assert checked.status == 1
    assert binary in checked.err
    assert checked.out == ""


def test_the_text_of_an_ini_cannot_control_the_terminal(desk: Desk) -> None:
    hostile = "\x1b]0;owned\x07[red]\u202e"
    path = desk.write(f"{hostile}.ini", GOOD)
    other = desk.write("a.example.ini", GOOD.replace("file", f"{hostile} = {hostile}\nfile"))
    with on_terminal(desk.folder, "check", "--config", "/dev/null", path, other) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 1
        screen = program.screen()
    assert "\x1b]" not in screen
    assert "\x07" not in screen
    assert "\u202e" not in screen
    assert "[red]" in screen


def test_on_a_terminal_a_finding_is_broken_between_words(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD.replace("file", "touch-reload = /x\nfile", 1))
    with on_terminal(desk.folder, "check", "--config", "/dev/null", path) as program:
        program.process.wait(PATIENCE_SECONDS)
        screen = re.sub(r"\x1b\[[\d;]*m", "", program.screen())
    lines = [line.rstrip() for line in screen.splitlines()]
    assert max(map(len, lines)) <= 80
    at = next(number for number, line in enumerate(lines) if "touch-reload" in line)
    assert lines[at + 1].startswith("  ")
    assert "a version that cannot start takes the site down" in " ".join(" ".join(lines).split())


def test_debians_uwsgi_loads_the_plugins_of_an_ini_first(desk: Desk) -> None:
    (desk.folder / "emperord.conf").write_text("[emperord]\nuwsgi-binary = /usr/bin/uwsgi-core\n")
    (desk.folder / "app.py").touch()
    text = GOOD.replace("/srv", str(desk.folder))
    path = desk.write("a.example.ini", text.replace("file", "plugins = python3\nfile"))
    assert desk.check(path).out == f"{path}: would be served at /var/sockets/a.example/socket\n"
    path = desk.write("b.example.ini", text)
    checked = desk.check(path)
    assert checked.status == 1
    assert "error: file is of uWSGI's plugin python3, which is not loaded" in checked.out


def test_an_ini_is_judged_by_the_uwsgi_that_it_chooses(desk: Desk) -> None:
    (desk.folder / "emperord.conf").write_text("[emperord]\npythons = deb:/usr/bin/uwsgi-core\n")
    (desk.folder / "app.py").touch()
    text = GOOD.replace("/srv", str(desk.folder)).replace("file", "forkpty-router = :9\nfile")
    path = desk.write(
        "a.example.ini", f"{text}python = deb\n".replace("file", "plugin = python3\nfile")
    )
    assert "forkpty-router is of uWSGI's plugin forkptyrouter" in desk.check(path).out
    path = desk.write("b.example.ini", f"{text}python = 2.7\n")
    assert "there is no Python '2.7'" in desk.check(path).out


def test_a_python_home_of_another_python_is_found_for_each_ini(desk: Desk) -> None:
    (desk.folder / "common/lib/python2.7").mkdir(parents=True)
    (desk.folder / "common/pyvenv.cfg").touch()
    desk.settle(f"vassals-dir = {desk.folder}\npython-home = {desk.folder}/common")
    path = desk.write("a.example.ini", GOOD)
    out = desk.check(path).out
    assert f"{desk.folder}/common is a virtual environment of Python 2.7, and uWSGI has 3." in out
    assert "or drop python-home" in out
    path = desk.write("b.example.ini", f"{GOOD}python-home = /usr\n")
    assert "virtual environment" not in desk.check(path).out


@pytest.mark.parametrize(
    "option",
    ["cron = 0 3 * * * true", "spooler = /nowhere/spool", "route = ^/( deny:", "listen = -1"],
)
def test_what_uwsgi_refuses_is_told_once(desk: Desk, option: str) -> None:
    path = desk.write("a.example.ini", GOOD.replace("file", f"{option}\nfile", 1))
    found = [line for line in desk.check(path).out.splitlines() if "emperorctl" not in line]
    assert [line.startswith(f"{path}:2: error: ") for line in found] == [True]


def test_a_comment_behind_a_value_is_told_once(desk: Desk) -> None:
    path = desk.write("a.example.ini", GOOD.replace("file", "processes = 4 # four\nfile", 1))
    found = desk.check(path).out.splitlines()[:-1]
    assert [line.partition(" warning: ")[2][:30] for line in found] == [
        "'# four' is no comment but par"
    ]


def test_a_misspelt_wildcard_gets_its_right_name(desk: Desk) -> None:
    path = desk.write("*.example.com.ini", GOOD)
    assert "call it _.example.com.ini, which is for all subdomains" in desk.check(path).out
