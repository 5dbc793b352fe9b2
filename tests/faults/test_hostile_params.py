"""Parameters that would run code or fill the memory when they are read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trueframe import params
from trueframe.errors import UserError

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()


TAGS = {
    "apply": "!!python/object/apply:os.system ['touch pwned']",
    "new": "!!python/object/new:subprocess.Popen [['touch', 'pwned']]",
    "module": "!!python/module:os",
    "name": "!!python/name:os.system",
    "own": "!run 'touch pwned'",
    "binary": "!!binary dG91Y2ggcHduZWQ=",
}


@pytest.mark.parametrize("name", TAGS)
def test_a_tag_in_the_parameters_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params\.yaml: (not YAML|\d+ wrong)"):
        params.parse(PARAMS.replace("method: part", f"method: {TAGS[name]}"), "params.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["method: part", "margin: 0.3333", "nowhere"])
def test_aliases_that_stand_for_a_thousand_million_values_are_a_short_message(place: str) -> None:
    layers = [f"&x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 10)]
    if place == "nowhere":
        text = "\n".join(f"- {layer}" for layer in ["&x0 [lol]", *layers])
    else:
        text = "\n".join(f"x{n}: {layer}" for n, layer in enumerate(["&x0 [lol]", *layers])) + "\n"
        text += PARAMS.replace(place, f"{place.partition(':')[0]}: *x9")
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        params.parse(text, "params.yaml")
    assert len(str(caught.value)) < 5000
    assert time.monotonic() - begun < 5
