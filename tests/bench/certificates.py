"""Certificates for handshakes that no client verifies."""

import subprocess
from pathlib import Path


def self_signed(folder: Path) -> Path:
    """A certificate and its key in one file of `folder`, of the kind that Let's Encrypt's client
    asks for (P-256): the cheapest for OpenSSL, so that what Lua adds shows most."""
    path = folder / "certificate.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    command = ("openssl", "req", "-x509", *kind, "-days", "2", "-subj", "/CN=bench")
    subprocess.run((*command, "-keyout", path, "-out", path), check=True, capture_output=True)
    # nginx's workers read it.
    path.chmod(0o644)
    return path
