"""The Lua of the load balancer."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_luacheck_is_content() -> None:
    command = ["luacheck", "--quiet", "--config", "lua/.luacheckrc", "lua"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
