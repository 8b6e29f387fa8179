"""The ways of hosting that are attacked, each configured as its own documentation tells for tenants
who do not know each other."""

from collections.abc import Mapping
from typing import ClassVar

from tests.attacks.rivals.host import SECRET, STARTUP, Host
from tests.eventually import eventually
from tests.systemd.service import override, write

UWSGI = "/opt/emperord/bin/uwsgi"
MEMORY, PROCESSES = "512M", "200"
_INI = "[uwsgi]\nfile = {home}/{startup}\nchdir = {home}\nmaster = true\n{lines}\n"
_NGINX = """\
user www-data;
worker_processes auto;
worker_rlimit_nofile 20000;
pid /run/nginx.pid;
events { worker_connections 16384; }
http {
    client_max_body_size 100m;  # as on emperord's nginx
    server {
        listen 127.0.0.1:80;
        location / {
            include /etc/nginx/uwsgi_params;
            uwsgi_read_timeout 300s;
            uwsgi_pass unix:/run/uwsgi/$host.socket;
        }
    }
}
"""


class OnUwsgi(Host):
    """Hosts whose apps uWSGI runs. A tenant writes the options of its app."""

    root_lines = """\
uid = root
gid = root
exec-as-root = id -u >> /srv/proofs/users
hook-as-root = exec:id -u >> /srv/proofs/users
exec-pre-jail = id -u >> /srv/proofs/users
hook-pre-jail = exec:id -u >> /srv/proofs/users
exec-asap = id -u >> /srv/proofs/users
"""
    proof_lines = "\nexec-asap = id -u >> /srv/proofs/poisoned\n"

    def ini(self, domain: str, lines: str) -> str:
        return _INI.format(home=self.home(domain), startup=STARTUP, lines=lines)

    def plant(self, path: str, owner: str, text: str) -> None:
        """A file of that owner's, which appears there whole and with its owner."""
        write(self.box, "/srv/draft", text)
        self.sh(f"chown {owner}: /srv/draft && chmod 0600 /srv/draft && mv /srv/draft {path}")

    def _serve(self) -> None:
        """The front of an administrator who follows uWSGI's pages about nginx."""
        write(self.box, "/etc/nginx/nginx.conf", _NGINX)
        self.box.must("systemctl", "restart", "nginx")

    def until_socket(self, path: str) -> None:
        eventually(lambda: self.box.run("test", "-S", path).returncode == 0, what=path)


class Emperord(OnUwsgi):
    name = "emperord"
    setup = (
        "as `make install` has it, with the nginx that it ships; an ini of each tenant's; "
        f"`tenant-memory-max = {MEMORY}`, `tenant-pids-max = {PROCESSES}`"
    )
    orders: ClassVar[Mapping[str, str]] = {
        "stop": "emperorctl stop alice.example", "list": "emperorctl status"
    }  # fmt: skip
    restart_file = "/etc/uwsgi/vassals/{domain}.ini"

    def start(self) -> None:
        limits = f"tenant-memory-max = {MEMORY}\ntenant-pids-max = {PROCESSES}\n"
        self.sh(f"printf '{limits}' >>/etc/uwsgi/emperord.ini")
        override(self.box, f"Environment={SECRET}=seen")
        self.box.must("systemctl", "start", "emperord", "nginx")

    def version(self) -> str:
        return self.box.must("/opt/emperord/bin/emperord", "--version").strip()

    def config(self, domain: str) -> str:
        return f"/etc/uwsgi/vassals/{domain}.ini"

    def configure(self, domain: str, lines: str) -> None:
        self.plant(self.config(domain), self.tenants[domain], self.ini(domain, lines))

    def until_listening(self, domain: str) -> None:
        self.until_socket(f"/var/sockets/{domain}/socket")

    def read_again(self, domain: str) -> None:
        self.sh(f"touch {self.config(domain)}")

    def remove(self, domain: str) -> None:
        self.sh(f"rm {self.config(domain)}")

    def log(self, domain: str) -> str:
        return self.box.must("emperorctl", "logs", "-n", "1000", domain)


_EMPEROR_UNIT = f"""\
[Service]
ExecStart={UWSGI} --ini /etc/uwsgi/emperor.ini
Restart=always
KillSignal=SIGQUIT
Type=notify
NotifyAccess=all
Environment={SECRET}=seen
"""
_EMPEROR = """\
[uwsgi]
emperor = /etc/uwsgi/inis
emperor-tyrant = true
emperor-tyrant-nofollow = true
emperor-on-demand-directory = /run/uwsgi
listen = 128
max-fd = 20000
"""


class Emperor(OnUwsgi):
    name = "uWSGI's Emperor"
    setup = (
        "`emperor-tyrant` and `emperor-tyrant-nofollow`, vassals on demand, whose sockets, of "
        "mode 0666, lie in a folder that only the group of nginx can enter; the unit of uWSGI's "
        "page on systemd; an ini of each tenant's in a folder of root's that has mode 0711; a "
        "plain nginx with `uwsgi_params`"
    )
    orders: ClassVar[Mapping[str, str]] = {}
    restart_file = "/etc/uwsgi/inis/{domain}.ini"

    def start(self) -> None:
        self.sh("install -d -m 0711 /etc/uwsgi/inis")
        self.sh("install -d -m 0710 -g www-data /run/uwsgi")
        write(self.box, "/etc/uwsgi/emperor.ini", _EMPEROR)
        write(self.box, "/etc/systemd/system/emperor.uwsgi.service", _EMPEROR_UNIT)
        self.box.must("systemctl", "daemon-reload")
        self.box.must("systemctl", "start", "emperor.uwsgi")
        self._serve()

    def version(self) -> str:
        return f"uWSGI {self.box.must(UWSGI, '--version').strip()}"

    def config(self, domain: str) -> str:
        return f"/etc/uwsgi/inis/{domain}.ini"

    def configure(self, domain: str, lines: str) -> None:
        self.plant(self.config(domain), self.tenants[domain], self.ini(domain, lines))

    def until_listening(self, domain: str) -> None:
        self.until_socket(f"/run/uwsgi/{domain}.socket")

    def read_again(self, domain: str) -> None:
        self.sh(f"touch {self.config(domain)}")

    def remove(self, domain: str) -> None:
        self.sh(f"rm {self.config(domain)}")

    def log(self, domain: str) -> str:
        return self.sh("journalctl --sync; journalctl --output=cat --unit=emperor.uwsgi")


_SOCKET = """\
[Socket]
ListenStream=/run/uwsgi/{domain}.socket
SocketUser=www-data
SocketMode=0600
"""
_SERVICE = """\
[Service]
ExecStart={uwsgi} --ini {home}/app.ini
User={tenant}
KillSignal=SIGQUIT
Type=notify
NotifyAccess=all
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
CPUWeight=100
MemoryMax={memory}
TasksMax={processes}
TimeoutStopSec=5
"""


class Units(OnUwsgi):
    name = "units of systemd"
    setup = (
        "a socket, for nginx alone, and a service for each app: uWSGI with `User=`, "
        "`NoNewPrivileges=`, an empty `CapabilityBoundingSet=`, `PrivateTmp=`, `ProtectSystem=`, "
        f"`CPUWeight=`, `MemoryMax={MEMORY}`, `TasksMax={PROCESSES}`; options of the "
        "tenant's in an ini in its folder; a plain nginx with `uwsgi_params`"
    )
    orders: ClassVar[Mapping[str, str]] = {
        "stop": "systemctl --no-ask-password stop alice.example.service",
        "list": "systemctl list-units --all --no-pager",
    }
    proof_lines = "\nExecStartPre=+/bin/sh -c 'id -u >> /srv/proofs/poisoned'\n"
    restart_file = "/srv/{domain}/app.ini"

    def start(self) -> None:
        # As a manager that was given something for itself has it.
        write(
            self.box, "/etc/systemd/system.conf.d/secret.conf",
            f"[Manager]\nManagerEnvironment={SECRET}=seen\n",
        )  # fmt: skip
        self.box.must("systemctl", "daemon-reexec")
        self._serve()

    def version(self) -> str:
        return "systemd " + self.box.must("systemctl", "--version").split()[1]

    def config(self, domain: str) -> str:
        return f"/etc/systemd/system/{domain}.service"

    def configure(self, domain: str, lines: str) -> None:
        home, tenant = self.home(domain), self.tenants[domain]
        self.plant(f"{home}/app.ini", tenant, self.ini(domain, lines))
        units = self.config(domain).removesuffix(".service")
        write(self.box, f"{units}.socket", _SOCKET.format(domain=domain))
        service = _SERVICE.format(
            uwsgi=UWSGI, home=home, tenant=tenant, memory=MEMORY, processes=PROCESSES
        )
        write(self.box, f"{units}.service", service)
        self.sh(f"chmod 0644 {units}.service")
        self.read_again(domain)

    def read_again(self, domain: str) -> None:
        self.box.must("systemctl", "daemon-reload")
        self.sh(f"systemctl stop {domain}.service; systemctl restart {domain}.socket")

    def remove(self, domain: str) -> None:
        units = self.config(domain).removesuffix(".service")
        self.sh(f"systemctl stop {domain}.socket {domain}.service; rm {units}.s*")
        self.box.must("systemctl", "daemon-reload")

    def log(self, domain: str) -> str:
        return self.sh(f"journalctl --sync; journalctl --output=cat --unit={domain}.service")


_APACHE_UNIT = f"""\
[Service]
ExecStart=/usr/sbin/apache2 -D FOREGROUND -f /etc/apache2/apache2.conf
ExecReload=/bin/kill -USR1 $MAINPID
KillMode=mixed
PrivateTmp=true
Environment={SECRET}=seen
"""
_APACHE = """\
ServerName localhost
PidFile /run/apache2.pid
DefaultRuntimeDir /run
ErrorLog /var/log/apache2/error.log
Listen 127.0.0.1:80
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule passenger_module /usr/lib/apache2/modules/mod_passenger.so
User www-data
Group www-data
PassengerRoot /usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini
PassengerDefaultRuby /usr/bin/ruby
PassengerPython /usr/bin/python3
PassengerMaxInstancesPerApp 2
PassengerDisableSecurityUpdateCheck on
PassengerDisableAnonymousTelemetry on
<VirtualHost *:80>
    ServerName unknown
    PassengerEnabled off
</VirtualHost>
<Directory />
    Require all denied
    AllowOverride None
</Directory>
<Directory /srv>
    Require all granted
    AllowOverride All
</Directory>
IncludeOptional /etc/apache2/sites/*.conf
"""
_SITE = """\
<VirtualHost *:80>
    ServerName {domain}
    DocumentRoot {home}/public
    PassengerAppRoot {home}
    PassengerAppType wsgi
    PassengerStartupFile {startup}
</VirtualHost>
"""


class Passenger(Host):
    name = "Passenger"
    setup = (
        "in Apache, from Debian's packages, with user switching as by default, two processes for "
        "each app at most, and a pool of six; a virtual host of root's for each app, and "
        "`.htaccess` of the tenant's"
    )
    orders: ClassVar[Mapping[str, str]] = {
        "stop": "passenger-config restart-app /srv/alice.example",
        "list": "/usr/sbin/passenger-status",
    }
    root_lines = "PassengerUser root\nPassengerGroup root\n"
    proof_lines = '\nCustomLog "|/bin/sh -c \\"id -u >> /srv/proofs/poisoned\\"" common\n'
    restart_file = "/srv/{domain}/tmp/restart.txt"

    def start(self) -> None:
        self.sh("mkdir -p /etc/apache2/sites; install -d -m 0750 -g adm /var/log/apache2")
        write(self.box, "/etc/apache2/apache2.conf", _APACHE)
        write(self.box, "/etc/systemd/system/apache2.service", _APACHE_UNIT)
        self.box.must("systemctl", "daemon-reload")
        self.box.must("systemctl", "restart", "apache2")
        pid = "/run/apache2.pid"
        eventually(lambda: self.box.run("test", "-s", pid).returncode == 0, what=pid)

    def version(self) -> str:
        return self.box.must("passenger-config", "--version").strip().splitlines()[0]

    def config(self, domain: str) -> str:
        return f"/etc/apache2/sites/{domain}.conf"

    def configure(self, domain: str, lines: str) -> None:
        home = self.home(domain)
        write(
            self.box, self.config(domain), _SITE.format(domain=domain, home=home, startup=STARTUP)
        )
        write(self.box, f"{home}/public/.htaccess", lines)
        self.sh(f"chown {self.tenants[domain]}: {home}/public/.htaccess")
        self.read_again(domain)

    def read_again(self, domain: str) -> None:
        """Apache, and the app of that domain."""
        file = self.restart_file.format(domain=domain)
        self.sh(f"touch {file}; chown {self.tenants[domain]}: {file}; systemctl reload apache2")

    def remove(self, domain: str) -> None:
        self.sh(f"rm {self.config(domain)}; systemctl reload apache2")
        app = self.home(domain)
        self.box.run("passenger-config", "restart-app", "--ignore-app-not-running", app)

    def log(self, domain: str) -> str:
        return self.sh("cat /var/log/apache2/error.log")


HOSTS: tuple[type[Host], ...] = (Emperord, Emperor, Units, Passenger)
