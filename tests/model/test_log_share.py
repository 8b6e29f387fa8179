"""Which lines about apps the log of the daemon has, and what it says of the others."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.model.log_share import LogShare, Written

ALICE, MALLORY = 1001, 1002


def written(share: LogShare, domain: str, tenant: int | None, lines: int, now: float = 50.0) -> int:
    """How many of so many lines at once are written. The tenant has ten apps."""
    return sum(share.line(domain, tenant, 10, now) is not None for _ in range(lines))


def test_an_app_has_so_many_lines_and_then_one_a_second() -> None:
    share = LogShare()
    lines = [share.line("m.example", MALLORY, 10, 50.0) for _ in range(250)]
    assert lines[:198] == [Written(left_out=0, is_last=False)] * 198
    assert lines[199:] == [Written(left_out=0, is_last=True)] + [None] * 50
    assert share.line("m.example", MALLORY, 10, 51.0) == Written(left_out=50, is_last=True)
    assert share.line("m.example", MALLORY, 10, 51.0) is None
    assert written(share, "m.example", MALLORY, 300, 5000.0) == 200


def test_the_apps_of_a_tenant_have_so_many_lines_together() -> None:
    share = LogShare()
    domains = [f"{number}.example" for number in range(50)]
    assert sum(written(share, domain, MALLORY, 100) for domain in domains) == 1000 + 20 * 10
    assert written(share, "a.example", ALICE, 100) == 100


def test_the_apps_of_an_only_tenant_have_theirs() -> None:
    share = LogShare()
    for number in range(2000):
        assert share.line(f"{number}.example", None, None, 50.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abc"))))
def test_no_line_is_lost_without_a_word(steps: list[tuple[float, str]]) -> None:
    share, now, lost = LogShare(), 1000.0, dict.fromkeys("abc", 0)
    for pause, domain in steps * 40:
        now += pause
        line = share.line(domain, MALLORY, 3, now)
        if line is None:
            lost[domain] += 1
        else:
            assert line.left_out == lost[domain]
            lost[domain] = 0
