"""The harness: resumes, repeats nothing, is the same on any executor, and survives what fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ecnas
from ecnas.runs.record import RunRecord
from tests.conftest import ROOT

pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")

from agents import benchmark
from agents.benchmark import Args, Sweep, run_all, tables

SWEEP = """
spaces = ["4V"]
budgets = [12]
checkpoints = [6, 12]
seeds = 4
objectives = ["val_accuracy"]

[[algorithm]]
name = "random"
use = "RandomSearch"

[[algorithm]]
name = "pqt, small queue"
use = "agents.pqt"
queue_size = 3
"""


@pytest.fixture
def sweep_file(tmp_path):
    def write(text=SWEEP):
        path = tmp_path / "sweep.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def run(path, out, **changes):
    args = Args(path, out=out, progress=False, **changes)
    sweep = Sweep.load(path, out)
    return sweep, run_all(sweep, args)


def contents(sweep):
    """Hashes and rewards of all runs, without clocks."""
    return {
        job.path.relative_to(sweep.out).as_posix(): [
            (row["hash"], row["reward"]) for row in RunRecord.load(job.path).rows
        ]
        for job in sweep.jobs()
    }


def test_every_run_is_there_and_the_same_on_one_and_two_processes(sweep_file, tmp_path):
    one, failures = run(sweep_file(), tmp_path / "one")
    assert failures == []
    two, _ = run(sweep_file(), tmp_path / "two", processes=2)
    assert len(contents(one)) == 8
    assert contents(one) == contents(two)
    assert all(len(rows) == 12 for rows in contents(one).values())
    by_seed = {path.split("/")[-2]: rows for path, rows in contents(one).items() if "random" in path}
    assert len({tuple(rows) for rows in by_seed.values()}) == 4
    assert not list((tmp_path / "one").rglob("report.md"))


def test_what_is_there_is_not_run_again(sweep_file, tmp_path):
    out = tmp_path / "out"
    sweep, _ = run(sweep_file(), out)
    before = {job.path: job.path.stat().st_mtime_ns for job in sweep.jobs()}
    lost = sweep.jobs()[5].path
    lost.unlink()
    lost.with_name("record.jsonl.partial").write_text("half a line", encoding="utf-8")
    ended = []
    run_all(sweep, Args(sweep_file(), out=out, progress=False), on_end=lambda job, error: ended.append(job.path))
    assert ended == [lost]
    for path, modified in before.items():
        assert (path.stat().st_mtime_ns == modified) == (path != lost)
    assert not list(out.rglob("*.partial"))


def test_budgets_in_epochs(sweep_file, tmp_path):
    """Whoever trains for fewer epochs may train more cells, but what counts are the fully trained ones."""
    text = SWEEP.replace("budgets = [12]", 'currency = "epochs"\nbudgets = [1_300]')
    text = text.replace("[6, 12]", "[648, 1_296]").replace("seeds = 4", "seeds = 2")
    text += '\n[[algorithm]]\nname = "halving"\nuse = "agents.edit"\nmin_epochs = 36\n'
    sweep, failures = run(sweep_file(text), tmp_path / "out")
    assert failures == []
    for job in sweep.jobs():
        record = RunRecord.load(job.path)
        trainings, epochs = len(record), record.column("epochs")
        assert job.path.parts[-3] == "budget-1300-epochs"
        assert (trainings > 12) == (job.algorithm.name == "halving") == (36 in epochs)
        assert 1_300 - 108 < epochs.sum() <= 1_300
    shown = "\n".join(tables(sweep))
    assert "| at 648 epochs | at 1296 epochs |" in shown
    benchmark_ = ecnas.load("surrogate-4V")
    runs = [RunRecord.load(job.path) for job in sweep.jobs() if job.algorithm.name == "random"]
    regret = np.mean([ecnas.runs.analysis.regret(record, benchmark_)[5] for record in runs])
    assert f"| random | 2 | {100 * regret:.3f} [" in shown


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_sweep_goes_on(sweep_file, tmp_path):
    slow = (
        SWEEP.replace("budgets = [12]", "budgets = [60]").replace("seeds = 4", "seeds = 30").replace("[6, 12]", "[6]")
    )
    path, out = sweep_file(slow), tmp_path / "out"
    command = [sys.executable, "-m", "agents.benchmark", str(path), "--out", str(out), "--no-progress"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(out.rglob("record.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("record.jsonl")}
    sweep = Sweep.load(path, out)
    assert 0 < len(finished) < len(sweep.jobs())
    ended = []
    run_all(sweep, Args(path, out=out, progress=False), on_end=lambda job, error: ended.append(job.path))
    assert sorted([*ended, *finished]) == sorted(job.path for job in sweep.jobs())
    assert all(path.stat().st_mtime_ns == modified for path, modified in finished.items())


def test_a_run_that_fails_is_reported_and_leaves_the_rest(sweep_file, tmp_path, capsys):
    text = SWEEP + '\n[[algorithm]]\nname = "broken"\nuse = "RegularisedEvolution"\npopulation_size = -1\n'
    path = sweep_file(text.replace("seeds = 4", "seeds = 2"))
    assert benchmark.main(Args(path, out=tmp_path / "out", progress=False)) == 1
    shown = capsys.readouterr()
    assert "population_size must be" in shown.err
    assert len(list((tmp_path / "out").rglob("record.jsonl"))) == 4
    assert "| random | 2 |" in shown.out
    assert "broken" not in shown.out


def test_a_process_that_dies_does_not_end_the_sweep(sweep_file, tmp_path, monkeypatch):
    module = tmp_path / "deadly.py"
    module.write_text(
        "import os, pathlib\n"
        "from dataclasses import dataclass\n"
        "from agents import pqt\n"
        "@dataclass\n"
        "class Args(pqt.Args):\n"
        "    once: str = ''\n"
        "def main(args):\n"
        "    mark = pathlib.Path(args.once)\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os._exit(9)\n"
        "    return pqt.main(args)\n",
        encoding="utf-8",
    )
    (tmp_path / "agents.py").unlink(missing_ok=True)
    text = SWEEP.replace("agents.pqt", "agents.deadly").replace("seeds = 4", "seeds = 2")
    path = sweep_file(text + f'once = "{tmp_path / "mark"}"\n')
    # Found as agents.deadly by this process and by those that it starts.
    monkeypatch.setattr(sys.modules["agents"], "__path__", [*sys.modules["agents"].__path__, str(tmp_path)])
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(f"import agents\nagents.__path__.append({str(tmp_path)!r})\n")
    monkeypatch.setenv("PYTHONPATH", f"{startup}{os.pathsep}{ROOT}")
    sweep, failures = run(path, tmp_path / "out")
    assert failures == []
    assert (tmp_path / "mark").exists()
    assert len(contents(sweep)) == 4


def test_another_run_s_record_is_not_taken_for_this_one(sweep_file, tmp_path):
    out = tmp_path / "out"
    run(sweep_file(), out)
    _, failures = run(sweep_file(SWEEP.replace("queue_size = 3", "queue_size = 4")), out)
    assert len(failures) == 4
    assert "holds another run" in failures[0][1]


def test_table_has_the_regrets(sweep_file, tmp_path):
    sweep, _ = run(sweep_file(), tmp_path / "out")
    text = "\n".join(tables(sweep))
    surrogate = ecnas.load("surrogate-4V")
    regrets = []
    for seed in range(4):
        record = RunRecord.load(sweep.path(sweep.algorithms[0], "surrogate-4V", 12, seed))
        chosen = int(np.argmax(record.column("val_accuracy")[:6]))
        best = surrogate.values("test_accuracy").max()
        regrets.append(100 * (best - record.column("test_accuracy")[chosen]))
    assert f"| random | 4 | {np.mean(regrets):.3f} [" in text
    assert surrogate.digest[:12] in text


def test_a_run_without_evaluations_is_counted_but_has_no_figures(sweep_file, tmp_path):
    sweep, _ = run(sweep_file(), tmp_path / "out")
    whole = "\n".join(tables(sweep))
    path = next(job.path for job in sweep.jobs() if job.algorithm.name == "random")
    path.write_text(path.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    assert whole.count("| random | 4 |") == "\n".join(tables(sweep)).count("| random | 3 of 4 |") == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budgets", "budget", "unknown key 'budget'"),
        ("budgets", "currency = 'coins'\nbudgets", "currency must be one of evaluations, epochs, energy, time"),
        ("seeds = 4", "", "'seeds' is missing"),
        ('spaces = ["4V"]', "", "either 'benchmarks' or 'spaces'"),
        ('name = "random"', 'name = "pqt, small queue"', "different names"),
        ("seeds = 4", "seeds = [1]", r"seeds must be a number, or \[first, last"),
    ],
)
def test_mistakes_in_a_sweep_file_are_named(sweep_file, old, new, message):
    with pytest.raises(ValueError, match=message):
        Sweep.load(sweep_file(SWEEP.replace(old, new, 1)))


def test_ray_cluster_that_loses_a_node(sweep_file, tmp_path):
    ray = pytest.importorskip("ray", reason="the executor needs ray")
    from ray.cluster_utils import Cluster

    text = SWEEP.replace("seeds = 4", "seeds = 3")
    here, _ = run(sweep_file(text), tmp_path / "here")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
    )
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
        ray.init(address=cluster.address, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}, log_to_driver=False)
        cluster.wait_for_nodes()
        lost = []

        def lose_a_node(job, error):
            if not lost:
                lost.append(job)
                cluster.remove_node(node, allow_graceful=False)

        path, out = sweep_file(text), tmp_path / "there"
        there = Sweep.load(path, out)
        failures = run_all(there, Args(path, out=out, executor="ray", progress=False), on_end=lose_a_node)
        assert failures == []
        assert lost
        assert not node.any_processes_alive()
        assert contents(there) == contents(here)
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from agents.benchmark import _die_with_parent\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), initializer=_die_with_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 300).result()\n",
        encoding="utf-8",
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert _runs(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)
