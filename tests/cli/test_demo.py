import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest

from anytime.cli.main import main
from anytime.model_store import Store
from anytime.policy import load_trace
from anytime.training.calibration import hold

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
"""So that a checkout that is not installed is found from any folder."""


@pytest.fixture
def folder(demo_folder, tmp_path, monkeypatch):
    """A copy of what a first run made, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(demo_folder, tmp_path / ".demo")


@contextlib.contextmanager
def demo():
    """A running demo and the lines it printed up to the last."""
    command = [sys.executable, "-m", "anytime.cli.main", "demo", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Ctrl-C stops" in line:
                break
        try:
            yield lines
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            process.wait(30)


def shell(lines, beginning):
    """The printed lines that begin so, run as they are printed; the first one's output."""
    line = next(line for line in lines if line.startswith(beginning))
    command = ["sh", "-c", line]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=ENVIRONMENT)
    return result.stdout


def answered(predict, picture, patience_s=20):
    """The row of a model that is about to be served."""
    end = time.monotonic() + patience_s
    while True:
        reply = httpx.post(
            predict, content=picture.read_bytes(), headers={"Content-Type": "image/png"}, trust_env=False
        )
        if reply.status_code == 200 or time.monotonic() > end:
            return reply.json()["rows"][0]
        time.sleep(0.1)


def test_a_second_run_serves_what_the_first_made(folder):
    """Nothing is trained; pictures are answered, streamed, and documented."""
    start = time.perf_counter()
    with demo() as lines:
        assert time.perf_counter() - start < 20
        assert not any("Training" in line for line in lines)
        url = next(line.split()[2] for line in lines if line.startswith("Serving at")).rstrip(".")
        predict = f"{url}/v1/models/digits/predict"
        with httpx.Client(headers={"Content-Type": "image/png"}, trust_env=False) as client:
            pictures = [(folder / f"digit-{digit}.png").read_bytes() for digit in range(10)]
            rows = [client.post(predict, content=picture).json()["rows"][0] for picture in pictures]
            assert [row["label"] for row in rows] == list("0123456789")
            assert (rows[7]["exit"], rows[7]["stop_reason"]) == (1, "confidence")
            hard = (folder / "digit-hard.png").read_bytes()
            events = client.post(predict, content=hard, headers={"Accept": "text/event-stream"}).text
            assert events.count("event: prediction") == 2
            staged = f"{url}/v1/models/digits-ztw/predict"
            rows = [client.post(staged, content=picture).json()["rows"][0] for picture in pictures]
            assert [row["label"] for row in rows] == list("0123456789") and all(row["exit"] < 6 for row in rows)
            surer = {"confidence": 0.999}
            events = client.post(staged, content=hard, params=surer, headers={"Accept": "text/event-stream"}).text
            assert events.count("event: prediction") > 1 and events.count("event: final") == 1
            assert client.get(f"{url}/docs").status_code == 200
            assert 'anytime_exit_depth_count{model="digits",version="1"} 11.0' in client.get(f"{url}/metrics").text
    assert Store(folder / "models").versions("digits") == (1,)


@pytest.mark.skipif(shutil.which("curl") is None, reason="not installed: curl")
def test_the_lines_to_try_work(folder):
    """As printed, from the folder where the demo was started: curl, predict, and a cascade that is then served."""
    with demo() as lines:
        assert '"label":"7"' in shell(lines, "curl -H 'Content-Type: image/png' --data-binary @.demo/digit-7.png")
        assert "event: final" in shell(lines, "curl -N")
        commands = [line for line in lines if " predict " in line or " cascade " in line]
        assert len(commands) == 3
        assert "digits version 1" in shell(commands, commands[0])
        assert "digits-ztw version 1" in shell(commands, commands[1])
        assert "committee version 1: 2 exits" in shell(commands, commands[2])
        url = next(line.split()[2] for line in lines if line.startswith("Serving at")).rstrip(".")
        assert answered(f"{url}/v1/models/committee/predict", folder / "digit-7.png")["label"] == "7"


def test_everything_can_be_made_without_serving(folder, capsys):
    """And what is there is described."""
    assert main(["demo", "--no-serve"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("digits version 1, on digits that it was neither trained nor calibrated on:")
    assert "592 multiply-adds" in said
    assert "digits-ztw version 1, right by share of multiply-adds, exit by exit: " in said


def test_the_network_with_exits_is_worth_its_name(folder):
    """On test digits its exits grow better, the last are above 97 %, and half the multiply-adds lose little."""
    bundle = Store(folder / "models").open("digits-ztw")
    metrics = list(bundle.manifest.provenance.metrics.values())
    assert bundle.manifest.method == "ztw" and len(metrics) == 6
    assert metrics[0] > 0.85 and min(metrics[3:]) > 0.97
    trace = load_trace(folder / "runs" / "digits-ztw" / "traces" / "test.npz", bundle.manifest)
    held = hold({"target": "cost-50"}, bundle.manifest, bundle.flow, trace)
    assert held.cost <= 0.6 and held.accuracy > 0.96


def test_a_damaged_bundle_is_made_again(folder, capsys):
    """As the next version; the damaged one stays for whoever wants to look at it."""
    (folder / "models" / "digits" / "1" / "card.md").write_text("other")
    assert main(["demo", "--no-serve"]) == 0
    said = capsys.readouterr().out
    assert "is damaged ('card.md' has" in said
    assert "Trained, calibrated and published" in said
    assert Store(folder / "models").verify("digits").manifest.version == 2
