"""A backend as an operator looks at: apps that serve, that fail, and that belong to tenants."""

from pathlib import Path

from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.backend import with_state
from tests.nginx_server import Nginx

SHOP, BLOG, OTHERS = "shop.example", "blog.example", "secret.example"
BROKEN, MARKUP, QUIET = "broken.example", "markup.example", "quiet.example"
# The name of a file in the folder of inis, which is none of a host.
BAD_NAME = "<img src=x onerror=document.title='x'>"
AGENT = "Mozilla/5.0 <script>document.title='x'</script>"


class Site(Tenants):
    """Its daemon keeps a history."""

    def __init__(self, folder: Path, nginx: Nginx) -> None:
        super().__init__(folder, nginx, throttle_first="300", throttle_max="600")
        self.under = with_state(folder)
        for domain in (BROKEN, MARKUP, "onerror"):
            self.expect(domain)

    def populate(self) -> None:
        """Add the apps, and have the bad ones fail."""
        self.host(ALICE, SHOP)
        self.host(ALICE, BLOG)
        self.host(MALLORY, OTHERS)
        for domain, app in ((BROKEN, "broken.py"), (MARKUP, "markup.py"), (QUIET, "plain.py")):
            self.host("root", domain, app)
        self.drop(BAD_NAME, "[uwsgi]\n")
        for domain in (BROKEN, MARKUP):
            self.visit(domain)
            self.until(domain, "throttled")

    def visit(self, domain: str, path: str = "/") -> int:
        """A visitor's request. Returns the status of the answer."""
        return self.get(domain, path, {"User-Agent": AGENT, "Accept": "text/html"}).status

    def put_to_sleep(self, domain: str) -> None:
        """Have an app sleep."""
        self.call("POST", f"/v1/vassals/{domain}/sleep")
        self.until(domain, "parked")


def many(folder: Path, number: int) -> None:
    """Inis of so many apps that sleep, in the folder of inis."""
    for each in range(number):
        text = f"[uwsgi]\nsocket = {folder}/sockets/site{each:05}.example/socket\nfile = /x.py\n"
        (folder / "vassals" / f"site{each:05}.example.ini").write_text(text)
