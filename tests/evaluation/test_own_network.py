"""The example of docs/own-network.md, as it stands there."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs/own-network.md"


def test_a_network_of_ordinary_layers_runs_on_tiles_as_the_page_says(capsys):
    torch.manual_seed(1)
    example, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(compile(example, PAGE.name, "exec"), names)
    result = names["result"]
    assert result.software == result.ideal
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == str(result.software)
    plain, flipped = (run.layers["2.binary"] for run in result.runs)
    assert flipped.partial_sum < plain.partial_sum
