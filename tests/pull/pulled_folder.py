"""A folder of pulled inis with its journal, and the daemon that has them."""

from pathlib import Path

from emperor.linux.placed_file import Owner
from emperor.linux.pulled_journal import Journal
from emperor.model.pulled import Occasion
from emperor.model.registration import Entry, RegisteredIni
from emperor.pull.pulled_inis import Order, PulledInis, PullOutcome

A, B = "a.example", "b.example"
OWNER = Owner(5, 60)


class Backend:
    """A folder of inis and a state directory, and the daemon that has them now."""

    def __init__(self, place: Path, boot: str = "first") -> None:
        self.folder, self.state = place / "vassals", place / "state"
        for each in (self.folder, self.state):
            each.mkdir(exist_ok=True)
        self.boot = boot
        self.journal = Journal(self.state, boot)
        self.start()

    def start(self) -> set[str]:
        """Another daemon goes on."""
        self.journal.close()
        self.journal = Journal(self.state, self.boot)
        self.journal.load()
        self.inis = PulledInis(self.folder, self.journal)
        return self.inis.load()

    def close(self) -> None:
        self.journal.close()

    def follow(self, entry: Entry, occasion: Occasion = Occasion.HIT) -> PullOutcome:
        (outcome,) = self.inis.carry_out([order(entry, occasion)])
        return outcome

    def path(self, domain: str = A) -> Path:
        return self.folder / f"{domain}.ini"

    def text(self, domain: str = A) -> str | None:
        path = self.path(domain)
        return path.read_text() if path.exists() else None

    def place(self, text: str, domain: str = A) -> None:
        """An administrator moves an ini into the folder."""
        draft = self.folder.parent / "draft"
        draft.write_text(text)
        draft.rename(self.path(domain))


def order(entry: Entry, occasion: Occasion = Occasion.HIT) -> Order:
    return Order(entry.domain, entry.serial * 10, occasion, entry, OWNER)


def ini(serial: int, text: str | None = None, domain: str = A) -> RegisteredIni:
    return RegisteredIni(domain, serial, "games", text or f"serial = {serial}\n")
