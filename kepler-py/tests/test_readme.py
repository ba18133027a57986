"""The examples of the READMEs run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("readme", ["README.md", "kepler-py/README.md"])
def test_the_examples_run_from_top_to_bottom(readme, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text(), re.S)
    assert blocks
    exec(compile("\n".join(blocks), readme, "exec"), {})  # noqa: S102
    assert capsys.readouterr().out
