"""How real the embedded worlds are: the tables of docs/realism.md.

python benchmarks/realism.py [SECTION …] [--seeds 200]

The sections are calibration, few, optimum, literature, large, small and fidelity; all by default. "calibration" and
"few" need the stages of ``make surrogate`` in build/surrogate; all except "literature" need the measurements in
../shared/data.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import white
from few_epochs import EARLY, few_epochs
from numpy.typing import NDArray
from page import write_sections
from scipy.special import ndtr, rel_entr
from scipy.stats import kendalltau
from tqdm import tqdm

import ecnas
from ecnas import runs, search
from ecnas.noise import LUCKS, REPEATS, Residuals, noise_model
from ecnas.surrogate import noise
from ecnas.surrogate.data import EPOCHS, load_targets, target
from ecnas.surrogate.graph_network import Hyperparameters
from ecnas.surrogate.stages import TRAINED_FOLDS, fold_of_cells, network_predictions
from ecnas.surrogate.tables import accuracies, calibrations, unseen_predictions
from ecnas.table import Column, Table, columns_digest

ROOT: Final = Path(__file__).parents[1]
DATA: Final = ROOT.parent / "shared" / "data"
WORK: Final = ROOT / "build" / "surrogate"

LEVELS: Final = (0.0, 0.85, 0.88, 0.90, 0.91, 0.92, 0.93, 1.0)
COVERED: Final = (0.5, 0.8, 0.95)
BINS: Final = 10

WORLDS: Final = 50
PUBLISHED_BEST: Final = {"val_accuracy": 0.9506, "test_accuracy": 0.9432}
"""The best means of three trainings in NAS-Bench-101 (Ying et al. 2019, https://arxiv.org/abs/1902.09635)."""

PARTS_OF_BEST: Final = (0.5, 0.9, 0.99, 0.999)
PICKED: Final = (30, 100, 300, 1000)

LITERATURE: Final = (
    "random search",
    "regularised evolution",
    "local search",
    "local search, all neighbours",
    "local search, moves on matrices",
    "BANANAS",
    "BANANAS, ten parents",
    "REINFORCE",
    "REINFORCE, from raw accuracies",
    "random search, uniform",
)
"""Methods of White et al.'s table (:mod:`white`) that are shown."""

BUDGETS: Final = (25, 50, 100, 150)
SEARCHERS: Final[Mapping[str, runs.Method]] = {
    "random search": search.RandomSearch(),
    "evolution, 100": search.RegularisedEvolution(),
    "evolution, 20": search.RegularisedEvolution(population_size=20),
    "local search": search.LocalSearch(),
    "local search, first": search.LocalSearch(first_improvement=True),
    "BANANAS": search.BANANAS(),
    "SEMOA": search.SEMOA(),
    "NSGA-II": search.NSGA2(population_size=20),
}

Figures = NDArray[np.float64]


def calibration() -> str:
    """Whether single trainings of unseen cells are distributed as the noise model says."""
    figures = load_targets(DATA)
    networks = network_predictions(DATA, WORK, Hyperparameters())
    unseen = unseen_predictions(networks, TRAINED_FOLDS)
    corrections = calibrations(unseen, figures)
    val, test = accuracies(DATA, unseen, corrections)
    # The quantiles are fitted to one half of the unseen cells and judged on the other.
    learn = np.isin(fold_of_cells(len(figures)), TRAINED_FOLDS[: len(TRAINED_FOLDS) // 2])
    learned_val, learned_test = (np.where(learn[:, None], part, np.nan) for part in (val, test))
    model, _ = noise.fit(DATA, learned_val, learned_test, figures)
    judged = ~learn & (np.arange(len(figures)) >= len(ecnas.Space("4V")))
    lines = [
        "| metric | predicted | trainings | in 50% | in 80% | in 95% | PIT by tenths, in % | KL |",
        "|---|---|---:|---:|---:|---:|---|---:|",
    ]
    parts = [("test, 108 epochs", model["test_accuracy"], test[:, -1], figures[:, target("test_108")])]
    for position, epochs in enumerate(EPOCHS[:-1]):
        measured = figures[:, target(f"val_{epochs}")]
        parts.append((f"validation, {epochs} epochs", model["val_accuracy"][str(epochs)], val[:, position], measured))
    for name, fitted, predicted, measured in parts:
        residuals = Residuals(**{key: np.array(value) for key, value in fitted.items()})
        fine = judged & np.isfinite(predicted) & np.isfinite(measured) & ~noise.has_failed(predicted, measured)
        bounds = LEVELS if epochs_of(name) >= 36 else np.quantile(predicted[fine], [0, 0.25, 0.5, 0.75, 1])
        for low, high in pairwise(bounds):
            chosen = fine & (predicted >= low) & (predicted < high)
            if chosen.sum() < 200:
                continue
            pit = transform(residuals, predicted[chosen], measured[chosen])
            inside = [np.mean(np.abs(pit - 0.5) < part / 2) for part in COVERED]
            counts = np.histogram(pit, bins=BINS, range=(0, 1))[0]
            divergence = rel_entr(counts / counts.sum(), 1 / BINS).sum()
            lines.append(
                f"| {name} | {low:.2f}–{high:.2f} | {chosen.sum():,} | "
                + " | ".join(f"{part:.1%}" for part in inside)
                + f" | {' '.join(f'{100 * count / counts.sum():.0f}' for count in counts)} | {divergence:.4f} |"
            )
    return "\n".join(
        [*lines, "", *failures(test[:, -1], figures[:, target("test_108")], judged), "", *orders(val, figures)]
    )


def epochs_of(name: str) -> int:
    """The epochs in the name of a row of the table."""
    return int(name.split()[-2])


def transform(residuals: Residuals, predicted: Figures, measured: Figures) -> Figures:
    """Probability integral transform of measurements, shape (n,)."""
    fine = np.linspace(LUCKS[0], LUCKS[-1], 161)
    quantiles = np.stack([residuals(predicted, np.full(len(predicted), luck)) for luck in fine], axis=1)
    below = np.sum(quantiles < (measured - predicted)[:, None], axis=1)
    return np.asarray(ndtr(np.concatenate([[-np.inf], (fine[1:] + fine[:-1]) / 2, [np.inf]])[below]))


def failures(predicted: Figures, measured: Figures, judged: NDArray[np.bool_]) -> list[str]:
    """Failed trainings by tenths of the predicted test accuracy: measured, and in a world at the same cells."""
    rows = np.flatnonzero(judged & np.isfinite(predicted) & np.isfinite(measured))
    rows = rows[np.argsort(predicted[rows], kind="stable")]
    world = ecnas.load("surrogate-7V~0").table.values("test_accuracy", 108, repeat=0)
    tenths = np.array_split(rows, 10)
    return [
        "| tenth of predicted test accuracy | " + " | ".join(str(number + 1) for number in range(10)) + " |",
        "|---|" + "---:|" * 10,
        "| failed, measured | " + " | ".join(f"{np.mean(measured[part] < 0.3):.2%}" for part in tenths) + " |",
        "| failed, world 0 | " + " | ".join(f"{np.mean(world[part] < 0.3):.2%}" for part in tenths) + " |",
    ]


def orders(predicted: Figures, figures: Figures) -> list[str]:
    """Kendall's τ of expected validation accuracies with trainings: measured at unseen cells, and in worlds."""
    table = ecnas.load("surrogate-7V")
    large = np.arange(len(figures)) >= len(ecnas.Space("4V"))
    rows = []
    for position, epochs in enumerate(EPOCHS):
        measured = figures[:, target(f"val_{epochs}")]
        known = np.flatnonzero(large & np.isfinite(predicted[:, position]) & np.isfinite(measured))
        expected = table.values("val_accuracy", epochs, rows=known)
        taus = []
        for seed in range(5):
            world = ecnas.load("surrogate-7V", noise_seed=seed).table
            trainings = np.stack([world.values("val_accuracy", epochs, repeat, known) for repeat in range(3)])
            seen = trainings.max(axis=0) if epochs == EPOCHS[-1] else trainings[0]
            taus.append([kendalltau(expected, against).statistic for against in (seen, trainings.mean(axis=0))])
        of_seen, of_mean = np.mean(taus, axis=0)
        tau = kendalltau(predicted[known, position], measured[known]).statistic
        kind = "best of three" if epochs == EPOCHS[-1] else "one"
        rows.append(f"| {epochs} | {len(known):,} | {kind} | {tau:.3f} | {of_seen:.3f} | {of_mean:.3f} |")
    return [
        "| epochs | unseen cells | trainings | τ, measured | τ, worlds | τ, means of three in worlds |",
        "|---:|---:|---|---:|---:|---:|",
        *rows,
    ]


def few() -> str:
    """How much of the residuals at few epochs belongs to the cell, and what order of means of three follows."""
    figures = load_targets(DATA)
    unseen = unseen_predictions(network_predictions(DATA, WORK, Hyperparameters()), TRAINED_FOLDS)
    predicted = accuracies(DATA, unseen, calibrations(unseen, figures))[0][:, : len(EARLY)]
    measured = figures[:, [target(f"val_{epochs}") for epochs in EARLY]]
    number = len(ecnas.Space("4V"))
    unseen_4v = np.isfinite(predicted[:number]).all(axis=1)
    large = number + np.flatnonzero(np.isfinite(predicted[number:] + measured[number:]).all(axis=1))
    repeats = ecnas.load(DATA / "official" / "energy_4V9E_4epochs.tfrecord").table
    trainings = np.stack(
        [[repeats.values("val_accuracy", epochs, repeat) for repeat in range(REPEATS)] for epochs in EARLY]
    ).transpose(2, 0, 1)
    model = [noise_model().val_accuracy[epochs] for epochs in EARLY]
    return few_epochs(predicted[large], measured[large], predicted[:number][unseen_4v], trainings[unseen_4v], model)


def optimum() -> str:
    """The best mean of three over worlds, the distribution of single trainings, and cells that were picked."""
    best = {name: np.array([0.0] * WORLDS) for name in PUBLISHED_BEST}
    figures = load_targets(DATA)
    measured = figures[:, target("test_108")]
    twice = _measured_twice(figures)
    known = np.isfinite(measured)
    known[: len(ecnas.Space("4V"))] = False
    picked = {"measured": [_of_picked(figures[twice, target("val_108")], measured[twice])], "worlds": []}
    parts = np.array([0.001, 0.005, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999])
    quantiles = np.zeros((WORLDS, len(parts)))
    for seed in tqdm(range(WORLDS), desc="worlds"):
        world = ecnas.load("surrogate-7V", noise_seed=seed)
        for name in best:
            best[name][seed] = world.table.values(name, 108).max()
        quantiles[seed] = np.quantile(world.table.values("test_accuracy", 108, repeat=0)[known], parts)
        val, test = (
            np.stack([world.table.values(name, 108, repeat, twice) for repeat in range(3)]) for name in PUBLISHED_BEST
        )
        one = np.random.default_rng(seed).integers(3, size=len(twice))
        picked["worlds"].append(_of_picked(val.max(axis=0), test[one, np.arange(len(twice))]))
    table = ecnas.load("surrogate-7V")
    lines = [
        "| best of the table | predicted (no noise) | mean of three, over worlds | published |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {table.values(name).max():.4f} | {figures.mean():.4f} ± {figures.std(ddof=1):.4f} "
            f"| {PUBLISHED_BEST[name]:.4f} |"
            for name, figures in best.items()
        ),
        "",
        "| quantile of single trainings' test accuracy | " + " | ".join(f"{part:.1%}" for part in parts) + " |",
        "|---|" + "---:|" * len(parts),
        "| measured | " + " | ".join(f"{figure:.4f}" for figure in np.quantile(measured[known], parts)) + " |",
        "| worlds | " + " | ".join(f"{figure:.4f}" for figure in quantiles.mean(axis=0)) + " |",
        "| without noise | "
        + " | ".join(f"{figure:.4f}" for figure in np.quantile(table.values("test_accuracy")[known], parts))
        + " |",
        "",
        f"| {len(twice):,} cells | best of three validation accuracies: "
        + " | ".join(f"{part:.1%}" for part in PARTS_OF_BEST)
        + " | the largest | test accuracy, one training, of the best "
        + " | ".join(f"{number:,}" for number in PICKED)
        + " by it |",
        "|---|" + "---:|" * (len(PARTS_OF_BEST) + 1 + len(PICKED)),
        *(
            f"| {kind} | " + " | ".join(f"{figure:.4f}" for figure in np.mean(rows, axis=0)) + " |"
            for kind, rows in picked.items()
        ),
    ]
    return "\n".join(lines)


def _measured_twice(figures: Figures) -> NDArray[np.int64]:
    """Rows of which the best of three validation accuracies and one test accuracy were measured."""
    known = np.isfinite(figures[:, target("val_108")]) & np.isfinite(figures[:, target("test_108")])
    known[: len(ecnas.Space("4V"))] = False
    return np.flatnonzero(known)


def _of_picked(best: Figures, test: Figures) -> list[float]:
    order = np.argsort(-best, kind="stable")
    return [*np.quantile(best, PARTS_OF_BEST), best.max(), *(test[order[:number]].mean() for number in PICKED)]


def literature(seeds: int, processes: int) -> str:
    """Test errors after 150 evaluations, judged as White et al. judge: by the mean of three of the best seen."""
    found = white.picks(dict.fromkeys(LITERATURE, seeds), ROOT / "runs" / "literature" / "white", processes)
    lines = [
        "| test error after 150 evaluations, % | worlds, one run each | published | mean of three | standard error "
        "| difference | expected of the pick | seen − expected, validation |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, picks in found.items():
        error, expected, luck, _ = np.mean(picks, axis=0)
        deviation = np.std([pick.error for pick in picks], ddof=1) / len(picks) ** 0.5
        published = white.PUBLISHED.get(name)
        both = (f"{published:.3f}", f"{error - published:+.3f}") if published else ("–", "–")
        lines.append(
            f"| {name} | {len(picks)} | {both[0]} | {error:.3f} | {deviation:.3f} | {both[1]} | {expected:.3f} "
            f"| {luck:+.3f} |"
        )
    return "\n".join(lines)


LARGE: Final = (
    "random search",
    "regularised evolution",
    "local search",
    "local search, all neighbours",
    "local search, moves on matrices",
    "BANANAS",
)
"""Methods of :mod:`white` that search the measured trainings of the 7V space."""
LARGE_BUDGETS: Final = (50, 150, 500)


def best_seen(seed: int) -> Figures:
    """The best test accuracy (%) that methods see, measured and in a world: shape (2, methods, budgets)."""
    surrogate = ecnas.load("surrogate-7V")
    drawn = ecnas.load("surrogate-7V", noise_seed=seed).table.values("test_accuracy", 108, repeat=0)
    measured = load_targets(DATA)[:, target("test_108")]
    measured[: len(ecnas.Space("4V"))] = np.nan  # means of three
    tables = {"measured": np.where(np.isnan(measured), drawn, measured), "world": drawn}
    found = np.zeros((len(tables), len(LARGE), len(LARGE_BUDGETS)))
    for number, (kind, accuracy) in enumerate(tables.items()):
        benchmark = _with_accuracy(accuracy, surrogate, frozenset(), kind)
        for position, name in enumerate(LARGE):
            record = runs.run(white.METHODS[name], benchmark, LARGE_BUDGETS[-1], seed, objectives=("val_accuracy",))
            best = np.maximum.accumulate(record.column("val_accuracy"))
            found[number, position] = [best[budget - 1] for budget in LARGE_BUDGETS]
    return 100 * found


def large(seeds: int, processes: int) -> str:
    """Whether searchers see as good cells among the measured trainings of the 7V space as in worlds."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = np.stack(list(tqdm(pool.map(best_seen, range(seeds)), total=seeds, desc="large")))
    means = found.mean(axis=0)
    errors = np.sqrt(found.var(axis=0, ddof=1).sum(axis=0) / seeds)
    lines = [
        f"| best test accuracy seen, %; {seeds} runs each | "
        + " | ".join(f"{budget}: measured | worlds | difference" for budget in LARGE_BUDGETS)
        + " |",
        "|---|" + "---:|" * 3 * len(LARGE_BUDGETS),
    ]
    for position, name in enumerate(LARGE):
        cells = (
            f"{measured:.3f} | {world:.3f} | {measured - world:+.3f} ± {error:.3f}"
            for measured, world, error in zip(*means[:, position], errors[position], strict=True)
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


KINDS: Final = ("measured", "expected", "worlds")


def regrets(kind: str, seed: int) -> Figures:
    """Regrets of the searchers on one kind of 5V table, in points: shape (searchers, budgets)."""
    surrogate = ecnas.load("surrogate-5V")
    measured = load_targets(DATA)[: len(surrogate.space), target("test_108")]
    missing = frozenset(np.flatnonzero(np.isnan(measured)).tolist())
    accuracy = measured
    if kind == "expected":
        accuracy = surrogate.values("test_accuracy")
    elif kind == "worlds":
        accuracy = ecnas.load("surrogate-5V", noise_seed=seed).table.values("test_accuracy", 108, repeat=0)
    world = _with_accuracy(accuracy, surrogate, missing, kind)
    found = np.zeros((len(SEARCHERS), len(BUDGETS)))
    for number, method in enumerate(SEARCHERS.values()):
        record = runs.run(method, world, BUDGETS[-1], seed, objectives=_objectives(method), name="method")
        best = np.maximum.accumulate(record.column("val_accuracy"))
        found[number] = [np.nanmax(world.values("val_accuracy")) - best[budget - 1] for budget in BUDGETS]
    return 100 * found


def small(seeds: int, processes: int) -> str:
    """Whether searchers rank on the surrogate as on the measurements of the same 5V cells."""
    jobs = [(kind, seed) for kind in KINDS for seed in range(seeds)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        every = list(tqdm(pool.map(regrets, *zip(*jobs, strict=True)), total=len(jobs), desc="small"))
    mean = dict(zip(KINDS, np.reshape(every, (len(KINDS), seeds, len(SEARCHERS), -1)).mean(axis=1), strict=True))
    lines = [
        f"| regret, points; {seeds} seeds | "
        + " | ".join(f"{kind}, {budget}" for kind in KINDS for budget in (BUDGETS[1], BUDGETS[-1]))
        + " |",
        "|---|" + "---:|" * 2 * len(KINDS),
    ]
    for number, name in enumerate(SEARCHERS):
        cells = (f"{mean[kind][number, position]:.2f}" for kind in KINDS for position in (1, len(BUDGETS) - 1))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| Kendall τ of the eight searchers with measured | " + " | ".join(map(str, BUDGETS)) + " |",
        "|---|" + "---:|" * len(BUDGETS),
    ]
    for kind in ("expected", "worlds"):
        taus = [
            kendalltau(mean["measured"][:, position], mean[kind][:, position]).statistic
            for position in range(len(BUDGETS))
        ]
        lines.append(f"| {kind} | " + " | ".join(f"{tau:.2f}" for tau in taus) + " |")
    return "\n".join(lines)


def _objectives(method: runs.Method) -> tuple[str, ...]:
    return ("val_accuracy", "energy") if isinstance(method, search.SEMOA | search.NSGA2) else ("val_accuracy",)


def _with_accuracy(
    accuracy: Figures, surrogate: ecnas.Benchmark, missing: frozenset[int], name: str
) -> ecnas.Benchmark:
    """A benchmark whose validation accuracy is given, at 108 epochs only."""
    columns = {"val_accuracy": Column(accuracy[:, None, None]), "energy": surrogate.table.columns["energy"]}
    table = Table(
        name=name,
        space=surrogate.space,
        epochs=(108,),
        repeats=1,
        provenance={108: "surrogate"},
        columns=columns,
        digest=columns_digest(columns, missing),
        missing=missing,
    )
    return ecnas.Benchmark(table)


def fidelity() -> str:
    """Rank agreement of 36 with 108 epochs among good cells."""
    figures = load_targets(DATA)
    figures[: len(ecnas.Space("4V"))] = np.nan
    rows = np.flatnonzero(np.isfinite(figures[:, target("val_36")]) & np.isfinite(figures[:, target("val_108")]))
    table = ecnas.load("surrogate-7V")
    worlds = []
    for seed in range(10):
        world = ecnas.load("surrogate-7V", noise_seed=seed).table
        full = np.stack([world.values("val_accuracy", 108, repeat, rows) for repeat in range(3)])
        # The training to 36 epochs is of the same number as the best to 108: another training of the same cell.
        worlds.append((world.values("val_accuracy", 36, 0, rows), full.max(axis=0)))
    pairs = {
        "measured (best of three at 108)": [(figures[rows, target("val_36")], figures[rows, target("val_108")])],
        "worlds (best of three at 108)": worlds,
        "expected": [(table.values("val_accuracy", 36, rows), table.values("val_accuracy", 108, rows))],
    }
    parts = (0.012, 0.05, 0.2, 1.0)
    lines = [
        f"| Kendall τ of validation accuracy, 36 with 108 epochs; {len(rows):,} cells | "
        + " | ".join(f"best {part:.1%}" for part in parts)
        + " |",
        "|---|" + "---:|" * len(parts),
    ]
    for name, given in pairs.items():
        taus = [np.mean([_among_best(early, late, part) for early, late in given]) for part in parts]
        lines.append(f"| {name} | " + " | ".join(f"{tau:.2f}" for tau in taus) + " |")
    return "\n".join(lines)


def _among_best(early: Figures, late: Figures, part: float) -> float:
    best = np.argsort(-late, kind="stable")[: int(part * len(late))]
    return float(kendalltau(early[best], late[best]).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections: dict[str, Callable[[], str]] = {
        "calibration": calibration,
        "few": few,
        "optimum": optimum,
        "literature": lambda: literature(arguments.seeds, arguments.processes),
        "large": lambda: large(arguments.large_seeds, arguments.processes),
        "small": lambda: small(arguments.small_seeds, arguments.processes),
        "fidelity": fidelity,
    }
    parser.add_argument("sections", nargs="*", choices=[*sections, []], help="which tables; all by default")
    parser.add_argument("--seeds", type=int, default=200, help="runs of each searcher")
    parser.add_argument("--large-seeds", type=int, default=60, help="runs of each on the measured trainings of 7V")
    parser.add_argument("--small-seeds", type=int, default=50, help="runs of each searcher on small spaces")
    parser.add_argument("--processes", type=int, default=2, help="worlds to search in at once")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "realism.md", help="the page that is written")
    arguments = parser.parse_args()
    digest = ecnas.load("surrogate-7V").digest
    for name in arguments.sections or sections:
        text = sections[name]()
        print(f"\n{name}\n\n{text}", flush=True)
        write_sections(arguments.page, {name: text, "digest": f"Of the embedded table with digest `{digest[:16]}`."})


if __name__ == "__main__":
    main()
