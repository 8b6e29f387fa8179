"""Which incidents become notices, and when: few, each once, and none is lost."""

from collections.abc import Iterator
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.digest import GAP_SECONDS, LONGEST_WAIT_SECONDS, QUIET_SECONDS, Digest
from emperor.model.free_space import FreeSpace, shortage
from emperor.model.notice import (
    LONGEST_TEXT,
    MOST_SUBJECTS,
    RULES,
    Incident,
    NoticeContent,
    NoticeKind,
    NoticeSubject,
    brief,
    retry_seconds,
)

FAILED, RECOVERED = NoticeKind.APP_FAILED, NoticeKind.APP_RECOVERED
SETTLES = RULES[FAILED].settle_seconds


def bad(name: str = "a.example", kind: NoticeKind = FAILED) -> Incident:
    return Incident(kind, NoticeSubject(name, 1000, "exit status 22"))


def good(name: str = "a.example", kind: NoticeKind = FAILED, why: str = "") -> Incident:
    return Incident(kind, NoticeSubject(name, 1000, why), is_over=True)


def all_of(digest: Digest) -> Iterator[tuple[float, NoticeContent]]:
    """Each notice with the moment when it is made."""
    while (due := digest.due()) != inf:
        told = digest.take(due)
        yield from ((due, each) for each in told)


def kinds(digest: Digest) -> list[NoticeKind]:
    return [told.kind for _, told in all_of(digest)]


def test_a_failure_is_told_after_a_moment() -> None:
    digest = Digest()
    digest.note(bad(), 100.0)
    assert digest.take(100.0) == []
    [(at, told)] = all_of(digest)
    assert at == 100.0 + QUIET_SECONDS
    assert (told.kind, told.count) == (FAILED, 1)
    assert told.summary == "a.example fails: exit status 22"


def test_a_crash_loop_is_told_once_and_once_when_it_is_over() -> None:
    digest = Digest()
    told = []
    for second in range(0, 3600, 30):
        digest.note(bad(), float(second))
        digest.note(good(), second + 1.0)  # it accepts, and dies with the first request
        told += digest.take(second + 2.0)
    assert [each.kind for each in told] == [FAILED]
    assert digest.due() == 3571 + SETTLES
    [(_, over)] = all_of(digest)
    assert (over.kind, over.subjects[0].detail) == (RECOVERED, "it serves, after 120 failures")
    digest.note(bad(), 9000.0)
    assert kinds(digest) == [FAILED], "the next one is another one"


def test_a_storm_of_failures_is_one_summary() -> None:
    digest = Digest()
    for number in range(1000):
        digest.note(bad(f"{number}.example"), number / 100)
        assert digest.take(number / 100) == []
    [(at, told)] = all_of(digest)
    assert at <= 9.99 + QUIET_SECONDS
    assert (told.count, len(told.subjects)) == (1000, MOST_SUBJECTS)
    assert told.summary == "1000 apps fail: 0.example, 1.example, 2.example, ..."


def test_a_long_storm_is_told_every_half_minute() -> None:
    digest, told = Digest(), []
    for number in range(12_000):
        digest.note(bad(f"{number}.example"), number / 100)
        told += [(number / 100, each) for each in digest.take(number / 100)]
    told += list(all_of(digest))
    assert [round(at) for at, _ in told] == [15, 45, 75, 105, 135]
    assert told[0][0] <= LONGEST_WAIT_SECONDS + 0.02
    assert sum(each.count for _, each in told) == 12_000


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        ([good()], []),
        ([bad(), bad()], [FAILED]),
        ([bad(), good()], [FAILED, RECOVERED]),
        ([bad(), good(why="its ini is gone")], []),  # before anybody was told
        ([good(kind=NoticeKind.DISK_SHORT)], []),
        ([bad(kind=NoticeKind.DEPLOY_REFUSED), good(kind=NoticeKind.DEPLOY_REFUSED)], []),
        ([bad(kind=NoticeKind.LIMIT_REACHED), bad(kind=NoticeKind.LIMIT_REACHED)],
         [NoticeKind.LIMIT_REACHED]),
        ([bad(kind=NoticeKind.DRAINED)], [NoticeKind.DRAINED]),
        ([good(kind=NoticeKind.DRAINED)], [NoticeKind.UNDRAINED]),
    ],
)  # fmt: skip
def test_what_is_told(incidents: list[Incident], expected: list[NoticeKind]) -> None:
    digest = Digest()
    for incident in incidents:
        digest.note(incident, 0.0)
    assert kinds(digest) == expected


@pytest.mark.parametrize("kind", [NoticeKind.DEPLOY_REFUSED, NoticeKind.DISK_SHORT])
def test_the_end_of_what_was_told_is_told(kind: NoticeKind) -> None:
    digest = Digest()
    digest.note(bad(kind=kind), 0.0)
    assert kinds(digest) == [kind]
    digest.note(good(kind=kind), 10.0)
    assert kinds(digest) == [RULES[kind].over]


def test_a_limit_is_told_again_after_an_hour_without() -> None:
    digest, told = Digest(), []
    for minute in [*range(90), *range(151, 160)]:
        digest.note(bad(kind=NoticeKind.LIMIT_REACHED), minute * 60.0)
        told += [minute for _ in digest.take(minute * 60.0 + QUIET_SECONDS)]
    assert told == [0, 151]


def test_a_later_daemon_tells_the_end_and_nothing_twice() -> None:
    first, second = Digest(), Digest()
    first.note(bad(), 0.0)
    [told] = first.rest()
    assert told.kind is FAILED
    second.reopen(first.open, 5.0)
    second.note(bad(), 6.0)
    second.note(good(), 7.0)
    assert kinds(second) == [RECOVERED]
    assert second.open == ()


STEPS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.sampled_from([FAILED, NoticeKind.DEPLOY_REFUSED]),
        st.sampled_from(["a", "b", "c"]),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
def test_failures_and_ends_take_turns(steps: list[tuple[float, NoticeKind, str, bool]]) -> None:
    """Nobody is told twice that an app fails, or of an end without a beginning; no two notices of a
    kind come close together; and at the end all is told that is so."""
    digest, now = Digest(), 0.0
    made: list[tuple[float, NoticeContent]] = []
    failing: dict[tuple[NoticeKind, str], bool] = {}

    def pass_until(moment: float) -> None:
        while (due := digest.due()) <= moment and due != inf:
            made.extend((due, told) for told in digest.take(due))

    for pause, kind, name, is_over in steps:
        now += pause
        pass_until(now)
        digest.note((good if is_over else bad)(name, kind), now)
        failing[kind, name] = not is_over
    pass_until(inf)
    assert digest.due() == inf
    for kind in (FAILED, NoticeKind.DEPLOY_REFUSED):
        for name in "abc":
            story = [
                told.kind is kind
                for _, told in made
                if told.kind in (kind, RULES[kind].over)
                and name in {subject.name for subject in told.subjects}
            ]
            assert all(one != other for one, other in pairwise(story))
            assert story[:1] != [False]
            assert (story[-1:] == [True]) == failing.get((kind, name), False)
    for kind in NoticeKind:
        times = [at for at, told in made if told.kind is kind]
        assert all(b >= a + GAP_SECONDS for a, b in pairwise(times))


@given(st.text(), st.text(), st.sampled_from(list(RULES)), st.booleans())
def test_no_text_breaks_a_line_or_is_long(
    name: str, detail: str, kind: NoticeKind, is_over: bool
) -> None:
    digest = Digest()
    digest.note(Incident(kind, NoticeSubject(name * 300, None, detail * 300), False), 0.0)
    if is_over:
        digest.take(digest.due())
        digest.note(Incident(kind, NoticeSubject(name * 300, None, detail * 300), True), 1.0)
    for _, told in all_of(digest):
        for text in (told.summary, *(t for s in told.subjects for t in (s.name, s.detail))):
            assert len(text) <= LONGEST_TEXT
            assert text.isprintable()


def test_a_text_is_cut_and_its_control_characters_are_not_told() -> None:
    assert brief("a\r\nSubject: b\x1b[2J\u202e c") == r"a Subject: b\x1b[2J\u202e c"
    assert brief("x" * 501) == "x" * 497 + "..."


def test_retries_take_some_ten_minutes_and_end() -> None:
    pauses = [retry_seconds(tried, 0.5) for tried in range(1, 20)]
    given_up = pauses.index(None)
    waits = [pause for pause in pauses[:given_up] if pause]
    assert waits == sorted(waits)
    assert 300 < sum(waits) < 900
    assert set(pauses[given_up:]) == {None}
    assert retry_seconds(1, 0.0) != retry_seconds(1, 0.99)


GB = 1 << 30


@pytest.mark.parametrize(
    ("room", "was_short", "told"),
    [
        (FreeSpace(1, 1 * GB, 20 * GB, 9, 10), False, None),  # five percent
        (FreeSpace(1, 1 * GB - 1, 20 * GB, 9, 10), False, "1023 MB of 20480 MB are free"),
        (FreeSpace(1, 3 * GB, 4096 * GB, 9, 10), False, None),  # less than five percent, but enough
        (FreeSpace(1, 2 * GB - 1, 4096 * GB, 9, 10), False, "2047 MB of 4194304 MB are free"),
        (FreeSpace(1, 10 * GB, 20 * GB, 19, 1000), False, "19 of 1000 inodes are free"),
        (FreeSpace(1, 10 * GB, 20 * GB, 0, 0), False, None),  # btrfs counts none
        (FreeSpace(1, 1 * GB, 20 * GB, 9, 10), True, "1024 MB of 20480 MB are free"),
        (FreeSpace(1, 2 * GB, 20 * GB, 9, 10), True, None),
    ],
)
def test_a_file_system_is_short(room: FreeSpace, was_short: bool, told: str | None) -> None:
    assert shortage(room, was_short) == told
