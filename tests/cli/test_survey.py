"""What `emperorctl doctor` looks at on this machine."""

from pathlib import Path

from emperor.cli.survey import survey_of
from emperor.cli.survey_disks import lacking
from emperor.model.checkup import examine
from emperor.model.survey import Ability
from tests.faults.disks import disk, mounted
from tests.supervisor.world import settings
from tests.traces import public_folder

REGISTRY = """\
[registry]
endpoints = https://192.0.2.21:2379
cert-file = {folder}/b.pem
key-file = {folder}/b.key
signers-file = {folder}/signers
"""


def test_a_lock_that_every_user_can_hold_is_seen() -> None:
    with public_folder() as folder:
        lock = folder / "emperord.lock"
        lock.touch(mode=0o644)

        def found() -> str:
            survey = survey_of(folder, settings(run_dir=str(folder)), Path("/usr/bin/true"))
            return "".join(remark.text for remark in examine(survey))

        told = f"every user can read {lock}, the lock, and so can keep emperord from starting"
        assert told in found()
        lock.chmod(0o600)
        assert told not in found()


def test_a_uwsgi_without_python_is_seen() -> None:
    with public_folder() as folder:
        uwsgi, defaults = folder / "uwsgi", folder / "defaults.ini"
        uwsgi.write_text("#!/bin/sh\necho 2.0.28\n")
        uwsgi.chmod(0o755)
        defaults.touch()
        known = settings(vassals_dir=str(folder / "inis"), vassal_defaults=str(defaults))
        assert not survey_of(folder, known, uwsgi).has_python
        defaults.write_text("[uwsgi]\nplugins = python3\n")
        assert survey_of(folder, known, uwsgi).has_python
        defaults.write_text("")
        uwsgi.write_text("#!/bin/sh\necho '--wsgi-file    load .wsgi file'\n")
        assert survey_of(folder, known, uwsgi).has_python


def test_what_a_file_system_lacks_is_seen(tmp_path: Path) -> None:
    with disk(tmp_path / "ext4", tmp_path / "image", 8 << 20):
        able = tmp_path / "ext4"
        assert lacking(able, able) == frozenset()
        assert [path.name for path in able.iterdir()] == ["lost+found"]
        with mounted(able / "lost+found", "-t", "ramfs", "ramfs"):
            unable = able / "lost+found"
            assert lacking(unable, able) == {Ability.APPEND_ONLY, Ability.MARKS}
            assert lacking(able, unable) == {Ability.ACCESS_LISTS}
            assert lacking(unable / "none", unable / "none") == frozenset()


def test_how_long_an_app_may_take_is_seen() -> None:
    with public_folder() as folder:
        text = "[uwsgi]\nfile = app.py\n[emperor]\nuid = nobody\ngid = nogroup\n"
        (folder / "a.example.ini").write_text(f"{text}start-timeout = 400s\n")
        (folder / "b.example.ini").write_text(text)
        known = settings(vassals_dir=str(folder))
        survey = survey_of(folder, known, Path("/usr/bin/true"))
        assert [ini.start_timeout for ini in survey.inis] == [400.0, 60.0]


def test_a_key_to_the_registry_that_every_user_can_read_is_seen() -> None:
    with public_folder() as folder:
        key, signers = folder / "b.key", folder / "signers"
        for file in (key, signers):
            file.touch(mode=0o644)
        config = folder / "registry.ini"
        config.write_text(REGISTRY.format(folder=folder))

        def found() -> str:
            known = settings(registry_config=str(config), run_dir=str(folder))
            survey = survey_of(folder, known, Path("/usr/bin/true"))
            return "".join(remark.text for remark in examine(survey))

        secret = f"every user can read {key}, the key to the registry"
        assert secret in found()
        assert str(signers) not in found()
        key.chmod(0o640)
        signers.chmod(0o666)
        assert secret not in found()
        assert f"others than root can change {signers}" in found()
        # A folder around it keeps others away.
        key.chmod(0o644)
        folder.chmod(0o700)
        assert secret not in found()
