"""Which tenants the console names: each name may be a question to a directory service."""

from collections import Counter

from emperor.linux.accounts import SystemAccounts
from emperor.model.spec import Identity
from emperor.web.console.overview import MOST_TENANTS, Census, of_tenants
from emperor.web.console.tenants import MOST_OFFERED, Names, largest_first, offered


class Directory(SystemAccounts):
    """The users 0 to 9999, and a note of each that was looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def user(self, name: str) -> Identity | None:
        self.asked.append(name)
        if name.isdecimal():
            return Identity(int(name), int(name), f"u{name}") if int(name) < 10_000 else None
        return Identity(int(name[1:]), int(name[1:]), name) if name.startswith("u") else None


def test_only_the_tenants_that_are_shown_are_looked_up() -> None:
    census, directory = Census(), Directory()
    census.owners.update(range(10_000))
    census.owners[7_000] += 1
    shown = of_tenants(census, (), Names(directory))
    assert [each.uid for each in shown] == ["7000", *(str(uid) for uid in range(MOST_TENANTS - 1))]
    assert len(directory.asked) == len(shown)


def test_the_filter_offers_the_largest_tenants_by_name() -> None:
    owners, directory = Counter[int | None](range(10_000)), Directory()
    owners[9_999] += 1
    options = offered(owners, Names(directory))
    assert len(options) == len(directory.asked) == MOST_OFFERED
    assert ("9999", "u9999") in options
    assert options == tuple(sorted(options, key=lambda option: option[1]))


def test_a_name_is_kept_for_a_minute() -> None:
    now, directory = [0.0], Directory()
    names = Names(directory, lambda: now[0])
    assert [names.of(5), names.of(5), names.of(10_000)] == ["u5", "u5", "10000"]
    assert directory.asked == ["5", "10000"]
    now[0] = 60.0
    assert names.of(5) == "u5"
    assert directory.asked == ["5", "10000", "5"]


def test_a_typed_name_is_that_user() -> None:
    names = Names(Directory())
    typed = ("u12", "12", "daemon", "", "gone")
    assert [names.uid_text(each) for each in typed] == ["12", "12", "daemon", "", "gone"]


def test_tenants_are_sorted_by_each_number_in_turn() -> None:
    memory, number = {1: 5, 2: 9, None: 5}, {1: 1, 2: 1, None: 3, 4: 8}
    assert largest_first((None, 1, 2, 3, 4), memory, number) == [2, None, 1, 4, 3]
