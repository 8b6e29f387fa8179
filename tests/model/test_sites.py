"""Which of the administrator's files for single hosts nginx gets."""

import pytest

from emperor.model.sites import BrokenBase, Complaint, Sites, choose, server_block


def refuses(sites: Sites) -> Complaint | None:
    """An nginx that refuses `bad` with its place, and `hidden` without."""
    for domain, text in sites.items():
        if text == "bad":
            return Complaint("unknown directive", domain, 3)
        if text == "hidden":
            return Complaint("cannot load certificate")
    return None


@pytest.mark.parametrize(
    ("wanted", "before", "chosen", "refused"),
    [
        ({}, {}, {}, set()),
        ({"a": "1", "b": "2"}, {"c": "3"}, {"a": "1", "b": "2"}, set()),
        ({"a": "1", "b": "bad"}, {}, {"a": "1"}, {"b"}),
        ({"a": "1", "b": "bad"}, {"b": "2"}, {"a": "1", "b": "2"}, {"b"}),
        ({"a": "1", "b": "hidden", "c": "3"}, {"b": "2"}, {"a": "1", "b": "2", "c": "3"}, {"b"}),
        ({"a": "hidden", "b": "bad", "c": "hidden"}, {}, {}, {"a", "b", "c"}),
        ({"a": "bad", "b": "1"}, {"a": "hidden"}, {"b": "1"}, {"a"}),
        ({"a": "bad", "b": "1"}, {"a": "bad"}, {"b": "1"}, {"a"}),
    ],
)
def test_what_nginx_accepts_is_chosen(
    wanted: Sites, before: Sites, chosen: Sites, refused: set[str]
) -> None:
    choice = choose(wanted, before, refuses)
    assert choice.sites == chosen
    assert set(choice.complaints) == refused


def test_the_complaint_is_that_of_the_newest_version() -> None:
    choice = choose({"a": "bad"}, {"a": "hidden"}, refuses)
    assert choice.complaints == {"a": Complaint("unknown directive", "a", 3)}


def test_one_of_many_is_found_by_few_questions() -> None:
    asked: list[Sites] = []

    def test(sites: Sites) -> Complaint | None:
        asked.append(sites)
        return refuses(sites)

    wanted = {str(number): "ok" for number in range(1000)} | {"500": "hidden"}
    assert list(choose(wanted, {}, test).complaints) == ["500"]
    assert len(asked) < 15


def test_a_configuration_that_is_broken_by_itself_is_told() -> None:
    with pytest.raises(BrokenBase, match="no events section"):
        choose({"a": "1"}, {}, lambda _: Complaint("no events section"))


def test_a_server_block_is_for_one_host_and_its_app() -> None:
    block = server_block("www.example.com")
    assert "    server_name www.example.com;\n    set $domain www.example.com;\n" in block
    assert "include emperord/sites-enabled/www.example.com.inc;" in block
