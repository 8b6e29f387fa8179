"""The folder of inis: all ways in which inis are added, changed, removed, and wrong."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.backend import APPS, Backend, ends_after
from tests.eventually import eventually
from tests.nginx_server import free_ports

Start = Callable[..., Backend]


def by_rename(backend: Backend, text: str) -> None:
    backend.drop("a.example", text)


def in_place(backend: Backend, text: str) -> None:
    with (backend.vassals / "a.example.ini").open("w") as ini:
        ini.write(text[:20])
        ini.flush()
        backend.call("POST", "/v1/rescan")
        ini.write(text[20:])


def by_install(backend: Backend, text: str) -> None:
    draft = backend.folder / "draft"
    draft.write_text(text)
    subprocess.run(["install", "-m", "640", draft, backend.vassals / "a.example.ini"], check=True)


def by_link(backend: Backend, text: str) -> None:
    number = len(list(backend.folder.glob("release-*")))
    release = backend.folder / f"release-{number}"
    release.write_text(text)
    subprocess.run(["ln", "-sfn", release, backend.vassals / "a.example.ini"], check=True)


@pytest.mark.parametrize("write", [by_rename, in_place, by_install, by_link])
def test_an_ini_arrives_and_changes_in_every_usual_way(
    backend: Backend, write: Callable[[Backend, str], None]
) -> None:
    backend.expect("cannot read a.example.ini|the file is empty|it names no app")
    write(backend, backend.ini("a.example"))
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200
    write(backend, backend.ini("a.example", idle="77"))
    eventually(lambda: (v := backend.vassal("a.example")) and v["idle_seconds"] == 77)
    backend.until("a.example", "running")
    assert backend.get("a.example").status == 200


def test_a_link_with_odd_bytes_takes_no_site_down(backend: Backend) -> None:
    """Its path goes into the record of the vassal, which every later daemon reads."""
    backend.expect("cannot read a.example.ini: others may change .*udcff, which leads to it")
    backend.add("a.example")
    folder = os.fsencode(backend.folder) + b"/\xff"
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    Path(os.fsdecode(folder), "a.ini").write_text(backend.ini("a.example"))
    os.symlink(folder + b"/a.ini", backend.folder / "link")
    (backend.folder / "link").rename(backend.vassals / "a.example.ini")
    eventually(lambda: (v := backend.vassal("a.example")) and v["last_error"])
    for _ in range(2):
        assert backend.call("POST", "/v1/rescan")[0] == 200
    assert backend.get("a.example").status == 200
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    assert backend.get("a.example").status == 200


def test_sed_changes_an_ini_and_the_app_is_reloaded_once(backend: Backend) -> None:
    backend.add("a.example")
    backend.get("a.example")
    ini = backend.vassals / "a.example.ini"
    subprocess.run(["sed", "-i", "s/idle = 93600/idle = 5000/", ini], check=True)
    eventually(lambda: (v := backend.vassal("a.example")) and v["idle_seconds"] == 5000)
    backend.until("a.example", "running")
    assert len(backend.lines("its ini changed")) == 1


def test_an_ini_that_goes_takes_its_app_and_its_socket_with_it(backend: Backend) -> None:
    backend.add("a.example")
    backend.get("a.example")
    backend.remove("a.example")
    eventually(lambda: not (backend.sockets / "a.example").exists(), what="its socket is gone")
    assert not backend.children()
    assert backend.get("a.example").status == 404


def test_status_and_why_agree_on_an_app_that_is_removed(
    backend: Backend,
) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    backend.add("a.example", hook_as_user_atexit=ends_after(f"cat {gate}"))
    backend.get("a.example")
    backend.remove("a.example")
    backend.until("a.example", "stopping")
    [row] = backend.call("GET", "/v1/status")[1]["vassals"]
    detail = backend.detail("a.example")
    assert (row["name"], row["state"]) == ("a.example", detail["status"]["state"])
    assert detail["last_stop"]["reason"] == "its ini is gone"
    status, problem = backend.call("POST", "/v1/vassals/a.example/start")
    assert (status, problem["detail"]) == (
        404, "a.example is no vassal any more: its ini is gone",
    )  # fmt: skip
    assert backend.get("a.example").status == 404
    gate.write_bytes(b"")
    backend.until("a.example", None)


def test_an_ini_that_is_renamed_is_another_domain(backend: Backend) -> None:
    backend.drop("a.example", f"[uwsgi]\nfile = {APPS}/plain.py\n")
    backend.until("a.example", "parked")
    (backend.vassals / "a.example.ini").rename(backend.vassals / "b.example.ini")
    backend.until("b.example", "parked")
    backend.until("a.example", None)
    assert "b.example" in backend.get("b.example").text


def test_an_ini_that_is_back_at_once_was_never_gone(backend: Backend) -> None:
    backend.add("a.example")
    text = backend.get("a.example").text
    ini = backend.vassals / "a.example.ini"
    ini.rename(backend.folder / "aside")
    (backend.folder / "aside").rename(ini)
    backend.call("POST", "/v1/rescan")
    assert backend.get("a.example").text == text
    assert not backend.lines("removed")


def test_the_folder_may_be_removed_and_made_again(backend: Backend) -> None:
    backend.expect("is gone: its vassals are served on")
    backend.add("a.example")
    backend.get("a.example")
    shutil.rmtree(backend.vassals)
    eventually(lambda: backend.lines("is gone: its vassals are served on|its ini is gone"))
    backend.vassals.mkdir()
    backend.add("b.example")
    assert backend.get("b.example").status == 200
    backend.until("a.example", None)


def test_an_overflow_of_changes_misses_nothing(backend: Backend) -> None:
    for number in range(9000):
        name = backend.vassals / f".{number}"
        name.touch()
        name.unlink()
    backend.add("a.example")
    assert backend.get("a.example").status == 200


BROKEN = {
    "binary": (bytes(range(256)), "not UTF-8|NUL byte"),
    "huge": (b"[uwsgi]\n" + b"x" * (2 << 20), "more than an ini can have"),
    "empty": (b"", "the file is empty; write it again"),
    "no section": (b"socket = /x\n", "no section .uwsgi."),
    "half a header": (b"[uwsgi\n", "line 1"),
    "bad idle": (b"[uwsgi]\nfile=x\n[emperor]\nidle = soon\n", "line 4: cannot use idle = 'soon'"),
    "a neighbour": (
        b"[uwsgi]\nsocket = SOCKETS/good.example/socket\n",
        "claims the socket of good",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_ini_is_named_with_line_and_cause(backend: Backend, case: str) -> None:
    data, cause = BROKEN[case]
    backend.expect(f"bad.example.ini: .*({cause})")
    backend.add("good.example")
    ini = backend.vassals / "bad.example.ini"
    ini.write_bytes(data.replace(b"SOCKETS", str(backend.sockets).encode()))
    eventually(lambda: backend.lines(f"WARNING .*bad.example.ini: .*({cause})"))
    status, report = backend.call("GET", "/v1/vassals/bad.example")
    assert status == 409
    assert report["code"] == "refused"
    _, report = backend.call("GET", "/v1/status")
    [refused] = report["refused"]
    assert (refused["file"], refused["domain"]) == ("bad.example.ini", "bad.example")
    assert refused["reason"] in ("bad-file", "broken-ini")
    assert backend.get("bad.example").status == 503
    assert backend.get("good.example").status == 200
    ini.write_text(backend.ini("bad.example"))
    eventually(lambda: backend.get("bad.example").status == 200, what="it is mended")


def test_unknown_keys_are_uwsgis_business(backend: Backend) -> None:
    backend.add("a.example", no_such_key="1")
    assert backend.get("a.example").status == 200


def test_inis_not_named_after_hosts_are_refused(
    backend: Backend,
) -> None:
    backend.expect("cannot serve '.*': its name is no host name")
    wrong = ["UPPER.ini", "a b.ini", "x" * 88 + ".ini", "-.ini", "ümlaut.ini"]
    for name in wrong:
        (backend.vassals / name).write_text(backend.ini("x.example"))
    for name in ("notes.txt", ".hidden.ini", "..ini", "a.example.ini.bak"):
        (backend.vassals / name).write_text("not for us")
    backend.add("a.example")
    _, report = backend.call("GET", "/v1/status")
    assert [vassal["name"] for vassal in report["vassals"]] == ["a.example"]
    assert [refused["file"] for refused in report["refused"]] == sorted(wrong)
    assert {refused["reason"] for refused in report["refused"]} == {"bad-name"}
    assert backend.call("GET", "/v1/vassals/UPPER")[1]["code"] == "refused"
    (backend.vassals / "UPPER.ini").unlink()
    eventually(lambda: backend.call("GET", "/v1/vassals/UPPER")[0] == 404)
    (backend.vassals / "UPPER.ini").touch()
    eventually(lambda: backend.call("GET", "/v1/vassals/UPPER")[0] == 409)


def test_a_rescan_forgets_a_refused_ini_that_is_gone(
    backend: Backend,
) -> None:
    backend.expect("its name is no host name|cannot read bad.example.ini")
    (backend.vassals / "UPPER.ini").touch()
    (backend.vassals / "bad.example.ini").mkdir()
    backend.call("POST", "/v1/rescan")
    eventually(lambda: len(backend.call("GET", "/v1/status")[1]["refused"]) == 2)
    backend.process.send_signal(signal.SIGSTOP)
    for number in range(17_000):
        # More than the kernel queues, so that what follows is not problem.
        (backend.vassals / f".{number % 2}").touch()
    (backend.vassals / "UPPER.ini").unlink()
    (backend.vassals / "bad.example.ini").rmdir()
    backend.process.send_signal(signal.SIGCONT)
    eventually(lambda: not backend.call("GET", "/v1/status")[1]["refused"])


def test_of_two_inis_for_one_host_the_first_has_it(
    backend: Backend,
) -> None:
    warning = "b.example.ini is served without its alias www.example, which a.example.ini has"
    backend.expect(warning)
    backend.drop("a.example", backend.ini("a.example") + "[emperor]\naliases = www.example\n")
    backend.until("a.example", "parked")
    backend.drop("b.example", backend.ini("b.example") + "[emperor]\naliases = www.example\n")
    eventually(lambda: backend.lines(warning))
    assert backend.get("www.example").status == 200
    assert backend.state("b.example") == "parked", "the first has answered"
    assert backend.get("b.example").status == 200
    backend.remove("a.example")
    eventually(lambda: backend.get("www.example").status == 200, what="the second has it now")


def test_two_inis_for_one_socket_elsewhere_are_both_named(backend: Backend) -> None:
    elsewhere = backend.folder / "shared.sock"
    backend.expect(f"b.example.ini claims the socket {elsewhere}, which a.example.ini has")
    backend.drop("a.example", f"[uwsgi]\nsocket = {elsewhere}\nfile = {APPS}/plain.py\n")
    backend.until("a.example", "parked")
    backend.drop("b.example", f"[uwsgi]\nsocket = {elsewhere}\nfile = {APPS}/plain.py\n")
    eventually(lambda: backend.lines("b.example.ini claims"))
    assert backend.get("a.example").status == 200, "it is served at its domain's socket too"
    assert elsewhere.is_socket()
    elsewhere.unlink()


def test_an_alias_is_another_name_of_the_app(backend: Backend) -> None:
    backend.drop("a.example", backend.ini("a.example") + "[emperor]\naliases = www.a.example\n")
    backend.until("a.example", "parked")
    assert "www.a.example" in backend.get("www.a.example").text
    assert os.readlink(backend.sockets / "www.a.example") == "a.example"


def test_an_ini_with_conditions_is_read_by_uwsgi_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "")
    backend = start()
    common = backend.folder / "common.ini"
    common.write_text("[uwsgi]\nidle = 4321\n")
    backend.drop(
        "a.example",
        f"[uwsgi]\nif-exists = {common}\ninclude = {common}\nendif =\n"
        f"socket = $(LANG){backend.sockets}/%n/socket\nfile = {APPS}/plain.py\n"
        f"exec-asap = touch {backend.folder}/was-run\n",
    )
    backend.until("a.example", "parked")
    vassal = backend.vassal("a.example")
    assert vassal
    assert vassal["idle_seconds"] == 4321
    assert not (backend.folder / "was-run").exists(), "reading an ini has no effect"
    assert backend.get("a.example").status == 200
    assert (backend.folder / "was-run").exists()


def test_a_place_that_cannot_be_bound_is_told_and_tried_again(
    backend: Backend, folder: Path
) -> None:
    backend.expect("cannot serve a.example.ini: .*a file is in its place; move it away")
    backend.nginx.expect("Not a directory")
    (folder / "sockets" / "a.example").write_text("in the way")
    backend.drop("a.example", backend.ini("a.example"))
    eventually(lambda: backend.lines("a file is in its place"))
    assert backend.get("a.example").status in (500, 502, 503)
    (folder / "sockets" / "a.example").unlink()
    backend.call("POST", "/v1/rescan")
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200


def test_a_socket_that_was_taken_away_is_bound_again(backend: Backend) -> None:
    backend.expect("a.example/socket was taken away")
    backend.add("a.example")
    text = backend.get("a.example").text
    (backend.sockets / "a.example" / "socket").unlink()
    backend.call("POST", "/v1/rescan")
    eventually(lambda: backend.get("a.example").text not in ("", text))


def test_the_five_lines_of_the_readme_deploy_an_app(backend: Backend, folder: Path) -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    app = shutil.copy(APPS / "plain.py", folder / "application.py")
    here = {
        "/srv/www.example.com/application.py": str(app),
        "/etc/uwsgi/vassals/": f"{backend.vassals}/",
        "shop:": "nobody:",
        "127.0.0.1/": f"127.0.0.1:{backend.nginx.port}/",
    }
    ini, shell = re.findall(r"(?ms)^```(?:ini|sh)\n(.*?)^```", page)[:2]
    for there, path in here.items():
        assert there in ini + shell
        ini, shell = ini.replace(there, path), shell.replace(there, path)
    *moves, ask = shell.splitlines()
    assert len(ini.splitlines()) + len(moves) + 1 == 5
    (folder / "www.example.com.ini").write_text(ini)
    subprocess.run(["sh", "-ec", "\n".join(moves)], cwd=folder, check=True)
    backend.until("www.example.com", "parked")
    answer = subprocess.run(["sh", "-ec", ask], cwd=folder, check=True, capture_output=True)
    pid, host, *_ = answer.stdout.decode().split()
    assert host == "www.example.com"
    assert psutil.Process(int(pid)).username() == "nobody"


def test_the_holder_of_a_socket_keeps_it_over_a_restart(backend: Backend) -> None:
    backend.expect("cannot serve a.example.ini: a.example.ini claims the socket")
    [port] = free_ports(1)
    backend.add("b.example", http_socket=f"127.0.0.1:{port}")
    backend.drop("a.example", backend.ini("a.example", http_socket=f"127.0.0.1:{port}"))
    eventually(lambda: backend.call("GET", "/v1/status")[1]["refused"], what="it is refused")
    for _ in range(2):
        assert backend.stop() == 0
        backend.start()
        assert backend.state("b.example") == "parked"
        assert backend.state("a.example") is None
    backend.remove("b.example")
    backend.until("a.example", "parked")
    assert backend.stop() == 0
    backend.start()
    backend.until("a.example", "parked")
