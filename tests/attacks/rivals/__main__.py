"""`make attacks`: attack emperord and its rivals, each in a machine of its own, write
docs/attacks.json, and the table in docs/security.md from it.

An attack that succeeds is no failure here: tests/attacks has those that must fail.
"""

import platform
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

from docs.attacks import ATTACKS as FILE
from docs.attacks import Attacked, Attacks, Outcome, not_run, read, write
from docs.generate import write_all
from tests.attacks.rivals.attacks import ATTACKS, Attack
from tests.attacks.rivals.host import ALICE, HERS, MALLORY, MINE, Host
from tests.attacks.rivals.hosts import HOSTS
from tests.systemd.box import Box
from tests.systemd.installation import install, with_emperord


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--hosts", default="", help=f"only these, of {','.join(h.name for h in HOSTS)} [all]")
@click.option("--attacks", default="", help="only those with one of these words in their names")
def main(hosts: str, attacks: str) -> None:
    """Attack emperord, uWSGI's Emperor, units of systemd and Passenger."""
    words = [word.strip() for word in attacks.split(",") if word.strip()]
    chosen = [host for host in HOSTS if not hosts or host.name in hosts.split(",")]
    record = read(FILE) if FILE.exists() else Attacks(machine="")
    for kind in chosen:
        attacked = _attacked(kind, words, record.hosts.get(kind.name))
        done = record.hosts | {kind.name: attacked}
        ordered = {host.name: done[host.name] for host in HOSTS if host.name in done}
        record = replace(record, machine=f"Linux {platform.release()}", hosts=ordered)
        write(FILE, record)
    write_all()


def _attacked(kind: type[Host], words: list[str], before: Attacked | None) -> Attacked:
    outcomes = dict(before.outcomes) if before and words else {}
    with tempfile.TemporaryDirectory() as installed:
        install(Path(installed))
        with with_emperord(Path(installed), has_limits=True) as box:
            host = _prepared(kind, box)
            for attack in ATTACKS:
                if not words or any(word in attack.name for word in words):
                    outcome = _outcome(host, attack)
                    click.echo(f"{kind.name}: {attack.name}: {outcome}", err=True)
                    outcomes[attack.name] = outcome
            version = host.version()
    ordered = {each.name: outcomes[each.name] for each in ATTACKS if each.name in outcomes}
    return Attacked(version, kind.setup, date.today().isoformat(), ordered)


def _prepared(kind: type[Host], box: Box) -> Host:
    host = kind(box)
    host.prepare()
    host.add(MALLORY, MINE)
    host.add(ALICE, HERS)
    for domain in (MINE, HERS):
        host.run(domain, "")
    return host


def _outcome(host: Host, attack: Attack) -> Outcome:
    """A fault of an attack must not cost the others."""
    try:
        return attack.run(host)
    except Exception as error:
        click.echo(f"{host.name}: {attack.name}: {error!r}\n{host.tail()}", err=True)
        return not_run(f"this attack could not be run here: {type(error).__name__}")


if __name__ == "__main__":
    main()
