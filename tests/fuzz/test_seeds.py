"""No target of the fuzzer fails at its examples, nor at what the fuzzer has found before."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FOUND = sorted(Path(__file__).with_name("seeds").glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_examples(name: str) -> None:
    target, examples = TARGETS[name]
    for example in examples:
        target(example)
        target(example[: len(example) // 2])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_mended(path: Path) -> None:
    target, _ = TARGETS[path.parent.name]
    target(path.read_bytes())
