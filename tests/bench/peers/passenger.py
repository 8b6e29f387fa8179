"""Passenger, from the release's packages, in Apache with a virtual host for each site."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.peers.peer import Peer, Site
from tests.eventually import eventually
from tests.http_client import Request, ask
from tests.nginx_server import free_ports

_MODULES = Path("/usr/lib/apache2/modules")
_LOCATIONS = "/usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini"
# It takes about a tenth of a second for each site.
_START_SECONDS = 300.0
_CONF = """\
ServerName localhost
PidFile {place}/apache.pid
DefaultRuntimeDir {place}
ErrorLog {place}/error.log
Listen 127.0.0.1:{port}
ListenBacklog 4096
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule passenger_module {modules}/mod_passenger.so
User www-data
Group www-data
PassengerRoot {locations}
PassengerDefaultRuby /usr/bin/ruby
PassengerInstanceRegistryDir {place}
PassengerPython {python}
PassengerMaxPoolSize 200
PassengerMaxRequestQueueSize 0
PassengerMinInstances 0
PassengerMaxInstancesPerApp 1
PassengerPoolIdleTime {idle}
PassengerStatThrottleRate 0
PassengerDisableSecurityUpdateCheck on
PassengerDisableAnonymousTelemetry on
<VirtualHost *:{port}>
    ServerName unknown
    PassengerEnabled off
</VirtualHost>
<Directory />
    Require all granted
</Directory>
IncludeOptional {place}/sites/*.conf
"""
_SITE = """\
<VirtualHost *:{port}>
    ServerName {site.domain}
    DocumentRoot {root}
    PassengerAppGroupName {site.domain}
    PassengerAppRoot {app}
    PassengerAppType wsgi
    PassengerStartupFile {site.app.name}
</VirtualHost>
"""


class Passenger(Peer):
    """Passenger in Apache. Its limits on processes and on its queue are raised, and it stops an app
    that is idle, as the others do."""

    name = "Passenger"

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        super().__init__(folder, sites)
        [self._port] = free_ports(1)
        self._places = self.folder / "sites"
        self._root = self.folder / "public"
        for path in (self._places, self._root):
            path.mkdir(mode=0o755)
        self._conf = self.folder / "apache.conf"

    @classmethod
    def missing(cls) -> str:
        module = _MODULES / "mod_passenger.so"
        return "" if module.exists() else "libapache2-mod-passenger is not installed"

    @property
    def port(self) -> int:
        return self._port

    def prepare(self) -> None:
        idle = min((site.idle for site in self.sites), default=0)
        self._conf.write_text(
            _CONF.format(
                place=self.folder, port=self._port, modules=_MODULES, locations=_LOCATIONS,
                python=sys.executable, idle=idle,
            )
        )  # fmt: skip
        for site in self.sites:
            self._write(site)

    def start(self) -> None:
        command = ("apache2", "-d", self.folder, "-f", self._conf, "-D", "FOREGROUND")
        self._apache = self._run(*command)
        eventually((self.folder / "apache.pid").exists, seconds=_START_SECONDS)
        eventually(self._answers)

    def drop(self, site: Site) -> None:
        self._write(site)
        self._apache.send_signal(signal.SIGUSR1)  # as `apachectl graceful` does

    def reload(self, domain: str) -> None:
        [app] = {site.app for site in self.sites if site.domain == domain}
        restart = app.parent / "tmp" / "restart.txt"
        restart.parent.mkdir(exist_ok=True)
        restart.touch()

    def restart(self) -> None:
        self._apache.send_signal(signal.SIGHUP)  # as `apachectl restart` does

    def _write(self, site: Site) -> None:
        draft = self.folder / "draft"
        draft.write_text(
            _SITE.format(site=site, port=self._port, root=self._root, app=site.app.parent)
        )
        draft.rename(self._places / f"{site.domain}.conf")

    def _answers(self) -> bool:
        try:
            return ask(self._port, Request("unknown")).status > 0
        except OSError:
            return False
