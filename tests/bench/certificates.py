"""Certificates for handshakes that no client verifies."""

import subprocess
from pathlib import Path


def self_signed(folder: Path) -> Path:
    """A file in `folder` with a certificate and its key, P-256 as from Let's Encrypt's client. For
    OpenSSL it is the cheapest kind, so the share of Lua is the largest."""
    path = folder / "certificate.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    command = ("openssl", "req", "-x509", *kind, "-days", "2", "-subj", "/CN=bench")
    subprocess.run((*command, "-keyout", path, "-out", path), check=True, capture_output=True)
    # nginx's workers read it.
    path.chmod(0o644)
    return path
