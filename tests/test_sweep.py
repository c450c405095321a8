"""Sweeps: shared by any number of processes, resumed, never stale, and the same on any executor."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, synthetic_table

import ecnas
from ecnas.cli import main
from ecnas.files import read_toml
from ecnas.runs import RunRecord, benchmark_of
from ecnas.runs.claim import claimed
from ecnas.runs.executors import Queue, begin_worker, blocks, on_processes, on_ray, run_sweep
from ecnas.runs.method import find_method, make_method
from ecnas.runs.sweep import Sweep, SweepError, batches, execute

SWEEP = """
spaces = ["4V"]
budgets = [12]
checkpoints = [6, 12]
seeds = 4
objectives = ["val_accuracy"]

[[algorithm]]
name = "random"
use = "ecnas.search:RandomSearch"

[[algorithm]]
name = "pqt, small queue"
use = "ecnas_gym.agents.pqt:PriorityQueueTraining"
queue_size = 3
"""

MINE = """
import importlib.util
import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Mine:
    step: int = 1
    pause: float = 0.0
    die_once: str = ""

    def run(self, evaluate, rng):
        if self.die_once and not os.path.exists(self.die_once):
            open(self.die_once, "w").close()
            os._exit(9)
        row = 0
        while True:
            time.sleep(self.pause)
            evaluate(evaluate.benchmark.space[row % len(evaluate.benchmark.space)])
            row += self.step
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a method of one's own and a sweep of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "mine.py").write_text(MINE)
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def write(folder, text=SWEEP):
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run(path, out, processes=1, **options):
    sweep = Sweep.load(path, out)
    return sweep, run_sweep(sweep, on_processes(processes), progress=False, **options)


def contents(sweep):
    """Hashes and rewards of all runs, without clocks."""
    return {
        job.path.relative_to(sweep.out).as_posix(): [
            (row["hash"], row["reward"]) for row in RunRecord.load(job.path).rows
        ]
        for job in sweep.jobs()
    }


def ecnas_sweep(folder, *arguments):
    """Another process that works on a sweep."""
    return subprocess.Popen(
        [sys.executable, "-m", "ecnas", "sweep", *map(str, arguments)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored by what runs in the background
    )  # fmt: skip


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def test_every_run_is_there_and_the_same_on_one_and_two_processes(folder):
    one, failures = run(write(folder), folder / "one")
    assert failures == []
    two, _ = run(write(folder), folder / "two", processes=2)
    assert len(contents(one)) == 8
    assert contents(one) == contents(two)
    assert all(len(rows) == 12 for rows in contents(one).values())
    by_seed = {path.split("/")[-2]: rows for path, rows in contents(one).items() if "random" in path}
    assert len({tuple(rows) for rows in by_seed.values()}) == 4
    assert {path.name for path in (folder / "one").rglob("*") if path.is_file()} == {"record.jsonl", "cell.json"}


def test_what_is_there_is_not_run_again(folder):
    out = folder / "out"
    sweep, _ = run(write(folder), out)
    before = {job.path: job.path.stat().st_mtime_ns for job in sweep.jobs()}
    lost = sweep.jobs()[5].path
    lost.unlink()
    lost.with_name("record.jsonl.partial").write_text("half a line", encoding="utf-8")
    ended = []
    run(write(folder), out, on_end=lambda job, outcome: ended.append(job.path))
    assert ended == [lost]
    for path, modified in before.items():
        assert (path.stat().st_mtime_ns == modified) == (path != lost)
    assert not list(out.rglob("*.partial"))


def test_budgets_in_epochs(folder, capsys):
    """Whoever trains for fewer epochs may train more cells, but what counts are the fully trained ones."""
    text = SWEEP.replace("budgets = [12]", 'currency = "epochs"\nbudgets = [1_300]')
    text = text.replace("[6, 12]", "[648, 1_296]").replace("seeds = 4", "seeds = 2")
    text += '\n[[algorithm]]\nname = "halving"\nuse = "ecnas_gym.agents.edit:Editing"\nmin_epochs = 36\n'
    sweep, failures = run(write(folder, text), folder / "out")
    assert failures == []
    for job in sweep.jobs():
        record = RunRecord.load(job.path)
        epochs = record.column("epochs")
        assert job.path.parts[-3] == "budget-1300-epochs"
        assert (len(record) > 12) == (job.algorithm.name == "halving") == (36 in epochs)
        assert 1_300 - 108 < epochs.sum() <= 1_300
        # The recorded reward is the agent's, on the scale of the epochs that it chose.
        for row in record.rows:
            evaluation = ecnas.load("surrogate-4V").query_row(row["row"], row["epochs"])
            assert row["reward"] == float(sweep.task("surrogate-4V", 0).judge(evaluation).reward)


def test_names_that_differ_have_folders_that_differ(folder):
    text = SWEEP.replace('name = "random"', 'name = "a/b"').replace('name = "pqt, small queue"', 'name = "a-b"')
    sweep, failures = run(write(folder, text), folder / "out")
    assert failures == []
    for job in sweep.jobs():
        record = RunRecord.load(job.path)
        assert record.name == job.algorithm.name
        assert record.header["method"]["class"] == {"a/b": "RandomSearch", "a-b": "PriorityQueueTraining"}[record.name]
    assert len({job.path for job in sweep.jobs()}) == 8


STALE = {
    "a setting changed": (SWEEP.replace("queue_size = 3", "queue_size = 4"), "pqt, small queue", "queue_size 3 → 4"),
    "a setting deleted": (SWEEP.replace("queue_size = 3", ""), "pqt, small queue", "queue_size 3 → 5"),
    "other objectives": (
        SWEEP.replace('["val_accuracy"]', '["val_accuracy", "energy"]'), "random", "objectives ['val_accuracy'] →",
    ),
    "another scalarisation": (SWEEP + "", "random", "scalarisation"),
    "other epochs": ("epochs = 36\n" + SWEEP, "random", "epochs 108 → 36"),
    "another method": (
        SWEEP.replace("ecnas.search:RandomSearch", "ecnas.search:LocalSearch"), "random",
        "class 'RandomSearch' → 'LocalSearch'",
    ),
}  # fmt: skip
STALE["another scalarisation"] = ('scalarisation = "chebyshev"\n' + SWEEP, "random", "type 'Linear' → 'Chebyshev'")


@pytest.mark.parametrize("kind", STALE)
def test_a_record_of_another_run_is_told_and_left_until_it_is_to_be_replaced(folder, capsys, kind):
    text, name, words = STALE[kind]
    out = folder / "out"
    first, _ = run(write(folder), out)
    before = contents(first)
    capsys.readouterr()
    sweep, failures = run(write(folder, text), out)
    shown = capsys.readouterr().err
    (line,) = [line for line in shown.splitlines() if line.startswith(f"{name}: 4 records are of other runs")]
    assert words in line
    assert f"--rerun '{name}'" in line
    assert {job.algorithm.name for job, _ in failures} >= {name}
    assert {path: rows for path, rows in contents(first).items() if name in path} == {
        path: rows for path, rows in before.items() if name in path
    }
    _, failures = run(write(folder, text), out, rerun=[a.name for a in sweep.algorithms])
    assert failures == []
    assert run(write(folder, text), out)[1] == []


def test_a_default_that_changed_in_the_source_makes_another_run(folder, capsys):
    text = SWEEP + '\n[[algorithm]]\nname = "mine"\nuse = "mine.py:Mine"\n'
    path = write(folder, text)
    arguments = [path, "--out", folder / "out", "--quiet"]
    assert ecnas_sweep(folder, *arguments).wait() == 0
    (folder / "mine.py").write_text(MINE.replace("step: int = 1", "step: int = 2"))
    process = ecnas_sweep(folder, *arguments)
    process_output, errors = process.communicate()
    assert process.returncode == 2
    assert "mine: 4 records are of other runs and are not reused (source changed; step 1 → 2)" in errors
    assert "mine" not in process_output
    assert "Traceback" not in errors
    process = ecnas_sweep(folder, *arguments, "--rerun", "mine")
    assert process.wait() == 0
    record = RunRecord.load(folder / "out" / "surrogate-4V" / "mine" / "budget-12" / "seed-0" / "record.jsonl")
    assert record.column("row").tolist() == list(range(0, 24, 2))


def test_two_sweeps_on_one_folder_share_the_work(folder):
    text = SWEEP.replace("seeds = 4", "seeds = 10") + (
        '\n[[algorithm]]\nname = "mine"\nuse = "mine.py:Mine"\npause = 0.01\n'
    )
    path = write(folder, text)
    both = [ecnas_sweep(folder, path, "--out", folder / "out", "--processes", 2) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0][0] == outputs[1][0]  # both tables are of all runs
    sweep = Sweep.load(path, folder / "out")
    alone, _ = run(path, folder / "alone")
    assert contents(sweep) == contents(alone)
    files = {path.name for path in (folder / "out").rglob("*") if path.is_file()}
    assert files == {"record.jsonl", "cell.json"}  # no claims, nothing partial, nothing damaged


def test_a_claimed_run_is_left_to_whoever_claimed_it(folder):
    sweep = Sweep.load(write(folder), folder / "out")
    job = sweep.jobs()[0]
    with claimed(job.path):
        assert execute([job])[0].kind == "claimed"
        assert not job.path.exists()
    assert execute([job])[0].kind == "done"
    modified = job.path.stat().st_mtime_ns
    assert execute([job])[0].kind == "done"
    assert job.path.stat().st_mtime_ns == modified


def test_a_killed_sweep_goes_on_and_its_claims_are_taken_over(folder):
    text = SWEEP + '\n[[algorithm]]\nname = "mine"\nuse = "mine.py:Mine"\npause = 0.05\n'
    path, out = write(folder, text.replace("seeds = 4", "seeds = 8")), folder / "out"
    process = ecnas_sweep(folder, path, "--out", out, "--quiet")
    wait_for(lambda: len(list(out.rglob("record.jsonl"))) > 2 and list(out.rglob("*.partial")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("record.jsonl")}
    sweep = Sweep.load(path, out)
    assert 0 < len(finished) < len(sweep.jobs())
    ended = []
    _, failures = run(path, out, on_end=lambda job, outcome: ended.append(job.path))
    assert failures == []
    assert sorted([*ended, *finished]) == sorted(job.path for job in sweep.jobs())
    assert all(path.stat().st_mtime_ns == modified for path, modified in finished.items())
    assert not [*out.rglob("*.partial"), *out.rglob(".*.lock")]


@pytest.mark.parametrize(
    "damage", [lambda c: c[: len(c) // 2], lambda c: c.rpartition(b"\n{")[0] + b"\n", lambda c: b""]
)
def test_a_damaged_record_is_named_set_aside_and_run_again(folder, capsys, damage):
    sweep, _ = run(write(folder), folder / "out")
    before = contents(sweep)
    victim = sweep.jobs()[3].path
    whole = victim.read_bytes()
    victim.write_bytes(damage(whole))
    assert main(["sweep", str(folder / "sweep.toml"), "--out", str(folder / "out"), "--table"]) == 0
    capsys.readouterr()
    ended = []
    _, failures = run(folder / "sweep.toml", folder / "out", on_end=lambda job, outcome: ended.append(job.path))
    assert failures == []
    assert ended == [victim]
    assert f"run again: {victim}" in capsys.readouterr().err
    assert victim.with_name("record.damaged-1").read_bytes() == damage(whole)
    assert contents(sweep) == before


def test_a_run_that_fails_is_reported_and_leaves_the_rest(folder, capsys):
    (folder / "mine.py").write_text(MINE.replace("        row = 0\n", "        raise RuntimeError('no luck')\n"))
    text = SWEEP.replace("seeds = 4", "seeds = 2") + '\n[[algorithm]]\nname = "broken"\nuse = "mine.py:Mine"\n'
    assert main(["sweep", str(write(folder, text)), "--out", str(folder / "out"), "--quiet"]) == 2
    shown = capsys.readouterr()
    assert "RuntimeError: no luck" in shown.err
    assert "2 of 6 runs were not completed" in shown.err
    assert len(list((folder / "out").rglob("record.jsonl"))) == 4


def test_a_process_that_dies_does_not_end_the_sweep(folder):
    mark = folder / "mark"
    text = SWEEP.replace("seeds = 4", "seeds = 2")
    text += f'\n[[algorithm]]\nname = "deadly"\nuse = "mine.py:Mine"\ndie_once = "{mark}"\n'
    sweep, failures = run(write(folder, text), folder / "out", processes=2)
    assert failures == []
    assert mark.exists()
    assert len(contents(sweep)) == 6


def test_a_table_of_one_s_own_is_swept_and_found_again(folder):
    synthetic_table("4V", name="lab").save(folder / "my-lab")
    text = SWEEP.replace('spaces = ["4V"]', f'benchmarks = ["{folder / "my-lab"}"]').replace("seeds = 4", "seeds = 1")
    sweep, failures = run(write(folder, text), folder / "out")
    assert failures == []
    for job in sweep.jobs():
        record = RunRecord.load(job.path)
        assert "my-lab" in job.path.parts
        assert benchmark_of(record.header).digest == ecnas.load(folder / "my-lab").digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budgets", "budget", "unknown key 'budget'; did you mean 'budgets'"),
        ("budgets", "currency = 'coins'\nbudgets", "currency must be one of 'evaluations', 'epochs', 'energy', 'time'"),
        ("budgets = [12]", "budgets = [0]", r"budgets must be a list of numbers above 0, got \[0\]"),
        ("budgets = [12]", "budgets = 12", "budgets must be a list of numbers above 0, got 12"),
        ("budgets = [12]", "budgets = ['12']", "budgets must be a list of numbers above 0"),
        ("seeds = 4", "", "'seeds' is missing"),
        ("seeds = 4", "seeds = '4'", "seeds must be a whole number above 0, or .* got '4'"),
        ("seeds = 4", "seeds = [1]", r"seeds must be a whole number above 0, or \[first, last \+ 1\], got \[1\]"),
        ("seeds = 4", "seeds = [3, 3]", "seeds must be"),
        ("seeds = 4", "seeds = true", "seeds must be"),
        ("seeds = 4", "seeds = 1_000_000_000_000_000_000_000", "seeds must be at most 1,000,000 whole numbers below"),
        ("seeds = 4", "seeds = 1_000_001", "seeds must be at most 1,000,000 whole numbers below"),
        ("seeds = 4", f"seeds = [{2**63}, {2**63 + 2}]", "seeds must be at most 1,000,000 whole numbers below"),
        ('spaces = ["4V"]', "", "either 'benchmarks' or 'spaces'"),
        ('spaces = ["4V"]', 'spaces = "4V"', "spaces must be a list of texts, got '4V'"),
        ('spaces = ["4V"]', 'benchmarks = ["surogate-4V"]', "Did you mean 'surrogate-4V'"),
        ('spaces = ["4V"]', 'spaces = ["8V"]', "unknown benchmark .*surrogate-8V"),
        ('["val_accuracy"]', '["val_acuracy"]', "unknown objective 'val_acuracy'"),
        ('["val_accuracy"]', '"val_accuracy"', "objectives must be a list of texts"),
        ('name = "random"', 'name = "pqt, small queue"', "different names, 'pqt, small queue' is there twice"),
        ("queue_size = 3", "queue_sise = 3", "algorithm 'pqt, small queue': unknown setting 'queue_sise'"),
        ("queue_size = 3", "queue_size = '3'", "queue_size must be int, got '3'"),
        ("search:RandomSearch", "search:RandomSearhc", "algorithm 'random': ecnas.search has no class 'RandomSearhc'"),
        ('use = "ecnas.search:RandomSearch"', "", r"\[\[algorithm\]\] 1 must have a text 'use'"),
        ("seeds = 4", "seeds = 4\nepochs = 5", r"epochs must be one of \[4, 12, 36, 108\]"),
        ("seeds = 4", "seeds = 4\nrepeat = 'all'", "repeat must be 'mean', 'random' or the number of a training"),
        ("seeds = 4", "seeds = 4\nnoise = 'lots'", "noise must be one of 'per seed'"),
        ("seeds = 4", "seeds = = 4", "is no TOML file"),
    ],
)
def test_mistakes_in_a_sweep_file_are_named_before_anything_runs(folder, capsys, old, new, message):
    path = write(folder, SWEEP.replace(old, new, 1))
    with pytest.raises(SweepError, match=message):
        Sweep.load(path)
    assert main(["sweep", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_all_mistakes_are_named_once_each(folder):
    text = SWEEP.replace("queue_size", "queue_sise").replace("RandomSearch", "RandomSaerch") + "\nx = 1\n"
    with pytest.raises(SweepError) as refused:
        Sweep.load(write(folder, text))
    assert len(str(refused.value).splitlines()) == 2
    with pytest.raises(SweepError, match=r"there is no file .*none.toml"):
        Sweep.load(folder / "none.toml")


def test_a_byte_order_mark_is_no_mistake(folder):
    path = folder / "sweep.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SWEEP.encode())
    assert len(Sweep.load(path).jobs()) == 8


def test_unknown_methods_are_not_rerun(folder, capsys):
    assert main(["sweep", str(write(folder)), "--rerun", "randon"]) == 2
    assert "unknown algorithm 'randon'. Did you mean 'random'?" in capsys.readouterr().err


def test_ray_cluster_that_loses_a_node(folder):
    ray = pytest.importorskip("ray", reason="the executor needs ray")
    from ray.cluster_utils import Cluster

    text = SWEEP.replace("seeds = 4", "seeds = 3")
    here, _ = run(write(folder, text), folder / "here")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
    )
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
        ray.init(address=cluster.address, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}, log_to_driver=False)
        cluster.wait_for_nodes()
        lost = []

        def lose_a_node(job, outcome):
            if not lost:
                lost.append(job)
                cluster.remove_node(node, allow_graceful=False)

        there = Sweep.load(write(folder, text), folder / "there")
        assert run_sweep(there, on_ray(), progress=False, on_end=lose_a_node) == []
        assert lost
        assert not node.any_processes_alive()
        assert contents(there) == contents(here)
    finally:
        ray.shutdown()
        cluster.shutdown()


def runs_still(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        f"from {begin_worker.__module__} import {begin_worker.__name__}\n"
        "if __name__ == '__main__':\n"
        f"    pool = ProcessPoolExecutor(1, get_context('spawn'), initializer={begin_worker.__name__})\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 300).result()\n",
        encoding="utf-8",
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert runs_still(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: not runs_still(child), 30)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_ctrl_c_ends_a_sweep_at_once_and_quietly(folder):
    text = SWEEP + '\n[[algorithm]]\nname = "mine"\nuse = "mine.py:Mine"\npause = 30.0\n'
    process = ecnas_sweep(folder, write(folder, text), "--out", folder / "out", "--quiet")
    wait_for(lambda: list((folder / "out").rglob("mine/*/*/*.partial")))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_seeds_are_spread_evenly(folder):
    seeds = [job.seed for job in Sweep.load(write(folder)).jobs()]
    assert seeds == sorted(seeds)
    assert np.bincount(seeds).tolist() == [2, 2, 2, 2]


MANY = """
from dataclasses import dataclass

from ecnas import BudgetExhaustedError


@dataclass(frozen=True)
class Many:
    fail: bool = False

    def run(self, evaluate, rng):
        self.run_many([evaluate], [rng])

    def run_many(self, evaluates, rngs):
        with open("sizes", "a") as file:
            file.write(f"{len(evaluates)}\\n")
        going = list(zip(evaluates, rngs))
        while going:
            for run in tuple(going):
                evaluate, rng = run
                try:
                    evaluate(evaluate.sample(rng))
                except BudgetExhaustedError:
                    going.remove(run)
            if self.fail:
                raise RuntimeError("no luck")
"""


@pytest.fixture
def many(folder):
    """A sweep of a method that carries out many runs at once, under budgets that end at different times."""
    (folder / "many.py").write_text(MANY)
    text = SWEEP.replace("seeds = 4", 'seeds = 5\ncurrency = "energy"').replace("[12]", "[0.5]").replace("6, 12", "0.5")
    return write(folder, text[: text.index("[[")] + '[[algorithm]]\nname = "many"\nuse = "many.py:Many"\n')


def test_many_runs_at_once_are_the_same_runs(folder, many):
    one, failures = run(many, folder / "one")
    assert failures == []
    assert (folder / "sizes").read_text().split() == ["5"]
    two, _ = run(many, folder / "two", processes=2)
    assert sorted((folder / "sizes").read_text().split()) == ["2", "3", "5"]
    alone, _ = run(many, folder / "alone", processes=5)
    assert contents(one) == contents(two) == contents(alone)
    assert len({len(rows) for rows in contents(one).values()}) > 1


def test_of_many_runs_at_once_those_that_are_there_are_left(folder, many):
    sweep, _ = run(many, folder / "out")
    before = contents(sweep)
    jobs = sweep.jobs()
    for job in jobs[1:3]:
        job.path.unlink()
    kept = jobs[0].path.stat().st_mtime_ns
    with claimed(jobs[1].path):
        assert [outcome.kind for outcome in execute(jobs)] == ["done", "claimed", "done", "done", "done"]
    assert not jobs[1].path.exists()
    assert (folder / "sizes").read_text().split() == ["5", "1"]
    run(many, folder / "out")
    assert contents(sweep) == before
    assert jobs[0].path.stat().st_mtime_ns == kept


def test_many_runs_fail_together(folder, many):
    many.write_text(many.read_text() + "fail = true\n")
    _, failures = run(many, folder / "out")
    assert len(failures) == 5
    assert all("no luck" in outcome.text for _, outcome in failures)
    assert not list((folder / "out").rglob("record.jsonl"))


def test_what_a_method_of_ours_lacks_is_told_before_anything_runs(folder, monkeypatch):
    real = importlib.util.find_spec
    hidden = lambda name, *rest: None if name in ("sb3_contrib", "torch") else real(name, *rest)  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", hidden)
    text = SWEEP + '\n[[algorithm]]\nname = "PPO"\nuse = "ecnas_gym.agents.ppo:PPO"\n'
    with pytest.raises(SweepError, match=r"'PPO': needs sb3_contrib, torch \(pip install 'ecnas-gym\[agents\]'\)"):
        Sweep.load(write(folder, text))


def test_batches_keep_the_order_of_seeds(folder, many):
    text = many.read_text().replace("seeds = 5", "seeds = 7") + '\n[[algorithm]]\nuse = "mine.py:Mine"\n'
    jobs = Sweep.load(write(folder, text)).jobs()
    made = batches(jobs, 3)
    assert sorted(map(str, jobs)) == sorted(str(job) for batch in made for job in batch)
    seeds = [(batch[0].algorithm.name, [job.seed for job in batch]) for batch in made]
    assert [where for name, where in seeds if name == "many"] == [[0, 1, 2], [3, 4, 5], [6]]
    assert seeds.index(("many", [3, 4, 5])) > seeds.index(("mine.py:Mine", [2]))


def test_the_runs_of_a_seed_are_for_one_process_while_there_are_other_seeds(folder, many):
    text = many.read_text().replace("seeds = 5", "seeds = 7") + '\n[[algorithm]]\nuse = "mine.py:Mine"\n'
    jobs = Sweep.load(write(folder, text)).jobs()
    queue = Queue(blocks(jobs, 3), 2)
    taken = [(process, queue.take(process)) for process in [0, 1] * len(jobs)]
    done = [(process, batch) for process, batch in taken if batch]
    assert sorted(map(str, jobs)) == sorted(str(job) for _, batch in done for job in batch)
    assert [{job.seed for job in batch} for process, batch in done if process == 0][:4] == [{0, 1, 2}, {0}, {1}, {2}]
    assert [{job.seed for job in batch} for process, batch in done if process == 1][:4] == [{3, 4, 5}, {3}, {4}, {5}]
    assert {job.seed for _, batch in done[8:] for job in batch} == {6}
    assert {process for process, _ in done[8:]} == {0, 1}  # who has nothing else to do helps


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.toml")), ids=lambda path: path.stem)
def test_the_sweeps_of_this_repository_name_methods_and_settings_that_exist(path):
    for entry in read_toml(path)["algorithm"]:
        settings = {key: value for key, value in entry.items() if key not in ("name", "use")}
        assert make_method(find_method(entry["use"], path.parent), settings)
