"""The benchmark of the server runs, and writes its tables."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dbos", reason="serving is not installed: pip install 'happyhorse[serve]'")
BENCH = Path(__file__).parents[2] / "bench" / "serve.py"


@pytest.mark.slow
def test_the_page_gets_its_tables(tiny_model, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: serve -->\nold\n<!-- end -->\nafter\n")
    few = ["--videos", "16", "--rounds", "1", "--clips", "1"]
    command = [sys.executable, str(BENCH), "--model", str(tiny_model), *few, "--write", str(page)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stderr[-3000:]
    text = page.read_text()
    assert text.startswith("before\n<!-- bench: serve -->\n") and text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    rates = [int(rate) for rate in re.findall(r"^\| \d+ \| (\d+) \|", text, re.M)]
    assert len(rates) == 3 and min(rates) >= 0
    ratios = [float(ratio) for ratio in re.findall(r"\| ([\d.]+) \|$", text, re.M)[-3:]]
    assert len(ratios) == 3 and all(0 < ratio < 100 for ratio in ratios)
