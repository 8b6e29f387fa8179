"""What the tests of `emperorctl registry` put into it."""

import json
from pathlib import Path

from emperor.model.registry_keys import Keys
from tests.cli.conftest import Ctl, Outcome

KEYS = Keys("/emperord")
WWW, SHOP = "www.example.com", "shop.example.com"
OWNER, OTHER = "daemon", "games"


def ini(folder: Path, *more: str, name: str = "draft") -> Path:
    """An ini that the checks find nothing in."""
    path = folder / f"{name}.ini"
    path.write_text("\n".join([f"[uwsgi]\nwsgi-file = {folder}/app.py", *more, ""]))
    return path


def put(registry: Ctl, path: Path, domain: str = WWW, *more: str) -> Outcome:
    return registry("put", domain, str(path), "--owner", OWNER, *more)


def details(registry: Ctl, domain: str = WWW) -> dict[str, object]:
    result = registry("get", "--json", domain)
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert isinstance(found, dict)
    return found
