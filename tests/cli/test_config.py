"""labsched config: what is wrong is told at once, and every value says where it comes from."""

import json
import tomllib
from pathlib import Path

from labsched.config.sample import sample
from tests.cli.conftest import Labsched


def test_check_says_one_sentence_for_each_mistake(labsched: Labsched, scratch: Path) -> None:
    (scratch / "lab.toml").write_text("[daemon]\nnise = 3\n[pools]\nCPU = -1\n")
    ran = labsched("config", "check", "lab.toml")
    assert (ran.code, ran.out) == (2, "")
    [first, second] = ran.err.splitlines()
    assert first.endswith("lab.toml, line 2, [daemon]: there is no key nise; did you mean nice?")
    assert second.endswith("lab.toml, line 4, [pools]: CPU = -1 must be 0 to 1000000 slots")
    assert first.startswith("error: ") and second.startswith("error: ")


def test_check_takes_the_usual_file_and_says_which(labsched: Labsched, scratch: Path) -> None:
    assert labsched("config", "check", "gone.toml").code == 2
    usual = scratch / "config" / "labsched" / "config.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text(sample())
    ran = labsched("config", "check")
    assert (ran.code, ran.out) == (0, f"{usual}: nothing is wrong\n")


def test_show_says_every_key_and_its_origin(labsched: Labsched, scratch: Path) -> None:
    (scratch / "lab.toml").write_text("[daemon]\nnice = 3\n[pools]\nCPU = 4\n")
    ran = labsched("config", "show", "--config", "lab.toml", "--origin")
    assert ran.code == 0
    lines = {line.partition(" = ")[0]: line for line in ran.out.splitlines()}
    assert lines["daemon.nice"].endswith(f"# {scratch}/lab.toml:2")
    assert lines["pools.CPU"].endswith(f"# {scratch}/lab.toml:4")
    assert lines["daemon.stop_grace"].endswith("# default")


def test_what_show_prints_is_a_configuration(labsched: Labsched, scratch: Path) -> None:
    (scratch / "lab.toml").write_text('[sort]\nprobe = "a\\"b.toml"\n[sort.klusta]\n"a.b" = [1, "x"]\n')
    (scratch / "shown.toml").write_text(labsched("config", "show", "--config", "lab.toml").out)
    tomllib.loads((scratch / "shown.toml").read_text())

    def values(file: str) -> dict[str, object]:
        shown = json.loads(labsched("config", "show", "--config", file, "--json").out)
        return {setting["key"]: setting["value"] for setting in shown["settings"]}

    one, other = values("lab.toml"), values("shown.toml")
    assert one == other
    assert one['sort.klusta."a.b"'] == [1, "x"]
