"""`emperorctl registry` on a real etcd, with TLS and authentication."""

import json
import os
import pwd
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl
from tests.cli.registry_words import KEYS, OTHER, OWNER, SHOP, WWW, details, ini, put
from tests.etcd_cluster import EtcdCluster


def test_an_ini_is_put_shown_changed_and_taken_out(registry: Ctl, folder: Path) -> None:
    first = put(registry, ini(folder))
    assert (first.status, first.out) == (0, f"{WWW}: serial 1, owner {OWNER}\n"), first.err
    assert put(registry, ini(folder)).out == f"{WWW}: the registry has it so already\n"
    changed = ini(folder, "idle = 30")
    assert put(registry, changed).out == f"{WWW}: serial 2, owner {OWNER}\n"
    assert registry("get", WWW).out == changed.read_text()
    long = registry("get", "--long", WWW).out
    assert "owner      daemon\nserial     2\nsigned by  nobody\n" in long
    rows = registry("list").out.splitlines()
    assert [row.split() for row in rows] == [["DOMAIN", "OWNER", "SERIAL"], [WWW, OWNER, "2"]]
    assert registry("rm", WWW).out == f"{WWW}: taken out (serial 3)\n"
    gone = registry("get", WWW)
    assert (gone.status, gone.out) == (3, "")
    assert gone.err == f"emperorctl: {WWW} was taken out of the registry (serial 3)\n"
    assert registry("rm", WWW).out == f"{WWW}: was taken out before (serial 3)\n"
    assert put(registry, changed).out == f"{WWW}: serial 4, owner {OWNER}\n"


def test_a_domain_that_is_not_there_is_no_vassal(registry: Ctl) -> None:
    for arguments in (("get", WWW), ("rm", WWW)):
        result = registry(*arguments)
        assert result.status == 3
        assert result.err.startswith(f"emperorctl: the registry has no {WWW}")


def test_what_was_not_sent_is_not_told_to_be_written(
    registry: Ctl, access_file: Path, folder: Path
) -> None:
    text = access_file.read_text()
    access_file.write_text(re.sub("(?m)^endpoints.*", "endpoints = https://127.0.0.1:1", text))
    refused = put(registry, ini(folder))
    assert "127.0.0.1:1: Connection refused\n" in refused.err
    assert registry("list").out == "", "a header alone would look like an empty registry"
    access_file.write_text(text)
    assert registry("list").out == "DOMAIN" + " " * 35 + "OWNER" + " " * 13 + "SERIAL\n"


def test_what_a_restored_registry_lacks_can_be_taken_out(registry: Ctl) -> None:
    assert "give a --serial above the one that `emperorctl why` tells" in registry("rm", WWW).err
    assert registry("rm", WWW, "--serial", "7").out == f"{WWW}: taken out (serial 7)\n"
    assert registry("rm", WWW, "--serial", "7").out == f"{WWW}: was taken out before (serial 7)\n"
    assert registry("rm", WWW, "--serial", "9").out == f"{WWW}: taken out (serial 9)\n"


def test_who_writes_a_wildcard_with_a_star_is_told_its_name(registry: Ctl) -> None:
    refused = registry("get", "*.example.com")
    assert refused.status == 2
    assert "is named _.example.com" in " ".join(refused.err.split())


def test_the_owner_of_the_file_is_that_of_the_app(registry: Ctl, folder: Path) -> None:
    path = ini(folder)
    refused = registry("put", WWW, str(path))
    assert refused.status == 1
    assert "its owner would be root, whom no backend takes; give --owner USER" in refused.err
    user = pwd.getpwnam(OTHER)
    os.chown(path, user.pw_uid, user.pw_gid)
    assert registry("put", WWW, str(path)).out == f"{WWW}: serial 1, owner {OTHER}\n"
    for name in ("0", "root", "12345"):
        assert registry("put", WWW, str(path), "--owner", name).status == 1
    nobody = registry("put", WWW, str(path), "--owner", "nobody-here")
    assert "this machine has no user nobody-here" in nobody.err
    assert "--force puts it unchecked" in nobody.err
    forced = registry("put", WWW, str(path), "--owner", "nobody-here", "--force")
    assert (forced.status, forced.out) == (0, f"{WWW}: serial 2, owner nobody-here\n")


def test_a_broken_ini_is_put_by_force_alone(registry: Ctl, folder: Path) -> None:
    path = ini(folder, "processes = 0")
    refused = put(registry, path)
    assert refused.status == 1
    assert f"{path}:3: error: " in refused.err
    assert "has an error, so that no backend would serve it; mend it, or" in refused.err
    assert registry("get", WWW).status == 3
    assert put(registry, path, WWW, "--force").status == 0


def test_aliases_come_and_go_with_the_ini_that_names_them(registry: Ctl, folder: Path) -> None:
    assert put(registry, ini(folder, "[emperor]", f"aliases = {SHOP} b.example")).status == 0
    assert details(registry)["aliases"] == [SHOP, "b.example"]
    through = registry("get", SHOP)
    assert (through.status, through.err) == (0, f"emperorctl: {SHOP} is an alias of {WWW}\n")
    clash = put(registry, ini(folder), SHOP)
    assert clash.status == 1
    assert f"{SHOP} is an alias of {WWW}; take it out of the aliases of {WWW} first" in clash.err
    assert f"an alias of {WWW}; put the ini of {WWW} without it" in registry("rm", SHOP).err
    assert put(registry, ini(folder, "[emperor]", "aliases = b.example")).status == 0
    rows = [json.loads(line) for line in registry("list", "--all", "--json").out.splitlines()]
    kinds = {row["domain"]: (row["kind"], row["serial"], row["alias_of"]) for row in rows}
    assert kinds == {
        WWW: ("ini", 2, None),
        SHOP: ("removed", 2, None),
        "b.example": ("alias", 1, WWW),
    }
    assert put(registry, ini(folder), SHOP).status == 0
    taken = put(registry, ini(folder, "[emperor]", f"aliases = {SHOP}"))
    assert f"its alias {SHOP} has an ini of its own in the registry" in taken.err
    assert registry("rm", WWW).out == f"{WWW}: taken out (serial 3), with b.example\n"
    assert registry("verify").out.endswith("1 inis, 0 aliases, 0 problems\n")


def test_two_administrators_do_not_overwrite_each_other(registry: Ctl, folder: Path) -> None:
    put(registry, ini(folder))
    assert put(registry, ini(folder, "idle = 30"), WWW, "--expect", "1").status == 0
    late = put(registry, ini(folder, "idle = 60"), WWW, "--expect", "1")
    assert late.status == 1
    assert f"cannot put {WWW}: the registry has serial 2 for it, and not serial 1" in late.err
    assert "begin again from there" in late.err
    assert (
        "has serial 2 for it, and not serial 0"
        in put(registry, ini(folder, "idle = 60"), WWW, "--expect", "0").err
    )


def test_an_editor_changes_an_ini(
    registry: Ctl, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(registry, ini(folder))
    monkeypatch.setenv("EDITOR", "true")
    assert registry("edit", WWW).out == f"{WWW}: not changed\n"
    monkeypatch.setenv("EDITOR", "sed -i s/app.py/app.py#/")
    refused = registry("edit", WWW)
    assert refused.status == 1
    draft = Path(refused.err.partition("your draft is ")[2].splitlines()[0])
    assert "app.py#" in draft.read_text()
    draft.unlink()
    monkeypatch.setenv("EDITOR", "sed -i '$a idle = 30'")
    assert registry("edit", WWW).out == f"{WWW}: serial 2, owner {OWNER}\n"
    assert registry("get", WWW).out.endswith("idle = 30\n")


def test_signers_decide_what_may_be_put(
    registry: Ctl, folder: Path, access_file: Path, tmp_path: Path
) -> None:
    put(registry, ini(folder), "unsigned.example")
    made = registry("keygen", "ops", str(tmp_path / "ops.key"))
    assert made.status == 0
    again = registry("keygen", "ops", str(tmp_path / "ops.key"))
    assert (again.status, again.out) == (1, "")
    assert "it is there, and may be a key in use; name another file" in again.err
    (tmp_path / "signers").write_text(f"{made.out.strip()} domains=*.example.com\n")
    with access_file.open("a") as file:
        file.write(f"signers-file = {tmp_path}/signers\n")
    unsigned = put(registry, ini(folder))
    assert f"cannot put {WWW}: nobody has signed it; put it again with the signer-key" in (
        unsigned.err
    )
    with access_file.open("a") as file:
        file.write(f"signer-key-file = {tmp_path}/ops.key\n")
    assert put(registry, ini(folder)).out == f"{WWW}: serial 1, owner {OWNER}, signed by ops\n"
    assert details(registry)["signer"] == "ops"
    assert details(registry)["problem"] is None
    foreign = put(registry, ini(folder), "www.other.example")
    assert "ops may sign for *.example.com, and not for www.other.example" in foreign.err
    assert registry("get", "www.other.example").status == 3
    found = registry("verify")
    assert found.status == 1
    assert "unsigned.example: nobody has signed it" in found.out
    (tmp_path / "ops.key").chmod(0o644)
    assert "others can read it (mode 0644)" in put(registry, ini(folder)).err


def test_a_new_key_signs_all_that_the_one_before_has_signed(
    registry: Ctl, folder: Path, access_file: Path, tmp_path: Path
) -> None:
    text, lines = access_file.read_text(), []
    for name in ("first", "second"):
        lines.append(registry("keygen", name, str(tmp_path / name)).out)
        access_file.write_text(f"{text}signer-key-file = {tmp_path}/{name}\n")
        if name == "first":
            put(registry, ini(folder, "[emperor]", f"aliases = {SHOP}"))
            put(registry, ini(folder), "gone.example")
            assert registry("rm", "gone.example").out == "gone.example: taken out (serial 2)\n"
    (tmp_path / "signers").write_text(lines[1])
    with access_file.open("a") as file:
        file.write(f"signers-file = {tmp_path}/signers\n")
    assert registry("export", str(tmp_path / "copy")).status == 0
    assert registry("import", "--replace", str(tmp_path / "copy")).status == 0
    told = registry("verify").out
    assert "gone.example: it is signed by 'first'" in told
    assert "`emperorctl registry rm gone.example` signs its removal anew" in told
    assert WWW not in told
    assert registry("rm", "gone.example").out == "gone.example: taken out (serial 3)\n"
    assert registry("rm", "gone.example").out == "gone.example: was taken out before (serial 3)\n"
    assert registry("verify").status == 0


def test_verify_finds_what_no_backend_would_take(
    registry: Ctl, folder: Path, cluster: EtcdCluster
) -> None:
    put(registry, ini(folder, "[emperor]", f"aliases = {SHOP}"))
    value = json.dumps({"serial": 1, "owner": "nobody-here", "ini": ""})
    cluster.etcdctl("put", KEYS.vassal("a.example"), value)
    cluster.etcdctl("put", KEYS.vassal("b.example").replace(KEYS.vassal("b.example")[:21],
        KEYS.vassal("a.example")[:21]), value.replace("nobody-here", OWNER))  # fmt: skip
    cluster.etcdctl("put", KEYS.vassal("c.example"), "{}")
    cluster.etcdctl("put", KEYS.vassal("d.example"), value.replace("nobody-here", "root"))
    alias = json.dumps({"serial": 1, "kind": "alias", "alias_of": WWW})
    cluster.etcdctl("put", KEYS.vassal("e.example"), alias)
    cluster.etcdctl("del", KEYS.vassal(SHOP))
    result = registry("verify")
    told = dict(line.split(": ", 1) for line in result.out.splitlines()[:-1])
    assert result.status == 1
    assert "its owner nobody-here is no user of this machine" in told["a.example"]
    assert "where no backend looks" in told["b.example"]
    assert told["c.example"].endswith("; put it again")
    assert "not an entry of this version" in told["c.example"]
    assert "its owner is root" in told["d.example"]
    assert f"it is an alias of {WWW}, whose ini does not name it" in told["e.example"]
    assert told[WWW] == f"its alias {SHOP} has no entry; put it again"
    broken = put(registry, ini(folder), "c.example")
    assert "--serial N`, with an N above the serial that any backend has" in broken.err
    assert put(registry, ini(folder), "c.example", "--serial", "7").status == 0
    assert details(registry, "c.example")["serial"] == 7


def test_a_serial_that_none_can_follow_is_refused(
    registry: Ctl, folder: Path, cluster: EtcdCluster
) -> None:
    refused = put(registry, ini(folder), WWW, "--serial", str(10**12))
    assert refused.status == 1
    assert f"cannot put {WWW}: its serial is {10**12}, and " in refused.err
    assert "Traceback" not in put(registry, ini(folder), WWW, "--serial", "9" * 5000).err
    value = json.dumps({"serial": 10**12, "owner": OWNER, "ini": "[uwsgi]\n"})
    cluster.etcdctl("put", KEYS.vassal(WWW), value)
    assert "is the highest today" in registry("verify").out
    assert "is the highest today" in put(registry, ini(folder), WWW).err
    assert put(registry, ini(folder), WWW, "--serial", "7").status == 0
    assert details(registry)["serial"] == 7


def test_a_key_where_no_backend_looks_is_no_ini(
    registry: Ctl, folder: Path, cluster: EtcdCluster
) -> None:
    put(registry, ini(folder))
    wrong = f"/emperord/vassals/fff/{SHOP}"
    value = json.dumps({"serial": 1, "owner": OWNER, "ini": "[uwsgi]\n"})
    for key in (wrong, f"/emperord/vassals/fff/{WWW}", f"/emperord/vassals/{WWW}"):
        cluster.etcdctl("put", key, value)
    why = f"its key is {wrong}, where no backend looks; it would be {KEYS.vassal(SHOP)}: delete it"
    rows = [json.loads(line) for line in registry("list", "--json").out.splitlines()]
    kinds = sorted((row["domain"], row["kind"]) for row in rows)
    assert kinds == [(SHOP, "broken"), (WWW, "broken"), (WWW, "broken"), (WWW, "ini")]
    assert why in [row["problem"] for row in rows]
    assert why in registry("list").out
    exported = registry("export", str(folder / "exported"))
    assert exported.out == "1 written, 0 were there already, 3 refused\n"
    assert f"cannot export {SHOP}: the entry cannot be used: {why}" in exported.err
    assert [path.name for path in (folder / "exported").iterdir()] == [f"{WWW}.ini"]
    assert f"{SHOP}: {why}" in registry("verify").out


def test_a_registry_that_is_down_is_status_4(ctl: Ctl, folder: Path, tmp_path: Path) -> None:
    forced = ("put", WWW, str(ini(folder)), "--owner", OWNER, "--force")
    file = tmp_path / "registry.ini"
    file.write_text("[registry]\nendpoints = http://127.0.0.1:1\n")
    for arguments in (("get", WWW), ("list",), forced):
        result = ctl("registry", "--registry", str(file), *arguments)
        assert result.status == 4, result.err
        assert "127.0.0.1:1" in result.err
    missing = ctl("registry", "--registry", str(tmp_path / "none.ini"), "list")
    assert (missing.status, missing.err) == (
        1, f"emperorctl: cannot read {tmp_path}/none.ini: No such file or directory\n"
    )  # fmt: skip


def test_wrong_words_are_wrong_usage(registry: Ctl) -> None:
    for arguments in (("put", "bad_host-", "x"), ("gett", WWW), ("rm",), ("keygen", "a/b", "x")):
        assert registry(*arguments).status == 2
    assert "did you mean list?" in registry("ls").err


def test_the_key_of_a_domain_is_known_before_it_is_there(registry: Ctl) -> None:
    assert registry("key", WWW, SHOP).out == f"{KEYS.vassal(WWW)}\n{KEYS.vassal(SHOP)}\n"
