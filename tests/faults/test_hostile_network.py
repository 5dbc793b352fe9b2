"""A run uses no network but the hub and the tracking server that the user named, and serves nobody outside."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trueframe.dag import STAGES
from workspaces import REPO, call, clone, closed_network, edit_params, environment, watched

pytestmark = pytest.mark.usefixtures("no_tracking_server")
CLOSED = "the kernel lets nobody close the network here"


def uses(log: Path) -> list[str]:
    """What the processes of a run noted beyond their start."""
    return [line for line in log.read_text().splitlines() if not line.startswith("start ")]


def test_a_whole_run_needs_no_network_and_tries_none(finished_workspace: Path) -> None:
    """The run that made this workspace: see conftest.py."""
    log = finished_workspace.parent / "network.log"
    started = log.read_text()
    for stage in STAGES:
        assert re.search(rf"^start .*'trueframe', '{stage}'", started, re.MULTILINE), stage
    print(f"{started.count('start ')} processes, closed by {' '.join(closed_network()) or 'nothing'}")
    assert uses(log) == []
    if not closed_network():
        pytest.skip(CLOSED)


def test_a_process_that_tries_is_noted_and_gets_nowhere(tmp_path: Path) -> None:
    if not closed_network():
        pytest.skip(CLOSED)
    code = """
import socket, urllib.request
for host in ("192.0.2.1", "127.0.0.1"):
    try:
        socket.create_connection((host, 9), timeout=5)
    except OSError as error:
        print(type(error).__name__, error.errno)
try:
    urllib.request.urlopen("http://example.org")
except OSError as error:
    print("no such host")
socket.socket().bind(("0.0.0.0", 0))
"""
    done = call(tmp_path, *closed_network(), sys.executable, "-c", code, **watched(tmp_path / "log"))
    assert done.stdout.splitlines() == ["OSError 101", "OSError 101", "no such host"]
    seen = [line.partition(" by ")[0] for line in uses(tmp_path / "log")]
    assert "socket.connect ('192.0.2.1', 9)" in seen
    assert "socket.getaddrinfo example.org" in seen
    assert "socket.bind ('0.0.0.0', 0)" in seen
    assert not any("127.0.0.1" in line for line in seen)


@pytest.mark.long
def test_the_demo_is_made_with_the_network_closed(tmp_path: Path) -> None:
    if not closed_network():
        pytest.skip(CLOSED)
    place = clone(tmp_path / "w")
    (place / ".venv").symlink_to(sys.prefix)
    words = (*closed_network(), "make", "--old-file=.venv/ready", "demo")
    done = call(place, *words, **watched(tmp_path / "log"))
    assert "reports/submission.csv" in done.stdout
    assert (place / "reports/submission.csv").is_file()
    assert uses(tmp_path / "log") == []


def listening(pid: int) -> set[str]:
    """Addresses, as the kernel writes them, on which anybody listens in a process's network; none while it is ours."""
    found: set[str] = set()
    try:
        if Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            return found
        for path in Path(f"/proc/{pid}/net").glob("tcp*"):
            for line in path.read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A":
                    found.add(local.partition(":")[0])
    except FileNotFoundError:
        return set()  # it has ended meanwhile
    return found


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


@pytest.mark.long
def test_processes_that_train_together_listen_on_the_loopback_alone(finished: Path) -> None:
    """In a network of their own, where nobody else listens."""
    if not closed_network() or shutil.which("ip") is None:
        pytest.skip(f"{CLOSED}, or there is no `ip`")
    edit_params(finished, {"models.epochs": 3, "models.keep": 1})
    words = (
        *closed_network(),
        "sh",
        "-c",
        "ip link set lo up && exec python -m trueframe models 1 --device cpu --devices 2",
    )
    place = environment(finished) | {"PYTHONPATH": str(finished / "src")}
    with (finished / "log").open("wb") as log:
        training = subprocess.Popen(words, cwd=finished, env=place, stdout=log, stderr=log)
    seen: set[str] = set()
    while training.poll() is None:
        seen |= listening(training.pid)
        time.sleep(0.05)
    assert training.returncode == 0, (finished / "log").read_text()
    print(f"listened on {seen}")
    assert seen
    assert seen <= LOOPBACK


def test_the_page_of_mlflow_is_served_to_this_machine_alone() -> None:
    told = call(REPO, "make", "--dry-run", "--old-file=.venv/ready", "mlflow-ui").stdout
    assert re.search(r"mlflow ui --host 127\.0\.0\.1 ", told)
    for path in [REPO / "README.md", *(REPO / "docs").glob("*.md"), *(REPO / "src").rglob("*.py")]:
        assert "0.0.0.0" not in path.read_text(), path  # noqa: S104 - it is what must not stand there
        for line in re.findall(r"mlflow (?:ui|server).*", path.read_text()):
            assert "--host 127.0.0.1" in line, (path, line)
