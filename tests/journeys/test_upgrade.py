"""SIGHUP: a newer version takes the daemon's place, in the same process, if it can."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.backend import BIN, Backend, UnixConnection
from tests.cli.program import command, finished
from tests.eventually import PATIENCE_SECONDS, eventually

Start = Callable[..., Backend]


class Installation:
    """emperord as a package manager would install it: a script, whose version a test can change,
    and a settings file."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "emperord"
        self.config = folder / "emperord.ini"
        self.install("1.0")
        self.configure()

    def install(self, version: str, first: str = "") -> None:
        """Another version, which begins with the statement `first`."""
        draft = self.script.with_suffix(".new")
        draft.write_text(
            f"#!{sys.executable}\n{first}\nimport emperor\nemperor.__version__ = {version!r}\n"
            "from emperor.daemon import main\nmain()\n"
        )
        draft.chmod(0o755)
        draft.rename(self.script)

    def configure(self, **settings: str) -> None:
        """Write the settings file."""
        self.names = [name.replace("_", "-") for name in settings]
        lines = [f"{name.replace('_', '-')} = {value}\n" for name, value in settings.items()]
        self.config.write_text("[emperord]\n" + "".join(lines))

    def launch(self, command: Sequence[str], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
        """By a relative path, from a folder that the daemon will not stay in, and without flags for
        what is in the file."""
        flags = [flag for flag in command[1:] if flag[2:].split("=")[0] not in self.names]
        arguments = [f"./{self.script.name}", f"--config={self.config.name}", *flags]
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stderr=stderr, cwd=self.script.parent
        )


@pytest.fixture
def installation(folder: Path) -> Installation:
    return Installation(folder)


@pytest.fixture
def backend(start: Start, installation: Installation) -> Backend:
    return start(launch=installation.launch)


def version(backend: Backend) -> str:
    _, status = backend.call("GET", "/v1/status")
    version: str = status["emperor"]["version"]
    return version


def upgrade(backend: Backend) -> None:
    """Ask for an upgrade, and return when it is done."""
    done = len(backend.lines("serving"))
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(backend.lines("serving")) > done, alive=[backend.process])


def refused(backend: Backend, why: str) -> None:
    """Ask for an upgrade, and return when it was refused for that reason."""
    backend.expect("cannot upgrade: ")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines(f"cannot upgrade: .*{why}.*; all stays as it is"))


def test_a_new_version_keeps_the_process_and_the_apps(
    backend: Backend, installation: Installation
) -> None:
    backend.add("a.example")
    backend.add("b.example")
    backend.get("a.example")
    before = backend.leader("a.example"), backend.inode("a.example"), backend.inode("b.example")
    assert version(backend) == "1.0"
    for number in ("2.0", "3.0"):
        installation.install(number)
        upgrade(backend)
        assert version(backend) == number
        assert backend.call("GET", "/v1/status")[1]["emperor"]["pid"] == backend.process.pid
    after = backend.leader("a.example"), backend.inode("a.example"), backend.inode("b.example")
    assert after == before
    assert backend.get("a.example").status == backend.get("b.example").status == 200


@pytest.mark.bases
def test_another_version_makes_its_own_base(backend: Backend, installation: Installation) -> None:
    backend.until_base_is_ready()
    before = {base.pid for base in backend.bases()}
    installation.install("2.0")
    upgrade(backend)
    backend.until_base_is_ready()
    assert not before & {base.pid for base in backend.bases()}
    [line] = backend.lines("that an earlier emperord has made ends: another version has made it")
    assert "INFO" in line


def test_nothing_piles_up_over_upgrades(backend: Backend) -> None:
    backend.add("a.example")
    backend.get("a.example")
    upgrade(backend)
    before = backend.fds
    for _ in range(2):
        upgrade(backend)
    # One more for the answer to a request that has just ended.
    eventually(lambda: backend.fds <= before)
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    assert not backend.children(), "ended processes are reaped"


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("import a_module_that_nobody_installed", "No module named 'a_module_that_nobody_inst"),
        ("raise SystemExit(3)", "it printed nothing"),
        ("this is no Python", r"SyntaxError: invalid syntax \(File \".*/emperord\", line 2\)"),
    ],
)
def test_a_version_that_cannot_start_changes_nothing(
    backend: Backend, installation: Installation, first: str, why: str
) -> None:
    backend.add("a.example")
    text = backend.get("a.example").text
    installation.install("2.0", first)
    refused(backend, why)
    assert version(backend) == "1.0"
    assert backend.get("a.example").text == text
    installation.install("2.0")
    upgrade(backend)
    assert version(backend) == "2.0"


def test_a_program_that_is_gone_changes_nothing(
    backend: Backend, installation: Installation
) -> None:
    installation.script.unlink()
    refused(backend, "cannot run .*/emperord: No such file")
    installation.install("2.0")
    upgrade(backend)


def test_a_version_of_other_snapshots_changes_nothing(
    backend: Backend, installation: Installation
) -> None:
    installation.install("2.0", "import emperor.model.snapshot as s; s.FORMAT = 99")
    refused(backend, "cannot go on with snapshots of format 2, only of 99; stop the old version")
    assert version(backend) == "1.0"


def test_changed_settings_are_applied_and_wrong_ones_refused(
    backend: Backend, installation: Installation
) -> None:
    backend.add("a.example", idle="50")
    backend.drop("b.example", f"[uwsgi]\nfile = {Path(__file__).parents[1]}/apps/plain.py\n")
    backend.until("b.example", "parked")
    for domain in ("a.example", "b.example"):
        backend.get(domain)
    before = backend.leader("a.example"), backend.leader("b.example")
    installation.configure(idle="never")
    refused(backend, "does not start: cannot use idle = 'never'")
    installation.configure(idle="77")
    upgrade(backend)
    eventually(lambda: (v := backend.vassal("b.example")) and v["idle_seconds"] == 77)
    assert backend.leader("a.example") == before[0], "its own idle wins, so nothing changed for it"
    eventually(lambda: backend.leader("b.example") != before[1], what="it is reloaded")


def test_a_folder_that_cannot_be_made_changes_nothing(
    start: Start, folder: Path, installation: Installation
) -> None:
    installation.configure(log_dir=f"{folder}/logs")
    backend = start(launch=installation.launch)
    backend.add("a.example")
    installation.configure(log_dir="/proc/nobody/logs")
    refused(backend, "does not start: cannot make /proc/nobody/logs: No such file")
    assert backend.get("a.example").status == 200


def test_the_log_of_a_running_app_is_where_it_was(
    start: Start, folder: Path, installation: Installation
) -> None:
    installation.configure(log_dir=f"{folder}/logs")
    backend = start(launch=installation.launch)
    backend.add("a.example")
    backend.get("a.example")
    installation.configure(log_dir=f"{folder}/elsewhere")
    upgrade(backend)
    assert backend.detail("a.example")["log"] == f"{folder}/logs/a.example.log"
    backend.call("POST", "/v1/vassals/a.example/restart")
    assert backend.detail("a.example")["log"] == f"{folder}/elsewhere/a.example.log"
    assert "spawned uWSGI" in (folder / "elsewhere/a.example.log").read_text()


def test_a_setting_that_cannot_change_is_named_and_stays(
    start: Start, folder: Path, installation: Installation
) -> None:
    installation.configure(run_dir=f"{folder}/run")
    backend = start(launch=installation.launch)
    backend.add("a.example")
    installation.configure(run_dir=f"{folder}/elsewhere", idle="77")
    backend.expect("cannot set run-dir = .*/elsewhere \\(it stays .*/run\\)")
    upgrade(backend)
    assert backend.lines("cannot set run-dir")
    assert backend.state("a.example") == "parked"
    assert not (folder / "elsewhere").exists()
    upgrade(backend)
    assert len(backend.lines("cannot set run-dir")) == 2, "it is still not so"


def test_nginx_asks_again_for_held_requests(backend: Backend) -> None:
    backend.nginx.expect("upstream prematurely closed connection")
    gate = backend.folder / "gate"
    backend.add("a.example", env=f"GATE={gate}")
    replies: list[int] = []
    visitor = threading.Thread(target=lambda: replies.append(backend.get("a.example").status))
    visitor.start()
    eventually(lambda: backend.state("a.example") == "starting")
    upgrade(backend)
    gate.touch()
    visitor.join()
    assert replies == [200]
    vassal = backend.vassal("a.example")
    assert vassal
    assert vassal["starts"] == 1


def test_a_provisioning_command_is_waited_for(
    start: Start, folder: Path, installation: Installation
) -> None:
    command = folder / "provision"
    command.write_text(
        f'#!/bin/sh\necho "$1" >> {folder}/asked\nsleep 1\n'
        f'cp {folder}/new.ini {folder}/vassals/"$1".ini\n'
    )
    command.chmod(0o755)
    backend = start(launch=installation.launch, provision_command=str(command))
    backend.nginx.expect("upstream prematurely closed connection")
    (folder / "new.ini").write_text(backend.ini("new.example"))
    replies: list[int] = []
    visitor = threading.Thread(target=lambda: replies.append(backend.get("new.example").status))
    visitor.start()
    eventually((folder / "asked").exists)
    upgrade(backend)
    visitor.join()
    assert replies == [200]
    assert (folder / "asked").read_text() == "new.example\n"


def test_a_queue_for_provisioning_delays_no_upgrade(
    start: Start, folder: Path, installation: Installation
) -> None:
    asked, proved, may_end, hurry = (folder / n for n in ("asked", "proved", "may-end", "hurry"))
    asked.touch()
    may_end.mkdir()
    command = folder / "provision"
    command.write_text(
        f'#!/bin/sh\necho "$1" >> {asked}\n'
        f'until [ -e {hurry} ] || [ -e {may_end}/"$1" ]; do sleep 0.2; done\nexit 1\n'
    )
    command.chmod(0o755)
    installation.install(
        "2.0",
        "import atexit, pathlib, sys\n"
        f"if '--prove' in sys.argv: atexit.register(pathlib.Path({str(proved)!r}).touch)",
    )
    backend = start(launch=installation.launch, provision_command=str(command))
    backend.nginx.expect("upstream prematurely closed connection")
    threads = [
        threading.Thread(target=backend.get, args=(f"{number}.example",)) for number in range(60)
    ]
    for thread in threads:
        thread.start()
    eventually(asked.read_text)
    backend.process.send_signal(signal.SIGHUP)
    eventually(proved.exists, what="no further command is started")

    def is_upgraded_when_these_end() -> bool:
        for host in asked.read_text().split():
            (may_end / host).touch()
        return len(backend.lines("serving")) == 2

    eventually(is_upgraded_when_these_end, alive=[backend.process])
    # The others are provisioned by the next daemon.
    assert len(asked.read_text().splitlines()) < len(threads) / 2
    hurry.touch()
    for thread in threads:
        thread.join()


def test_a_stop_while_the_new_version_exits_is_not_lost(
    backend: Backend, installation: Installation
) -> None:
    """The process that tells the daemon to stop is the one whose end lets the daemon call exec."""
    installation.install(
        "2.0",
        "import atexit, os, signal, sys\n"
        "if '--prove' in sys.argv: atexit.register(os.kill, os.getppid(), signal.SIGTERM)",
    )
    backend.process.send_signal(signal.SIGHUP)
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    installation.install("3.0")
    backend.start()


def test_emperorctl_waits_for_it_and_tells_what_came_of_it(
    backend: Backend, installation: Installation
) -> None:
    backend.add("a.example")
    text = backend.get("a.example").text
    installation.install("2.0")
    result = finished(backend.run_dir, "upgrade")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("emperord 2.0 has taken over from 1.0: ")
    assert version(backend) == "2.0"
    installation.install("3.0", "import a_module_that_nobody_installed")
    backend.expect("cannot upgrade: ")
    result = finished(backend.run_dir, "upgrade")
    assert (result.returncode, result.stdout) == (1, "")
    assert "cannot upgrade: the new version does not start: ModuleNotFoundError" in result.stderr
    assert version(backend) == "2.0"
    assert backend.get("a.example").text == text


def test_the_api_tells_success_before_the_exec(
    backend: Backend, installation: Installation
) -> None:
    installation.install("2.0")
    status, _ = backend.call("POST", "/v1/upgrade")
    assert status == 202
    assert version(backend) == "2.0"
    installation.install("3.0", "raise SystemExit(3)")
    backend.expect("cannot upgrade: ")
    status, _ = backend.call("POST", "/v1/upgrade")
    assert status == 409
    assert version(backend) == "2.0"


def test_a_stop_while_the_new_version_is_tried_is_not_lost(
    backend: Backend, installation: Installation
) -> None:
    proves = installation.script.with_name("proves")
    installation.install(
        "2.0", f"import pathlib, time; pathlib.Path({str(proves)!r}).touch(); time.sleep(1000)"
    )
    upgrading = subprocess.Popen(command(backend.run_dir, "upgrade"), stderr=subprocess.DEVNULL)
    eventually(proves.exists)
    assert backend.stop() == 0
    assert upgrading.wait(PATIENCE_SECONDS) in (1, 4)
    assert not backend.lines("takes over now")
    installation.install("3.0")
    backend.start()


def test_a_stop_that_comes_at_the_same_time_is_not_lost(
    backend: Backend, installation: Installation
) -> None:
    backend.add("a.example")
    backend.get("a.example")
    installation.install("2.0", "import time; time.sleep(0.5)")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("takes over now"))
    assert backend.stop() == 0
    backend.start()


def test_no_second_daemon_gets_in_between(backend: Backend, installation: Installation) -> None:
    installation.install("2.0", "import time; time.sleep(0.5)")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("takes over now"))
    second = subprocess.run(
        [BIN / "emperord", *backend.command[1:]], capture_output=True, text=True, check=False
    )
    assert f"emperord with pid {backend.process.pid} already serves" in second.stderr
    eventually(lambda: len(backend.lines("serving")) == 2)


class SlowStart:
    """A version that proves at once, and whose daemon then starts only when it may."""

    def __init__(self, installation: Installation) -> None:
        folder = installation.script.parent
        self._may_go_on, self.has_begun = folder / "may-go-on", folder / "has-begun"
        installation.install(
            "2.0",
            "import pathlib, sys, time\n"
            f"if '--prove' not in sys.argv: pathlib.Path({str(self.has_begun)!r}).touch()\n"
            f"while not ('--prove' in sys.argv or pathlib.Path({str(self._may_go_on)!r}).exists()):"
            " time.sleep(0.01)",
        )

    def go_on(self) -> None:
        self._may_go_on.touch()


def test_a_slow_start_keeps_no_probe_waiting(backend: Backend, installation: Installation) -> None:
    backend.add("a.example")
    backend.add("b.example")
    backend.get("a.example")
    slow = SlowStart(installation)
    backend.process.send_signal(signal.SIGHUP)
    eventually(slow.has_begun.exists, alive=[backend.process])
    with closing(UnixConnection(backend.run_dir / "activate.sock")) as probe:
        probe.request("GET", "/emperord-health")
        reply = probe.getresponse()
        assert (reply.status, reply.read()) == (200, b"serving\n")
    assert backend.detail("a.example")["status"]["state"] == "running"
    with ThreadPoolExecutor() as threads:
        hit = threads.submit(backend.get, "b.example")
        order = threads.submit(backend.call, "POST", "/v1/vassals/a.example/restart")
        told = threads.submit(version, backend)
        assert backend.detail("b.example")["status"]["state"] == "parked"
        slow.go_on()
        assert (hit.result().status, order.result()[0], told.result()) == (200, 200, "2.0")
    assert backend.detail("a.example")["status"]["starts"] == 2
    eventually(lambda: len(backend.lines("serving")) == 2, alive=[backend.process])
    names = {process.name() for process in backend.children()}
    assert names == {"uwsgi"}, "the stand-in has ended, and is reaped"


def test_a_daemon_that_dies_early_leaves_no_stand_in(
    backend: Backend, installation: Installation
) -> None:
    slow = SlowStart(installation)
    backend.process.send_signal(signal.SIGHUP)
    eventually(slow.has_begun.exists, alive=[backend.process])
    [stand_in] = backend.children()
    slow.go_on()
    backend.process.kill()
    eventually(lambda: has_ended(stand_in))
    backend.process.wait()
    backend.start()


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or a zombie that init has not reaped yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_version_gone_after_its_proof_changes_nothing(
    backend: Backend, installation: Installation
) -> None:
    backend.add("a.example")
    installation.install(
        "2.0",
        "import atexit, os, sys\nif '--prove' in sys.argv: atexit.register(os.unlink, __file__)",
    )
    refused(backend, "cannot run .*/emperord: No such file")
    eventually(lambda: not backend.children(), what="the stand-in ends")
    assert backend.get("a.example").status == 200
    assert version(backend) == "1.0"


def test_apps_get_the_daemons_original_limit_on_open_files(
    start: Start, installation: Installation
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        backend = start(launch=installation.launch)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    backend.add("a.example")
    upgrade(backend)
    backend.get("a.example")
    assert resource.prlimit(backend.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    assert backend.children()
    for process in backend.children():
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (1024, hard)
