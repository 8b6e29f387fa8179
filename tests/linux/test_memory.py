"""What /proc/meminfo says."""

from emperor.linux.memory import is_memory_short


def test_the_machine_of_the_tests_has_memory_left() -> None:
    assert not is_memory_short()
