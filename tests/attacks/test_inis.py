"""A tenant must not bring an ini into service that is not its own, nor change a neighbour's."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.attacks.peers import as_tenant, emperorctl
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.backend import Daemon
from tests.eventually import eventually


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o664])
@pytest.mark.parametrize("owner", ["root", ALICE])
def test_an_ini_that_mallory_can_write_is_refused(tenants: Tenants, owner: str, mode: int) -> None:
    tenants.expect("others than its owner may write to it")
    draft = tenants.folder / "open.draft"
    draft.write_text(tenants.ini("open.example"))
    # The group of the file is mallory's.
    os.chown(draft, UIDS[owner], 60)
    draft.chmod(mode)
    draft.rename(tenants.vassals / "open.example.ini")
    error = eventually(lambda: tenants.refusals().get("open.example"))
    assert error and error.startswith(
        "cannot read open.example.ini: others than its owner may write to it; chmod go-w it"
    )
    tenants.remove("open.example")
    tenants.until("open.example", None)
    eventually(lambda: "open.example" not in tenants.refusals())


@pytest.mark.parametrize("fault", ["broken", "a conflict"])
def test_mallory_keeps_no_site_by_a_refused_ini(tenants: Tenants, fault: str) -> None:
    tenants.expect("cannot serve given.example.ini")
    claim = f"@{tenants.folder.name}"
    tenants.host(MALLORY, "claim.example", http_socket=claim)
    tenants.host(MALLORY, "given.example")
    assert tenants.get("given.example").status == 200
    options = {"emperor": "idle = soon"} if fault == "broken" else {"http_socket": claim}
    tenants.drop_of(ALICE, "given.example", **options)
    assert "cannot serve" in str(eventually(lambda: tenants.refusals().get("given.example")))
    assert tenants.get("given.example").status == 503
    tenants.until("given.example", None)
    tenants.host(ALICE, "given.example")
    for domain in ("claim.example", "given.example"):
        tenants.remove(domain)
        tenants.until(domain, None)


def test_mallory_changes_no_ini_in_an_open_folder(tenants: Tenants) -> None:
    tenants.expect("others than root can change")
    tenants.add("root.example")
    tenants.vassals.chmod(0o777)
    eventually(lambda: tenants.lines("until then, changes there are not read"))
    script = f'cd {tenants.vassals}; echo "[uwsgi]" >new.ini; mv new.ini root.example.ini'
    subprocess.run(as_tenant(MALLORY, "sh", "-c", script), check=True)
    assert tenants.call("POST", "/v1/rescan")[0] == 200
    assert tenants.get("root.example").status == 200

    tenants.expect("the previous version stays in service")
    tenants.vassals.chmod(0o755)
    eventually(lambda: tenants.lines("root.example.*the previous version stays in service"))
    tenants.remove("root.example")
    tenants.until("root.example", None)


@pytest.mark.parametrize("what", ["vassals", "its parent", "its owner"])
def test_the_daemon_does_not_start_with_an_open_folder(folder: Path, what: str) -> None:
    place = folder / f"open-{what[-3:]}"
    place.mkdir()
    daemon = Daemon(place)
    if what == "its owner":
        opened = daemon.vassals
        os.chown(opened, UIDS[MALLORY], -1)
    else:
        opened = daemon.vassals if what == "vassals" else place
        opened.chmod(0o777)
    done = subprocess.run(daemon.command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        f"cannot serve the inis of {daemon.vassals}: others than root can change {opened};"
        f" chown root:root {opened}, chmod go-w {opened}"
    ) in done.stderr


def test_tenants_do_without_a_list_of_the_folder(tenants: Tenants) -> None:
    tenants.host(MALLORY, "mallory.example")
    tenants.host(ALICE, "alice.example")
    (tenants.vassals / "mallory.example.ini").chmod(0o600)
    (tenants.vassals / "alice.example.ini").chmod(0o600)
    tenants.vassals.chmod(0o711)
    assert tenants.get("alice.example").status == 200
    listing, theirs = (
        subprocess.run(as_tenant(MALLORY, *command), capture_output=True, check=False).returncode
        for command in (
            ("ls", str(tenants.vassals)),
            ("cat", str(tenants.vassals / "alice.example.ini")),
        )
    )
    assert listing and theirs
    own = tenants.vassals / "mallory.example.ini"
    settings = tenants.folder / "emperord.ini"
    settings.write_text(
        f"[emperord]\nvassals-dir = {tenants.vassals}\nsockets-dir = {tenants.sockets}\n"
        "min-uid = 1\n"
    )
    status, check = emperorctl(
        MALLORY, tenants.run_dir, "status", f"check --config={settings} {own}"
    )
    assert (status.status, check.status) == (0, 0), (status, check)
    assert "mallory.example" in status.out
    assert f"would be served at {tenants.sockets}/mallory.example/socket" in check.out
    tenants.vassals.chmod(0o755)
