"""`emperorctl registry import` and `export`, on a real etcd."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

from tests.cli.conftest import Ctl
from tests.cli.program import ENVIRONMENT, command
from tests.cli.registry_words import OTHER, OWNER, SHOP, WWW, details, ini, put
from tests.etcd_cluster import EtcdCluster
from tests.eventually import eventually


def test_a_folder_goes_into_the_registry_and_back(
    registry: Ctl, folder: Path, tmp_path: Path
) -> None:
    source = folder / "vassals"
    source.mkdir()
    contents = {}
    for number in range(300):
        owner = (OWNER, OTHER)[number % 2]
        path = source / f"site{number}.example.ini"
        contents[path.name] = (owner, f"[uwsgi]\n; ä\nfile = {number}.py\r\n".encode())
        path.write_bytes(contents[path.name][1])
        user = pwd.getpwnam(owner)
        os.chown(path, user.pw_uid, user.pw_gid)
    (source / "roots.example.ini").write_text("[uwsgi]\n")
    (source / "No_host.example-.ini").write_text("[uwsgi]\n")
    (source / "notes.txt").write_text("")
    result = registry("import", str(source))
    assert result.status == 1
    counts = "300 put, 0 were there already, 2 refused; 302 of 302 inis\n"
    assert result.out == counts, result.err
    assert "cannot put roots.example: its owner would be root" in result.err
    assert "cannot put No_host.example-: it is no host name" in result.err
    assert "0 put, 300 were there already, 2 refused" in registry("import", str(source)).out
    assert len(registry("list", "--owner", OTHER).out.splitlines()) == 1 + 150
    target = tmp_path / "exported"
    exported = registry("export", str(target))
    assert exported.out == "300 written, 0 were there already, 0 refused\n"
    assert {path.name: (path.owner(), path.read_bytes()) for path in target.iterdir()} == contents
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    assert registry("export", str(target)).out.startswith("0 written, 300 were there")


def test_an_import_changes_and_revives_nothing_by_itself(registry: Ctl, folder: Path) -> None:
    put(registry, ini(folder, "idle = 30"))
    put(registry, ini(folder), SHOP)
    registry("rm", SHOP)
    source = folder / "vassals"
    source.mkdir()
    for domain in (WWW, SHOP):
        (source / f"{domain}.ini").write_text("[uwsgi]\n")
    refused = registry("import", str(source), "--owner", OWNER)
    assert "the registry has another version, of daemon (serial 1); --replace" in refused.err
    assert "it was taken out of the registry (serial 2); --replace puts it back" in refused.err
    replaced = registry("import", str(source), "--owner", OWNER, "--replace")
    assert (replaced.status, replaced.out[:5]) == (0, "2 put")
    assert (details(registry)["serial"], details(registry, SHOP)["serial"]) == (2, 3)
    target = folder / "exported"
    target.mkdir()
    (target / f"{WWW}.ini").write_text("mine")
    kept = registry("export", str(target))
    assert f"cannot export {WWW}: {WWW}.ini is there, and differs" in kept.err
    assert (target / f"{WWW}.ini").read_text() == "mine"
    assert registry("export", str(target), "--replace").status == 0
    assert (target / f"{WWW}.ini").read_text() == "[uwsgi]\n"


def test_a_link_in_the_folder_of_an_export_leads_nowhere(registry: Ctl, folder: Path) -> None:
    put(registry, ini(folder))
    target, secret = folder / "exported", folder / "secret"
    target.mkdir()
    secret.write_text("mine")
    for name in (f"{WWW}.ini", ".emperorctl-export"):
        (target / name).symlink_to(secret)
    assert registry("export", str(target), "--replace").status == 0
    assert secret.read_text() == "mine"
    assert not (target / f"{WWW}.ini").is_symlink()


def test_an_import_that_is_interrupted_goes_on_later(
    cluster: EtcdCluster, access_file: Path, registry: Ctl, folder: Path, tmp_path: Path
) -> None:
    source = folder / "vassals"
    source.mkdir()
    for number in range(1_000):
        (source / f"site{number}.example.ini").write_text("[uwsgi]\n")
    words = ("registry", "--registry", str(access_file), "import", str(source), "--owner", OWNER)
    process = subprocess.Popen(
        command(tmp_path, *words), env=ENVIRONMENT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def has_begun() -> bool:
        keys = cluster.etcdctl("get", "--prefix", "/emperord/", "--keys-only")
        return keys.count("/vassals/") > 100  # more than are put at once

    eventually(has_begun, what="the first entries")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    put_before = int(out.split()[0])
    assert 0 < put_before < 1_000
    result = registry("import", str(source), "--owner", OWNER)
    assert result.status == 0
    assert result.out.endswith("0 refused; 1000 of 1000 inis\n")
    assert int(result.out.split()[0]) <= 1_000 - put_before
