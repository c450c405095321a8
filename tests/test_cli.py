from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict

import pytest
from conftest import ROOT, needs_official, synthetic_table

import ecnas
from ecnas import cli
from ecnas.cli import main
from ecnas.errors import MissingExtraError
from ecnas.interchange import read_cell


@pytest.fixture
def table(tmp_path):
    """The folder of a made-up table, which needs no tensorflow."""
    synthetic_table("4V", missing=frozenset({3}), notes="Made up.").save(tmp_path / "made-up")
    return str(tmp_path / "made-up")


def run(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_teaches_with_examples(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"examples:\n  ecnas {command}" in capsys.readouterr().out


def test_list(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    for name in ("surrogate-7V", "energy_7V9E_surrogate", "energy_4V9E_titanxp"):
        assert name in out


def test_describe(capsys, table):
    code, out, _ = run(capsys, "info", table)
    assert code == 0
    for text in ("synthetic-4V", "90 of 91", "4 (measured), 108 (measured)", "Made up.", "knee", "least energy"):
        assert text in out


def test_describe_a_benchmark_without_energies(capsys, tmp_path):
    columns = {"val_accuracy": synthetic_table("4V").columns["val_accuracy"]}
    synthetic_table("4V", columns=columns).save(tmp_path / "accuracies")
    code, out, _ = run(capsys, "info", str(tmp_path / "accuracies"))
    assert code == 0
    assert "no cell has both an accuracy and an energy at 108 epochs" in out


def test_describe_an_embedded_benchmark(capsys):
    code, out, _ = run(capsys, "info", "surrogate-4V")
    assert code == 0
    assert "surrogate" in out


@pytest.mark.parametrize("how", ["cell", "hash", "row"])
def test_query_names_the_cell_in_three_ways(capsys, table, how):
    cell = ecnas.Space("4V")[61]
    arguments = {
        "cell": ["--cell", "".join(map(str, cell.adjacency.reshape(-1))), ",".join(cell.ops)],
        "hash": ["--hash", cell.hash],
        "row": ["--row", "61"],
    }[how]
    code, out, _ = run(capsys, "query", table, *arguments, "--json")
    assert code == 0
    answer = json.loads(out)
    assert (answer["row"], answer["hash"], answer["ops"]) == (61, cell.hash, list(cell.ops))
    assert [one["epochs"] for one in answer["evaluations"]] == [4, 108]
    expected = ecnas.load(table).query(cell, 108)
    assert answer["evaluations"][1] == asdict(expected)


def test_query_for_people(capsys, table):
    code, out, _ = run(capsys, "query", table, "--row", "61", "--epochs", "108", "--repeat", "0")
    assert code == 0
    evaluation = ecnas.load(table).query_row(61, 108)
    assert f"{evaluation.energy:.6g}" in out
    assert "3,468,426 trainable parameters" in out
    assert "conv" in out


def test_what_is_missing_is_null(capsys, tmp_path):
    columns = {"val_accuracy": synthetic_table("4V").columns["val_accuracy"]}
    synthetic_table("4V", columns=columns).save(tmp_path / "accuracies")
    _, out, _ = run(capsys, "query", str(tmp_path / "accuracies"), "--row", "1", "--json")
    assert json.loads(out)["evaluations"][0]["energy"] is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["query", "TABLE", "--row", "91"], "row must be a whole number from 0 to 90 in space 4V, got 91"),
        (["query", "TABLE", "--row", "3"], "lacks cell"),
        (["query", "TABLE", "--row", "1", "--epochs", "5"], "epochs must be one of [4, 108]"),
        (["query", "TABLE", "--row", "1", "--repeat", "2"], "repeat must be 'mean', 0 or"),
        (["query", "TABLE", "--hash", "77"], "hash must be 32 hexadecimal digits, got '77'"),
        (["query", "TABLE", "--cell", "012", "conv3x3"], "adjacency must be V×V digits 0 and 1, got '012'"),
        (["query", "TABLE", "--cell", "0100", "conv3x3"], "ops must name the 0 inner vertices"),
        (["query", "TABLE", "--cell", "011001000", "conv5x5"], "ops[0] must be one of"),
        (
            ["query", "TABLE", "--cell", "0111100111000110000100000", "conv3x3,conv3x3,conv3x3"],
            "space 4V allows at most",
        ),
        (["info", "surrogate-8V"], "Did you mean 'surrogate-"),
        (["fetch", "energy_4V9E_linear"], "Did you mean 'energy_4V9E_linscale'"),
        (["export", "energy-none", "-o", "out.tfrecord"], "unknown benchmark"),
    ],
)
def test_what_a_user_does_wrong_is_said_in_one_line(capsys, table, arguments, reason):
    code, out, err = run(capsys, *[table if argument == "TABLE" else argument for argument in arguments])
    assert (code, out) == (2, "")
    assert err.startswith(f"ecnas {arguments[0]}: ")
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["0110001100010000", "conv1x1,conv3x3"],
        ["0110001100010000", "conv1x1 conv3x3"],
        ["0110001100010000", "conv1x1", "conv3x3"],
        ["0110001100010000", "input", "conv1x1-bn-relu", "conv3x3-bn-relu", "output"],
        ["0110", "0011", "0001", "0000", "conv1x1", "conv3x3"],
        ["0110", "0011", "0001", "0000", "conv1x1,conv3x3"],
        ["[[0,1,1,0],", "[0,0,1,1],", "[0,0,0,1],", "[0,0,0,0]]", "conv1x1,", "conv3x3"],
        ["0110001100010000", "1", "0"],
        ["0110001100010000", "1,0"],
    ],
)
def test_cells_in_one_word_or_several(capsys, table, words):
    code, out, err = run(capsys, "query", table, "--json", "--cell", *words)
    assert (code, err) == (0, "")
    matrix = [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert json.loads(out)["row"] == ecnas.Cell(matrix, ["conv1x1", "conv3x3"]).row


def test_the_mean_of_repeats_by_its_name(capsys, table):
    assert run(capsys, "query", table, "--row", "1", "--repeat", "mean") == run(capsys, "query", table, "--row", "1")


def test_a_missing_package_names_its_extra(capsys, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    code, _, err = run(capsys, "plot", "cell", table, "--row", "1")
    assert code == 2
    assert "pip install 'ecnas-gym[plots]'" in err
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(MissingExtraError, match=r"needs moocore: pip install 'ecnas-gym\[search\]'"):
        ecnas.load("surrogate-4V").pareto_front(("val_accuracy", "co2", "trainable_parameters"))  # in no cache


def test_a_fault_of_ours_is_no_fault_of_the_user(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "ecnas.interchange", None)
    monkeypatch.delitem(sys.modules, "ecnas.cli.query", raising=False)
    with pytest.raises(ImportError):
        main(["query", table, "--row", "1"])


@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["info", "surrogate-4V"], ["query", "--help"]])
def test_a_closed_pipe_ends_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ecnas", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_ends_a_controller_quietly():
    pytest.importorskip("tyro", reason="the controllers need ecnas-gym[agents]")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, ROOT / "agents" / "qlearning.py", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_quietly(tmp_path):
    """In the middle of a download from a source that gives nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-m", "ecnas", "fetch", "energy_4V9E_rtx3060", "--cache", str(tmp_path / "cache")]
        process = subprocess.Popen(
            [*command, "--source", f"http://127.0.0.1:{silent.getsockname()[1]}"],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored by what runs in the background
        )
        with silent.accept()[0]:  # kept open: the client waits for an answer
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_terminal_without_unicode(table):
    done = subprocess.run(
        [sys.executable, "-m", "ecnas", "query", table, "--row", "1"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"trainable parameters" in done.stdout


def test_another_package_called_ecnas_is_told(tmp_path):
    (tmp_path / "ecnas").mkdir()
    (tmp_path / "ecnas" / "__init__.py").write_text("from . import utils")
    (tmp_path / "ecnas" / "utils.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", "import ecnas_gym"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ecnas_gym found another package called ecnas in [")
    assert str(tmp_path / "ecnas") in last


def test_ways_to_write_a_cell():
    cell = ecnas.Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["conv3x3-bn-relu"])
    assert read_cell("011001000", "conv3x3") == cell
    assert read_cell("[[0, 1, 1], [0, 0, 1], [0, 0, 0]]", "input,conv3x3-bn-relu,output") == cell
    assert read_cell("011/001/000", " conv3x3-bn-relu ") == cell
    assert read_cell("0100", "").num_edges == 1


@needs_official
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="conversion needs tensorflow")
def test_fetch_info_and_export_of_a_published_file(capsys, tmp_path, monkeypatch):
    name = "energy_4V9E_rtx3060"
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "unused"))
    code, out, _ = run(capsys, "fetch", name, "--cache", str(tmp_path / "cache"), "--no-convert")
    assert code == 0
    assert (tmp_path / "cache" / "files" / f"{name}.tfrecord").is_file()
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    assert f"{name:<26}    0.3 MB  fetched" in run(capsys, "info")[1]
    code, out, _ = run(capsys, "fetch", name)
    assert code == 0
    assert "table in" in out
    assert f"{name:<26}    0.3 MB  converted" in run(capsys, "info")[1]
    code, out, _ = run(capsys, "info", name)
    assert "88 of 91" in out
    code, out, _ = run(capsys, "export", name, "-o", str(tmp_path / "out.tfrecord"))
    assert (code, out) == (0, f"{tmp_path / 'out.tfrecord'}: 352 rows\n")


def test_fetch_goes_on_after_a_failure(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "source").mkdir()
    code, _, err = run(capsys, "fetch", "all", "--no-convert", "--source", str(tmp_path / "source"))
    assert code == 2
    assert err.count("there is no file") == 10
    assert "10 of 10 files were not fetched" in err


def test_without_tensorflow_it_is_fetched_all_the_same(capsys, monkeypatch):
    from ecnas import official
    from ecnas.official.records import TensorFlowMissingError

    def missing(name):
        raise TensorFlowMissingError

    monkeypatch.setattr(official, "fetch", lambda name, source: "somewhere")
    monkeypatch.setattr(official, "table_of_published", missing)
    code, out, err = run(capsys, "fetch", "energy_4V9E_titanxp")
    assert (code, out) == (0, "energy_4V9E_titanxp: somewhere\n")
    assert "pip install 'ecnas-gym[official]'" in err


def test_interruption(capsys, table, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("ecnas.cli.info._list_benchmarks", interrupt)
    assert run(capsys, "info")[0] == 130


def test_as_a_program_into_a_closed_pipe():
    code = "import sys; from ecnas.cli import main; sys.exit(main(['info']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("name", ["surrogate-4V", "surrogate-7V"])
def test_info_of_an_embedded_benchmark_shows_its_card(capsys, name):
    code, out, _ = run(capsys, "info", name)
    assert code == 0
    assert "Not to be used" in out
    assert "Learned from" in out
