"""Tools are loaded and libraries read in threads: what several of them do first must not end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRIES = 6  # without the care taken, about every second one ends in a segmentation fault
AT_ONCE = """
import sys
import threading

{imports}

sys.setswitchinterval(1e-6)
start = threading.Barrier(8)

def first():
    start.wait()
    {call}

threads = [threading.Thread(target=first) for _ in range(start.parties)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
FRONT_MATTER = "title: Greeting\\ndescription: Words to begin with\\narguments:\\n- {name: who, description: Whom}\\n"


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        pytest.param(
            "from tools.prompts.front_matter import declared", f'declared("{FRONT_MATTER}")', id="front matter"
        ),
        pytest.param("from tools.bedrock.prices import load", "load(None)", id="prices"),
        pytest.param(
            "from pathlib import Path; from tools.bedrock.settings import load",
            "load({'BEARERGATE_BEDROCK': 'bedrock.yaml'}, Path(sys.argv[1]))",
            id="bedrock settings",
        ),
    ],
)
def test_threads_that_are_all_the_first_to_read(imports: str, call: str, tmp_path: Path) -> None:
    (tmp_path / "bedrock.yaml").write_text("accounts: [{id: '123456789012', groups: [admins]}]\n")
    for _ in range(TRIES):
        script = AT_ONCE.format(imports=imports, call=call)
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-500:]}"
