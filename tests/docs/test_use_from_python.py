"""The examples of the how-to are run, one after the other, as in a notebook."""

import ast
import asyncio
import inspect
import shutil
from typing import Any

import pytest

from labsched.ephys.synth import Recipe, make
from tests.docs.pages import ROOT, fences
from tests.worlds import QUICK, world

PAGE = ROOT / "docs/how-to/use-from-python.md"
CONFIG = f"""{QUICK}
[sort]
source = "mat/{{block}}"
target = "phy/{{block}}"
probe = "rig.toml"
"""


def run_cell(text: str, names: dict[str, Any]) -> Any:
    """Run it as a notebook does; returns what its last line says, if that is an expression."""
    tree = ast.parse(text)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    found = None
    for part, mode in ((tree, "exec"), (last, "eval")):
        if part is not None:
            found = eval(compile(part, str(PAGE), mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if inspect.iscoroutine(found):
                found = asyncio.run(found)
    return found


def test_the_examples_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    shown: list[Any] = []
    with world(CONFIG) as it:
        made = make(it.folder / "made", Recipe(name="B", seconds=2, shanks=1, sites=6, units=2, movement=0))
        shutil.copytree(made.folder, it.folder / "mat/rat12/2024-03-10")
        shutil.copy(made.probe, it.folder)
        shutil.copy(made.rig, it.folder / "rig.toml")
        monkeypatch.chdir(it.folder)
        monkeypatch.setenv("LABSCHED_SOCKET", str(it.folder / "s"))
        for fence in fences(PAGE):
            if fence.language == "python":
                shown.append(run_cell(fence.text.replace("Port_20,Port_21", made.omit), names))
        assert names["sorting"].outcome == "cancelled"
        assert names["evaluation"].succeeded
    assert shown[1]._repr_html_().startswith("<table>")
    assert [job.name for job in shown[2]] == ["rate 0.1", "rate 0.01", "rate 0.001"]
    said = capsys.readouterr().out
    assert "it failed" not in said
    assert "it has no results" not in said
    assert said.count("one\ntwo\n") == 2
