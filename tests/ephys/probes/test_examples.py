"""The examples that people copy work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from labsched.ephys.probes import builtin, resolve
from labsched.ephys.probes.files import Rig, load

EXAMPLES = Path(__file__).parents[3] / "examples"
RIGS = sorted((EXAMPLES / "rigs").glob("*.toml"))
PROBES = sorted(path for end in ("*.prb", "*.json") for path in (EXAMPLES / "probes").glob(end))


@pytest.mark.parametrize("path", RIGS, ids=lambda path: path.name)
def test_each_rig_lays_out_its_ports(path):
    rig = load(path, Path())
    assert isinstance(rig, Rig)
    assert resolve(path, list(rig.ports)).labels == tuple(rig.ports)


@pytest.mark.parametrize("path", PROBES, ids=lambda path: path.name)
def test_each_probe_lays_out_as_many_channels(path):
    layout = resolve(path, [f"Port_{k}" for k in range(8)])
    assert sum(len(group.channels) for group in layout.groups) == 8


def test_there_are_examples():
    assert RIGS
    assert PROBES


def test_the_table_of_built_in_probes_is_whole():
    listed = re.findall(r"`([a-z]+[0-9][a-z0-9-]*)`", (EXAMPLES / "probes" / "README.md").read_text())
    assert sorted(listed) == sorted(builtin())


def test_the_block_maker_runs(tmp_path):
    words = [sys.executable, str(EXAMPLES / "make_block.py"), str(tmp_path), "--seconds", "1", "--name", "b"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"block  {tmp_path / 'b'}" in said
    assert len(list((tmp_path / "b").iterdir())) == 2
