"""Which sorters are there, and making their environments."""

import json
import os
import subprocess
import sys

import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.sorters import catalogue
from labsched.ephys.sorters.environments import find, install, look
from labsched.recipes import sorters as recipe

from .standing import environment


def cli(folder, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"LABSCHED_SORTERS": str(folder), "LABSCHED_SOCKET": str(folder / "none.sock"), "COLUMNS": "120"}
    env["LABSCHED_CONFIG"] = "/dev/null"
    return subprocess.run([sys.executable, "-m", "labsched", *words], capture_output=True, text=True, env=env)


def test_the_recipe_and_the_catalogue_name_the_same_sorters():
    assert set(recipe.FOREIGN) == set(catalogue.NAMES)
    assert set(recipe.ON_GPU) == {each.name for each in catalogue.SORTERS.values() if each.gpu}
    assert all(
        "==" in package for each in catalogue.SORTERS.values() for package in (*catalogue.COMMON, *each.packages)
    )


def test_an_unfinished_environment_is_not_there(tmp_path):
    folder = environment(tmp_path) / "mountainsort5"
    assert look(tmp_path, "mountainsort5")
    (folder / "installed.json").write_text("{")
    with pytest.raises(EphysError, match=r"is not installed in .*: labsched sorter install mountainsort5"):
        find(tmp_path, "mountainsort5")


def test_a_package_that_cannot_be_had_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(EphysError, match=r"pip could not install mountainsort5 \(.*spikeinterface.*PyPI"):
        install(tmp_path / "sorters", "mountainsort5", lambda line: None)
    assert not (tmp_path / "sorters" / "mountainsort5").exists()


def test_the_list_says_what_is_there_and_how_to_install_the_rest(tmp_path):
    environment(tmp_path)
    shown = cli(tmp_path, "sorter", "list")
    assert shown.returncode == 0, shown.stderr
    assert "to install: labsched sorter install spykingcircus2" in shown.stdout
    assert "to bring up to date: labsched sorter install mountainsort5 --again" in shown.stdout
    rows = {row["sorter"]: row for row in json.loads(cli(tmp_path, "sorter", "list", "--json").stdout)["sorters"]}
    assert (rows["mountainsort5"]["installed"], rows["kilosort4"]["installed"]) == (True, False)


def test_a_block_for_a_sorter_that_is_not_installed_is_refused(tmp_path):
    refused = cli(tmp_path, "run", "b", "--sorter", "tridesclous2")
    assert refused.returncode == 5
    assert "tridesclous2 is not installed in" in refused.stderr
    assert "labsched sorter install tridesclous2" in refused.stderr
