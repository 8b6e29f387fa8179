"""A line that others can bring about is logged now and then."""

from emperor.model.log_pause import LogPause


def test_a_subject_is_told_once_in_each_pause() -> None:
    pause = LogPause(60.0)
    assert pause.ends("a", 100.0)
    assert not pause.ends("a", 159.0)
    assert pause.ends("b", 159.0), "each subject has a pause of its own"
    assert pause.ends("a", 160.0)
    assert not pause.ends("a", 219.0)
