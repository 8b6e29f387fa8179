"""The table of attacks in security.md says what was run, and what was not."""

from docs.attacks import Attacked, Attacks, held, not_run, rendered, succeeded

ROOT, LOG = "root by a line", "her log"
PAGE = rendered(
    Attacks(
        "Linux",
        {
            "ours": Attacked("1.0", "as it is", "2026-01-02", {ROOT: held("no"), LOG: held("no")}),
            "theirs": Attacked("7", "by the book", "2026-01-02", {ROOT: succeeded("it is root")}),
            "others": Attacked("8", "likewise", "2026-01-02", {ROOT: not_run("no such line")}),
        },
    )
)


def test_each_attack_tells_what_it_did_to_each_host() -> None:
    assert f"| {ROOT} | fails | **succeeds** | not run |" in PAGE


def test_an_attack_without_an_outcome_was_not_run() -> None:
    assert f"| {LOG} | fails | not run | not run |" in PAGE


def test_what_was_seen_stands_below_with_its_hosts() -> None:
    assert f"- **{ROOT}**: ours: no; theirs: it is root; others: no such line." in PAGE


def test_a_host_is_told_with_version_setup_and_date() -> None:
    assert "- **theirs** (7, run on 2026-01-02): by the book." in PAGE
