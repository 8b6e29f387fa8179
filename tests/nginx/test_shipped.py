"""The files as they are shipped."""

import subprocess
from pathlib import Path

import pytest

from docs.examples import backend
from docs.examples.backend import SHIPPED, render


def test_nginx_accepts_the_production_configuration() -> None:
    """In namespaces of its own: nginx -t makes a pid file, logs and folders, and binds ports."""
    script = "mount -t tmpfs none /run && mount -t tmpfs none /var/log && mkdir /var/log/nginx"
    script += ' && mount -t tmpfs none /var/lib/nginx && exec nginx -t -e stderr -c "$0"'
    command = ["unshare", "--mount", "--net", "sh", "-c", script, f"{SHIPPED}/backend.conf"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warn" not in result.stderr


def test_rendered_files_lead_to_their_own_folder_alone(tmp_path: Path) -> None:
    conf = render(tmp_path, 8080, 8443)
    text = "".join(file.read_text() for file in conf.parent.rglob("*.conf"))
    assert f"unix:{tmp_path}/sockets/$domain/socket" in text
    for path in ("/var/lib/", "/var/log/", "/var/sockets", "/run/"):
        assert path not in text.replace(str(tmp_path / "run"), "")


def test_a_path_that_is_no_longer_there_cannot_be_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    (shipped / "emperord").mkdir(parents=True)
    (shipped / "backend.conf").write_text("listen 80;")
    monkeypatch.setattr(backend, "SHIPPED", shipped)
    with pytest.raises(LookupError, match="listen 443"):
        render(tmp_path, 8080, 8443)
