"""Reads what `nginx -T` prints: nginx's whole configuration, or why nginx refuses it."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from emperor.model.survey import NginxFacts

# A comment, a quoted word, a sign, or a word. A block of Lua is read likewise: its braces match.
_TOKEN = re.compile(
    r"""\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]"""
    r"""|(?:\\.|\$\{[^}]*\}|[^\s{};"'\\])+""",
    re.DOTALL,
)
_CONSOLE = "emperord/console.conf"
_REFUSED = re.compile(r"\[emerg\] (?:\d+#\d+: )?(?P<text>.*)")
_TIME = re.compile(r"(\d+)(ms|[smhdwMy]?)")
_SECONDS = {
    "ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000,
    "y": 31536000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its words, and those of the blocks around it, the outermost first."""

    words: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]


def directives(text: str) -> Iterator[Directive]:
    """All directives of a configuration, the heads of blocks too."""
    blocks: list[tuple[str, ...]] = []
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token.startswith("#"):
            continue
        if token not in ("{", "}", ";"):
            words.append(token.strip("\"'"))
            continue
        if token == "}":
            blocks = blocks[:-1]
        else:
            yield Directive(tuple(words), tuple(blocks))
            blocks += [tuple(words)] if token == "{" else []
        words = []


def refusal(stderr: str) -> str:
    """Why nginx refuses its configuration, from what it prints to standard error."""
    found = _REFUSED.search(stderr)
    return found["text"] if found else stderr.strip()


def nginx_facts(text: str) -> NginxFacts:
    """What `emperorctl doctor` wants to know of the configuration."""
    user, asks, trusted = "", None, []
    # The directives of each server { } itself.
    servers: list[list[tuple[str, ...]]] = []
    for directive in directives(text):
        if directive.words == ("server",):
            servers.append([])
        elif directive.words and directive.blocks[-1:] == (("server",),):
            servers[-1].append(directive.words)
        match directive.words:
            case ("user", name, *_) if not directive.blocks:
                user = name
            case ("set_real_ip_from", address):
                trusted.append(address)
            case ("proxy_read_timeout", time) if ("location", "@fallback") in directive.blocks:
                asks = min(_seconds(time), asks or _seconds(time))
    return NginxFacts(
        "", user, asks, tuple(dict.fromkeys(trusted)), any(map(_shows_console, servers))
    )


def _shows_console(server: Collection[tuple[str, ...]]) -> bool:
    """Whether this server passes everybody to the console (nginx/console.conf)."""
    if not any(words[0] == "include" and words[-1].endswith(_CONSOLE) for words in server):
        return False
    asks = any(
        words[:2] == ("ssl_verify_client", "on")
        or (words[0] == "auth_basic" and words[1:] != ("off",))
        for words in server
    )
    return not asks or ("satisfy", "any") in server


def _seconds(time: str) -> float:
    """A duration as nginx writes it: 300, 5m, 1h30m."""
    return float(sum(int(count) * _SECONDS[unit] for count, unit in _TIME.findall(time)))
