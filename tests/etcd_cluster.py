"""A cluster of etcd for tests: Debian's etcd-server, with TLS and authentication, in a folder of
its own. The host's own etcd service is never touched."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from emperor.model.registry_access import RegistryAccess
from tests.eventually import eventually
from tests.traces import public_folder

USER, PASSWORD = "emperord", "the-password-of-the-fleet"
ROOT_PASSWORD = "the-password-of-root"
# As docs/fleet.md has them: of a backend, and of a load balancer.
RIGHTS = [
    ("role", "add", "backend"),
    ("role", "grant-permission", "backend", "--prefix=true", "read", "/emperord/"),
    ("role", "grant-permission", "backend", "--prefix=true", "readwrite", "/emperord/backends/"),
    ("role", "grant-permission", "backend", "--prefix=true", "readwrite", "/emperord/once/"),
    ("role", "add", "balancer"),
    ("role", "grant-permission", "balancer", "--prefix=true", "read", "/emperord/backends/"),
    ("role", "grant-permission", "balancer", "read", "/emperord/slots"),
    ("role", "grant-permission", "balancer", "readwrite", "/emperord/absences"),
    ("role", "grant-permission", "balancer", "--prefix=true", "readwrite", "/emperord/balancers/"),
    *(("user", "add", f"{name}:{PASSWORD}") for name in ("backend", "balancer")),
    *(("user", "grant-role", name, name) for name in ("backend", "balancer")),
]
# With this option members ask clients for a certificate.
WITH_CERTIFICATES = "--client-cert-auth"
# An election takes a fifth of what it takes by default, so tests take less time.
_FAST = ("--heartbeat-interval=50", "--election-timeout=300")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a member listens."""

    host: str
    client_port: int
    peer_port: int

    @property
    def client(self) -> str:
        """Its endpoint."""
        return f"https://{self.host}:{self.client_port}"

    @property
    def peer(self) -> str:
        """Its URL for other members."""
        return f"https://{self.host}:{self.peer_port}"


class Authority:
    """A certificate authority in a folder. Certificates are for servers and for clients, since the
    gateway of a member is a client of that member."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.certificate = folder / "ca.pem"
        _openssl(
            folder, "req", "-x509", *_KEY, "-subj", "/CN=etcd of tests", "-days", "2",
            "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "basicConstraints=critical,CA:TRUE",
        )  # fmt: skip

    def issue(
        self, name: str, hosts: Sequence[str] = (), valid: bool = True, subject: str = "/CN=etcd"
    ) -> tuple[Path, Path]:
        """A certificate for these IP addresses, or one that has expired, and its key."""
        names = ",".join([f"DNS:{name}", *(f"IP:{host}" for host in hosts)])
        (self._folder / "extensions").write_text(
            f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        _openssl(
            self._folder, "req", *_KEY, "-subj", subject,
            "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        _openssl(
            self._folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem",
            "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.pem",
        )  # fmt: skip
        certificate = self._folder / f"{name}.pem"
        if not valid:
            certificate.write_bytes(self._expired(certificate.read_bytes()))
        return certificate, self._folder / f"{name}.key"

    def _expired(self, valid: bytes) -> bytes:
        """A copy of the certificate that expired yesterday. openssl(1) of Debian 13 makes none that
        has expired by `-days`."""
        new = x509.load_pem_x509_certificate(valid)
        key = load_pem_private_key((self._folder / "ca.key").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        draft = (
            x509.CertificateBuilder(new.issuer, new.subject, new.public_key(), new.serial_number)
            .not_valid_before(new.not_valid_before_utc - timedelta(days=2))
            .not_valid_after(new.not_valid_before_utc - timedelta(days=1))
        )
        for each in new.extensions:
            draft = draft.add_extension(each.value, each.critical)
        return draft.sign(key, SHA256()).public_bytes(Encoding.PEM)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


class Member:
    """One member, down at first. `prefix` is put before its command: nsenter(1) for instance."""

    def __init__(
        self,
        name: str,
        address: Address,
        folder: Path,
        command: Sequence[str],
        prefix: Sequence[str],
    ) -> None:
        self.name, self.address = name, address
        self.data = folder / f"{name}.data"
        self.log = folder / f"{name}.log"
        self._command, self._prefix = command, prefix
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it; it joins the others by itself."""
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._prefix, *self._command, *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # which Ctrl-C does not reach
            )  # fmt: skip

    def option(self, option: str) -> None:
        """Give it one more option from its next start on."""
        self._command = [*self._command, option]

    def kill(self) -> None:
        """End it as a power cut does. What it has on its disk stays."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def pause(self) -> None:
        """Its kernel still accepts connections, and nobody answers from now on. On a machine with
        much to do, its threads go on for some 100 ms after the signal."""
        assert self.process is not None
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class EtcdCluster:
    """Members with one authority and one state, made by `etcd_cluster`."""

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[Address],
        prefixes: Sequence[Sequence[str]],
        options: Sequence[str],
    ) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ca")
        hosts = sorted({address.host for address in addresses} | {"127.0.0.1"})
        self._pair = self.authority.issue("member", hosts)
        names = [f"m{number}" for number in range(1, len(addresses) + 1)]
        self.peers = ",".join(
            f"{name}={address.peer}" for name, address in zip(names, addresses, strict=True)
        )
        self.members = [
            Member(name, address, folder, self._command(name, address, options), prefix)
            for name, address, prefix in zip(names, addresses, prefixes, strict=True)
        ]
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "password").chmod(0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            if member.process is not None:
                member.resume()
                member.kill()

    @property
    def access(self) -> RegistryAccess:
        """How a machine of the fleet reaches it."""
        return RegistryAccess(
            endpoints=tuple(member.address.client for member in self.members),
            ca_file=self.authority.certificate,
            user=USER,
            password_file=self.folder / "password",
        )

    def trusting(self) -> ssl.SSLContext:
        """A client that trusts the members, also with Python 3.13 (emperor/registry/etcd_http)."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def access_to(self, *members: Member) -> RegistryAccess:
        """The access of the fleet's user to these members alone."""
        return replace(self.access, endpoints=tuple(each.address.client for each in members))

    def access_file(self, path: Path, user: str = USER) -> Path:
        """Write the access of the fleet's user, or of another user of RIGHTS, as a file for
        `registry-config`."""
        access = replace(self.access, user=user)
        path.write_text(
            f"[registry]\nendpoints = {' '.join(access.endpoints)}\nca-file = {access.ca_file}\n"
            f"user = {access.user}\npassword-file = {access.password_file}\n"
        )
        return path

    def start(self) -> None:
        """Start the members, and turn authentication on."""
        for member in self.members:
            member.start()
        self.until_healthy()
        for command in (
            ("user", "add", f"root:{ROOT_PASSWORD}"),
            ("user", "grant-role", "root", "root"),
            ("role", "add", "fleet"),
            ("role", "grant-permission", "fleet", "--prefix=true", "readwrite", "/emperord/"),
            ("user", "add", f"{USER}:{PASSWORD}"),
            ("user", "grant-role", USER, "fleet"),
            ("auth", "enable"),
        ):
            self.etcdctl(*command, as_root=False)

    def save(self) -> Path:
        """A backup of what it holds now."""
        path = self.folder / "backup"
        self.etcdctl("snapshot", "save", str(path), member=self.members[0])
        return path

    def restore(self, backup: Path) -> None:
        """Kill all members, and start them with what the backup holds."""
        for member in self.members:
            if member.process is not None:
                member.kill()
            shutil.rmtree(member.data)
            self.etcdctl(
                "snapshot", "restore", str(backup), f"--name={member.name}",
                f"--data-dir={member.data}", f"--initial-cluster={self.peers}",
                f"--initial-advertise-peer-urls={member.address.peer}", member=member,
            )  # fmt: skip
        for member in self.members:
            member.start()
        self.until_healthy()

    def leader(self) -> Member:
        """The member that the others follow."""
        leader = eventually(self._leader, what="a leader")
        assert leader
        return leader

    def lead(self, member: Member) -> None:
        """Have the others follow it."""
        if member is not self.leader():
            number = self._status(member, "MemberID")
            self.etcdctl("move-leader", f"{number:x}", member=self.leader())

    def followers(self) -> list[Member]:
        """The others that are up."""
        leader = self.leader()
        return [each for each in self.members if each is not leader and each.process]

    def until_healthy(self) -> None:
        """Wait for a quorum."""
        eventually(lambda: bool(self.leader()), alive=self._alive(), what="a quorum of etcd")

    def until_level(self) -> None:
        """Wait until all members know as much: what a follower has not applied, a new token among
        it, is lost with the others."""

        def levels() -> set[int]:
            return {self._status(member, "RaftAppliedIndex") for member in self.members}

        eventually(lambda: len(levels()) == 1, alive=self._alive(), what="all members know all")

    def etcdctl(self, *arguments: str, as_root: bool = True, member: Member | None = None) -> str:
        """What etcdctl(1) prints, asked of the members that are up, or of one. Fails if it does."""
        result = self.try_etcdctl(*arguments, as_root=as_root, member=member)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def set_password(self, password: str) -> None:
        """Give the fleet's user another one."""
        command = ("user", "passwd", USER, "--interactive=false")
        subprocess.run(
            [*self.command(), *command], input=password.encode(), check=True, capture_output=True
        )

    def try_etcdctl(
        self, *arguments: str, as_root: bool = True, member: Member | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run etcdctl(1), which asks all members, or one; whether it succeeded is the caller's to
        see."""
        return subprocess.run(
            [*self.command(as_root, member), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def command(self, as_root: bool = True, member: Member | None = None) -> list[str]:
        """etcdctl(1), without what it shall do."""
        up = [member] if member else [each for each in self.members if each.process]
        certificate, key = self._pair
        return [
            *up[0]._prefix, "env", "ETCDCTL_API=3", "etcdctl",
            f"--endpoints={','.join(each.address.client for each in up)}",
            f"--cacert={self.authority.certificate}", f"--cert={certificate}", f"--key={key}",
            *([f"--user=root:{ROOT_PASSWORD}"] if as_root else []),
        ]  # fmt: skip

    def _leader(self) -> Member | None:
        for member in self.members:
            leader = self._status(member, "Leader") if member.process else 0
            if leader and leader == self._status(member, "MemberID"):
                return member
        return None

    def _status(self, member: Member, field: str) -> int:
        command = ("endpoint", "status", "--write-out=fields")
        printed = self.try_etcdctl(*command, as_root=False, member=member).stdout
        found = re.search(rf'^"{field}" : (\d+)$', printed, re.MULTILINE)
        return int(found[1]) if found else 0

    def size(self, member: Member) -> int:
        """How many bytes its database has."""
        return self._status(member, "DBSize")

    def _alive(self) -> "list[subprocess.Popen[bytes]]":
        return [each.process for each in self.members if each.process]

    def _command(self, name: str, address: Address, options: Sequence[str]) -> list[str]:
        certificate, key = self._pair
        files = {"cert": certificate, "key": key, "trusted-ca": self.authority.certificate}
        return [
            "etcd", f"--name={name}", f"--data-dir={self.folder / name}.data",
            f"--listen-client-urls={address.client}", f"--advertise-client-urls={address.client}",
            f"--listen-peer-urls={address.peer}", f"--initial-advertise-peer-urls={address.peer}",
            f"--initial-cluster={self.peers}", "--initial-cluster-state=new", "--logger=zap",
            *(f"--{kind}-file={path}" for kind, path in files.items() if kind != "trusted-ca"),
            *(f"--peer-{kind}-file={path}" for kind, path in files.items()),
            "--peer-client-cert-auth", *_FAST, *options,
            *([f"--trusted-ca-file={files['trusted-ca']}"] if WITH_CERTIFICATES in options else []),
        ]  # fmt: skip


@contextmanager
def etcd_cluster(
    addresses: Sequence[Address] = (),
    prefixes: Sequence[Sequence[str]] = (),
    options: Sequence[str] = (),
    size: int = 3,
) -> Iterator[EtcdCluster]:
    """A running cluster: by default of three members on ports of 127.0.0.1 that are free."""
    addresses = addresses or _loopback(size)
    with (
        public_folder() as folder,
        EtcdCluster(folder, addresses, prefixes or [()] * len(addresses), options) as cluster,
    ):
        cluster.start()
        yield cluster


def _loopback(size: int) -> list[Address]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * size)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return [Address("127.0.0.1", *ports[2 * n : 2 * n + 2]) for n in range(size)]
