"""The file that says how to reach the registry: what it may say, and what is said of mistakes."""

from pathlib import Path

import pytest

from emperor.model.registry_access import RegistryAccess, read_access
from emperor.model.section import SettingsError

WHOLE = """
[registry]
endpoints = https://10.0.0.1:2379 https://[fd00::2]:2379/  https://10.0.0.1:2379
prefix = /fleets/blue
ca-file = /etc/uwsgi/etcd-ca.pem
cert-file = /etc/uwsgi/etcd.pem
key-file = /etc/uwsgi/etcd.key
user = emperord
password-file = /etc/uwsgi/etcd.password
signers-file = /etc/uwsgi/signers
signer-key-file = /root/signer.key
"""


def test_a_whole_file() -> None:
    etc = Path("/etc/uwsgi")
    assert read_access(WHOLE, "registry.ini") == RegistryAccess(
        endpoints=("https://10.0.0.1:2379", "https://[fd00::2]:2379"),
        prefix="/fleets/blue",
        ca_file=etc / "etcd-ca.pem",
        cert_file=etc / "etcd.pem",
        key_file=etc / "etcd.key",
        user="emperord",
        password_file=etc / "etcd.password",
        signers_file=etc / "signers",
        signer_key_file=Path("/root/signer.key"),
    )


def test_the_endpoints_are_enough() -> None:
    text = "[registry]\nendpoints = http://127.0.0.1:2379"
    assert read_access(text, "") == RegistryAccess(("http://127.0.0.1:2379",))


def test_a_section_of_another_name_is_no_empty_one() -> None:
    with pytest.raises(SettingsError, match=r"registry.ini: it has no section \[registry\]"):
        read_access("[registri]\nendpoints = https://a:1", "registry.ini")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name a member of etcd"),
        ("endpoints = 10.0.0.1", "must be like https://10.0.0.1:2379"),
        ("endpoints = https://10.0.0.1", "must be like https://10.0.0.1:2379"),
        ("endpoints = https://10.0.0.1:2379/v3", "must be like https://10.0.0.1:2379"),
        ("endpoints = https://u:p@10.0.0.1:2379", "must be like https://10.0.0.1:2379"),
        ("endpoints = https://10.0.0.1:99999", "Port out of range"),
        ("endpoints = http://10.0.0.1:2379", "use https"),
        ("endpoints = https://a:1\nprefix = /", "without a slash at its end"),
        ("endpoints = https://a:1\nprefix = /a/", "without a slash at its end"),
        ("endpoints = https://a:1\nprefix = a", "must be like /emperord"),
        ("endpoints = https://a:1\nca-file = ca.pem", "absolute path"),
        ("endpoints = https://a:1\nuser = me", "set password-file too"),
        ("endpoints = https://a:1\nkey-file = /k", "set cert-file too"),
        ("endpoints = https://a:1\npasword-file = /k", "did you mean password-file"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read_access(f"[registry]\n{text}", "registry.ini")
    assert "registry.ini" in str(caught.value)
