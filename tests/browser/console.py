"""emperorctl console and a browser on it, as an operator has them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, Playwright, StorageState

from tests.cli.program import ENVIRONMENT, command
from tests.eventually import PATIENCE_SECONDS

# The variable names a browser where the package chromium is none (.ci/install).
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# Root can start it only without its sandbox. It asks nobody for updates and the like.
_OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_AXE = "axe_playwright_python"
_SUMMARY = """\
async (rules) => {
  const options = rules.length ? { runOnly: rules } : {};
  return (await axe.run(options)).violations.map(
    (found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" | ")}`);
}
"""
# A phone.
NARROW = 360


def launched(playwright: Playwright) -> Browser:
    """Chromium without a window."""
    assert CHROMIUM
    return playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)


@contextmanager
def shown(run_dir: Path, user: str = "root") -> Iterator[str]:
    """`emperorctl console` that a user has started; the link that it prints."""
    words = command(run_dir, "console", "--no-browser")
    if user != "root":
        words = ["setpriv", f"--reuid={user}", "--init-groups", *words]
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


@dataclass(frozen=True, slots=True)
class Entry:
    """The console at `address`, with the cookie that a browser has got there."""

    address: str
    state: StorageState


def entered(browser: Browser, link: str) -> Entry:
    """Follow the link of a console."""
    context = browser.new_context()
    context.new_page().goto(link, timeout=PATIENCE_SECONDS * 1000)
    state = context.storage_state()
    context.close()
    return Entry(urljoin(link, "/console/"), state)


def faults(page: Page, *rules: str) -> list[str]:
    """What axe-core finds on a page that people cannot use by a keyboard or a screen reader, by all
    of its rules or these. The context has to let scripts in from outside the page (bypass_csp)."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((files(_AXE) / "axe.min.js").read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_SUMMARY, rules)
    return found
