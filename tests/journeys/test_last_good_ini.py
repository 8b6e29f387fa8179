"""An ini that cannot serve replaces nothing: the version before serves on, and boots again."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually

DOMAIN = "a.example"
NO_APP = "cannot serve a.example.ini: .*the previous version stays in service"

Write = Callable[[Backend, str], None]


def in_place(backend: Backend, text: str) -> None:
    (backend.vassals / f"{DOMAIN}.ini").write_text(text)


def by_rename(backend: Backend, text: str) -> None:
    backend.drop(DOMAIN, text)


def _lose_app(backend: Backend, write: Write, text: str) -> None:
    write(backend, text)
    eventually(lambda: backend.detail(DOMAIN)["ini_error"], what="the ini is refused")


@pytest.mark.parametrize("write", [in_place, by_rename])
@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (f"[uwsgi]\nidle = 9\n;file = {APPS}/plain.py\n", "line 3: .*is a comment; drop the ;"),
        (f"[uwsgi]\nmodul = {APPS}/plain.py\n", "line 2: .*'modul' is no option of uWSGI; write"),
        ("[uwsgi]\nmaster = true\n", "names no app.*it ends at line 2; .*cut short"),
        ("[uwsgi]\nidle = 5\nprocesses = 0\nfile = app.py\n", "line 3: processes = 0 counts as 0"),
        ("[uwsgi]\nplugins = php\nphp-docroot = /srv\n", "line 3: .*plugin php, which this uWSGI"),
        ("[uwsgi]\ncgi = /srv\nif-env = PATH\nendif =\n", "line 2: .*plugin cgi, which is not lo"),
        ("", "the file is empty"),
    ],
)
def test_an_ini_that_lost_its_app_replaces_nothing(
    backend: Backend, write: Write, lost: str, told: str
) -> None:
    backend.expect(NO_APP)
    backend.add(DOMAIN)
    assert backend.get(DOMAIN).status == 200
    _lose_app(backend, write, lost)
    assert backend.get(DOMAIN).status == 200
    status = backend.vassal(DOMAIN)
    assert status
    assert backend.lines(told), status["last_error"]
    assert status["last_error"].startswith("cannot serve a.example.ini: ")
    assert status["last_error"] == backend.detail(DOMAIN)["ini_error"]


def test_why_an_app_is_down_counts_more_than_a_refused_ini(backend: Backend) -> None:
    backend.expect(f"{NO_APP}|nonsuch")
    app = backend.folder / "app.py"
    app.write_text("import nonsuch\n")
    backend.add(DOMAIN, file=str(app))
    _lose_app(backend, in_place, "[uwsgi]\nmaster = true\n")
    assert backend.get(DOMAIN).status == 503
    detail = backend.detail(DOMAIN)
    assert "No module named 'nonsuch'" in detail["status"]["last_error"]
    assert "names no app" in detail["ini_error"]


def test_the_last_good_version_boots_after_naps_and_crashes(backend: Backend) -> None:
    backend.expect(f"{NO_APP}|killed by SIGKILL")
    (backend.vassals / "common.inc").write_text("[uwsgi]\nenv = INCLUDED=%N at %d, 100%%\n")
    good = backend.ini(DOMAIN, "environ.py", ini="common.inc", env="MINE=%n at %d, 100%%")
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    before = backend.get(DOMAIN).body
    assert b"MINE" in before and b"INCLUDED" in before
    _lose_app(backend, in_place, good.replace("file = ", "fiel = "))
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200
    assert backend.get(DOMAIN).body == before
    os.kill(backend.leader(DOMAIN), signal.SIGKILL)
    eventually(lambda: backend.state(DOMAIN) in ("parked", "throttled"))
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/start")[0] == 200
    assert backend.get(DOMAIN).body == before
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/restart")[0] == 200
    assert backend.get(DOMAIN).body == before
    assert backend.detail(DOMAIN)["ini_error"]
    by_rename(backend, good.replace("MINE=", "MINE=NEW "))
    eventually(lambda: b"NEW" in backend.get(DOMAIN).body, what="the mended ini is in service")
    assert not backend.detail(DOMAIN)["ini_error"]
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200
    assert not (backend.run_dir / "inis").exists()


def test_a_hit_while_the_ini_is_being_written_finds_the_app(backend: Backend) -> None:
    backend.add(DOMAIN)
    with (backend.vassals / f"{DOMAIN}.ini").open("w") as ini:
        assert backend.get(DOMAIN).status == 200
        ini.write(backend.ini(DOMAIN))
    eventually(lambda: backend.lines("its ini changed"))
    backend.until(DOMAIN, "running")
    assert backend.get(DOMAIN).status == 200


def without_app(good: str) -> str:
    return good.replace("file = ", ";file = ")


def without_folder(good: str) -> str:
    return f"{good}chdir = /srv/not-there\n"


def restart(backend: Backend) -> None:
    assert backend.stop() == 0
    backend.start()


@pytest.mark.parametrize("breaks", [without_app, without_folder])
def test_the_last_good_version_outlives_a_stop(
    backend: Backend, breaks: Callable[[str], str]
) -> None:
    backend.expect(f"{NO_APP}|did not start: |the old one serves on")
    good = backend.ini(DOMAIN, "environ.py", env="MINE=1")
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    assert "MINE=1" in backend.get(DOMAIN).text
    restart(backend)
    assert backend.stop() == 0
    # Nobody has asked for the app since the first stop.
    by_rename(backend, breaks(good).replace("MINE=1", "MINE=2"))
    for _ in range(2):
        backend.start()
        assert "MINE=1" in backend.get(DOMAIN).text, "broken while the daemon was down"
        assert eventually(lambda: (backend.vassal(DOMAIN) or {})["last_error"])
        assert backend.stop() == 0
    backend.start()
    by_rename(backend, good.replace("MINE=1", "MINE=3"))
    eventually(lambda: "MINE=3" in backend.get(DOMAIN).text, what="the mended ini is in effect")


def test_a_version_of_another_owner_does_not_come_back(backend: Backend) -> None:
    backend.expect("cannot serve a.example.ini: ")
    backend.add(DOMAIN)
    assert backend.get(DOMAIN).status == 200
    assert backend.stop() == 0
    by_rename(backend, "[uwsgi\n")
    os.chown(backend.vassals / f"{DOMAIN}.ini", 33, 33)
    backend.start()
    assert backend.get(DOMAIN).status == 503
