"""Certificates that openssl(1) makes, and handshakes with the balancer."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.balancer.fleet import Fleet
from tests.eventually import PATIENCE_SECONDS

NAME = "www.example.com"
PROBLEM = "cannot use the certificate "


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    @property
    def file(self) -> str:
        """What is put into the balancer's folder."""
        return self.certificate + self.key

    @property
    def der(self) -> bytes:
        """The certificate as it is shown."""
        return ssl.PEM_cert_to_DER_cert(self.certificate)


STRONG = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
WEAK = ("rsa:1024",)  # for OpenSSL's security level 2, Debian's


def make(
    folder: Path,
    name: str,
    issuer: Pair | None = None,
    authority: bool = False,
    kind: Sequence[str] = STRONG,
) -> Pair:
    """A certificate for a name, signed by itself or by an issuer, for 30 days."""
    certificate, key = folder / "new.pem", folder / "new.key"
    command: list[str | Path] = [
        "openssl", "req", "-x509", "-newkey", *kind, "-nodes",
        "-subj", f"/CN={name}", "-out", certificate, "-keyout", key,
        "-addext", f"basicConstraints=critical,CA:{str(authority).upper()}",
    ]  # fmt: skip
    if not authority:
        command += ["-addext", f"subjectAltName=DNS:{name}"]
    if issuer:
        for path, text in (("ca.pem", issuer.certificate), ("ca.key", issuer.key)):
            (folder / path).write_text(text)
        command += ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"]
    subprocess.run(command, check=True, capture_output=True)
    return Pair(certificate.read_text(), key.read_text())


def until(pair: Pair, expires: datetime) -> Pair:
    """The pair with another end of its certificate: openssl(1) makes none that have expired. The
    signature is then wrong, which only a client that verifies it notices."""
    [begin, end] = re.findall(rb"\x17\x0d(\d{12}Z)", pair.der)
    changed = pair.der.replace(
        begin + b"\x17\x0d" + end, begin + b"\x17\x0d" + f"{expires:%y%m%d%H%M%SZ}".encode()
    )
    assert changed != pair.der
    return Pair(ssl.DER_cert_to_PEM_cert(changed), pair.key)


def encrypted(folder: Path, pair: Pair) -> str:
    """The key of a pair behind a pass phrase."""
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:secret"]
    result = subprocess.run(command, input=pair.key, check=True, capture_output=True, text=True)
    return result.stdout


DEFAULT = ssl.PEM_cert_to_DER_cert(Path("/etc/ssl/certs/ssl-cert-snakeoil.pem").read_text())


def trusting(certificate: str | None = None) -> ssl.SSLContext:
    """A client that trusts this certificate alone, or anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = certificate is not None
    if certificate is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=certificate)
    return context


class Counter:
    """A balancer's certificates: handshakes of clients, and the administrator's folder."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.balancer = fleet.balancer
        self.certificates = fleet.balancer.conf.parent / "certs"

    def install(self, name: str, text: str) -> None:
        """Put a certificate in place as the head of loadbalancer.conf says."""
        path = self.certificates / f"{name}.new"
        path.write_text(text)
        path.chmod(0o640)
        shutil.chown(path, "root", "www-data")
        path.rename(self.certificates / f"{name}.pem")

    def connect(self, name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        """A connection for a name."""
        where = ("127.0.0.1", self.balancer.tls_port)
        return context.wrap_socket(
            socket.create_connection(where, PATIENCE_SECONDS), server_hostname=name
        )

    def shown(self, name: str) -> bytes:
        """The certificate that a client gets who asks for a name."""
        with self.connect(name, trusting()) as connection:
            return connection.getpeercert(binary_form=True) or b""

    def shown_to_the_odd(self, *name: str) -> bytes:
        """The certificate that openssl(1) gets, which sends names that no library would."""
        result = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.balancer.tls_port}", *name],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        )  # fmt: skip
        [certificate] = re.findall("(?s)-----BEGIN CERT.*?-----END CERTIFICATE-----", result.stdout)
        return ssl.PEM_cert_to_DER_cert(certificate)

    def said(self, what: str) -> list[str]:
        """The lines of the error log about certificates that have this in them."""
        return [
            line
            for line in self.balancer.error_lines()
            if "the certificate " in line and what in line
        ]

    @property
    def problems(self) -> list[str]:
        """What the error log says about certificates."""
        return [line for line in self.balancer.error_lines() if PROBLEM in line]
