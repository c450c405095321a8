"""Many runs at once, beside one by one: controllers, the networks of BANANAS, and the functional environment.

python benchmarks/bench_many.py [--rounds 3] [--only ppo bananas reinforce beside scaling growth update functional]
python benchmarks/bench_many.py --equivalence runs/ppo-many    # after ecnas sweep benchmarks/ppo_many.toml

Rates are per second of processor time. Unless stated otherwise, a run has 500 evaluations of ``surrogate-7V``, and
keeps its record in memory. The last two tables need JAX.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from ecnas_gym.agents.edit import Editing
from ecnas_gym.agents.gp_edit import GaussianProcessEditing
from ecnas_gym.agents.mcts import TreeSearch
from ecnas_gym.agents.ppo_many import MaskedPPO, Rollout, Shape, initial, update
from ecnas_gym.agents.pqt import PriorityQueueTraining
from ecnas_gym.agents.qlearning import QLearning
from ecnas_gym.agents.reinforce_many import CategoricalREINFORCE
from timing import machine, print_table, repeated, take_turns

import ecnas
from ecnas.runs import ManyRuns, Method
from ecnas.runs.record import RunRecord
from ecnas.runs.run import Start, begun
from ecnas.search.bananas import BANANAS
from ecnas.search.features import path_encoding
from ecnas.task import Task
from ecnas_gym.functional import BuildState, FuncCellEnv

EVALUATIONS = 500
MARGIN = 0.03
"""Difference in mean regret, in percentage points, up to which two methods count as equal: a fifth of masked PPO's."""


def runs_of(method: Method, at_once: int, seeds: Iterator[int], evaluations: int = EVALUATIONS) -> Callable[[], float]:
    """A contender that carries out runs, so many at once; each time with new seeds."""
    task = Task.of(ecnas.load("surrogate-7V"), ("val_accuracy",))

    def carry_out() -> None:
        with contextlib.ExitStack() as stack:
            starts = [stack.enter_context(begun(method, task, evaluations, next(seeds))) for _ in range(at_once)]
            begins = [start for start in starts if isinstance(start, Start)]
            if isinstance(method, ManyRuns):
                method.run_many([begin.evaluate for begin in begins], [begin.rng for begin in begins])
            else:
                for begin in begins:
                    with contextlib.suppress(ecnas.BudgetExhaustedError):
                        method.run(*begin)

    return repeated(carry_out, at_once, 0.0001)


@dataclass(frozen=True)
class WithScikitLearn(BANANAS):
    """BANANAS with the networks of scikit-learn, and with mutations one by one."""

    def _candidates(self, trained: Any, evaluate: Any, rng: np.random.Generator) -> Any:
        parents = sorted(trained, key=lambda candidate: -candidate.reward)[: self.num_parents]
        rows: dict[int, None] = {}
        for _ in range(10 * self.num_candidates):
            parent = parents[int(rng.integers(len(parents)))]
            rows[evaluate.mutate_anew(parent.cell, rng, self.expected_edges, self.expected_ops).row] = None
            if len(rows) == self.num_candidates:
                break
        return np.array([*rows])

    def _predict(self, trained: Any, rows: Any, rng: np.random.Generator) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        x = path_encoding(np.array([candidate.cell.row for candidate in trained]), self.max_ops)
        x_new = path_encoding(rows, self.max_ops)
        rewards = np.array([candidate.reward for candidate in trained])
        predictions = []
        for _ in range(self.ensemble_size):
            seed = int(rng.integers(2**31))
            network = MLPRegressor(
                hidden_layer_sizes=self.hidden, learning_rate_init=0.01, alpha=1e-3, max_iter=200, random_state=seed
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                network.fit(x, (rewards - rewards.mean()) / rewards.std())
            predictions.append(rewards.mean() + rewards.std() * network.predict(x_new))
        return np.array(predictions)


def ppo(rounds: int) -> None:
    from ecnas_gym.agents.ppo import PPO

    contenders = {"sb3-contrib, one by one": runs_of(PPO(), 1, count())}
    for at_once in (1, 16):
        contenders[f"{at_once} at once"] = runs_of(MaskedPPO(), at_once, count())
    print_table(take_turns(contenders, rounds), "sb3-contrib, one by one", "masked PPO, runs per second")


def bananas(rounds: int) -> None:
    contenders = {
        "scikit-learn's networks": runs_of(WithScikitLearn(), 1, count()),
        "ours": runs_of(BANANAS(), 1, count()),
    }
    print_table(take_turns(contenders, rounds), "scikit-learn's networks", "BANANAS, runs per second")


def reinforce(rounds: int) -> None:
    from ecnas_gym.agents.reinforce import REINFORCE

    contenders = {"tensorflow, one by one": runs_of(REINFORCE(), 1, count())}
    for at_once in (1, 16):
        contenders[f"{at_once} at once"] = runs_of(CategoricalREINFORCE(), at_once, count())
    print_table(take_turns(contenders, rounds), "tensorflow, one by one", "REINFORCE, runs per second")


def beside_one_by_one(rounds: int) -> None:
    """Methods whose many runs equal their single runs, each in an environment."""
    methods = {
        "editing": Editing(),
        "editing, Gaussian process": GaussianProcessEditing(),
        "tree search": TreeSearch(),
        "Q-learning": QLearning(),
    }
    for name, method in methods.items():
        contenders = {
            "one by one, by an environment": runs_of(OneByOne(method), 1, count()),
            "16 at once": runs_of(method, 16, count()),
        }
        print_table(take_turns(contenders, rounds), "one by one, by an environment", f"{name}, runs per second")


@dataclass(frozen=True)
class OneByOne:
    """A method without its ``run_many``."""

    method: Method

    def run(self, evaluate: Any, rng: np.random.Generator) -> None:
        self.method.run(evaluate, rng)


def scaling(rounds: int) -> None:
    """How the cost of a run falls with their number."""
    for name, method in (("masked PPO", MaskedPPO()), ("priority-queue training", PriorityQueueTraining())):
        contenders = {f"{n:,} at once": runs_of(method, n, count(), 150) for n in (1, 4, 16, 64, 256, 1000)}
        print_table(take_turns(contenders, rounds), "1 at once", f"{name}, runs of 150 evaluations per second")


def growth(rounds: int) -> None:
    """How the cost of a run grows with its evaluations: 16 at once."""
    for name, method in (("masked PPO", MaskedPPO()), ("priority-queue training", PriorityQueueTraining())):
        contenders = {f"{n:,} evaluations": runs_of(method, 16, count(), n) for n in (150, 500, 2000, 10_000)}
        print_table(take_turns(contenders, rounds), "500 evaluations", f"{name}, runs per second")


def updates(rounds: int) -> None:
    """One update of masked PPO for 64 runs, by the same functions: numpy's arrays on a thread, JAX's on all cores."""
    import jax

    method, shape, num_runs = MaskedPPO(), Shape(62, 64), 64
    rng = np.random.default_rng(0)
    learner = initial(shape, [np.random.default_rng(seed) for seed in range(num_runs)])
    rollout = Rollout(
        (rng.random((num_runs, 8, 26, 62)) < 0.3).astype(np.float32),
        np.ones((num_runs, 8, 26, 3), dtype=np.bool_),
        rng.integers(3, size=(num_runs, 8, 26)),
        np.full((num_runs, 8, 26), np.float32(-np.log(3))),
        rng.random((num_runs, 8)).astype(np.float32),
    )
    compiled = jax.jit(lambda learner, rollout: update(shape, learner, rollout, None, method))
    on_device = jax.device_put((learner, rollout))
    difference = np.abs(
        np.asarray(compiled(*on_device).parameters) - update(shape, learner, rollout, None, method).parameters
    )
    print(f"Largest difference of a weight after an update: {difference.max():.1e}\n")
    contenders = {
        "numpy": repeated(lambda: method._update(shape, learner, rollout, [rng] * num_runs), num_runs),
        "JAX": repeated(_waited(compiled, *on_device), num_runs),
    }
    print_table(take_turns(contenders, rounds), "numpy", "updates of masked PPO per second")


def functional(rounds: int) -> None:
    """Legal random episodes of the native vector environment and of the functional one, with actions drawn before."""
    import jax
    import jax.numpy as jnp

    func = FuncCellEnv("7V", xp=jnp)

    def drawn(key: Any, state: BuildState, tables: Any) -> Any:
        masks = func.action_mask(state, tables)
        draws = jax.random.bits(key, masks.shape, dtype=jnp.uint8).astype(jnp.int32)
        return jnp.argmax(jnp.where(masks, draws, -1), axis=1).astype(jnp.int32)

    for num_envs in (1024, 16384, 131072):

        def episode(tables: Any, steps: Any, draw: bool, observe: bool, num_envs: int = num_envs) -> Any:
            """Rewards, the sum of all observations, and actions; the steps are these, or keys to draw them with."""

            def step(carry: Any, given: Any) -> Any:
                state, seen = carry
                action = drawn(given, state, tables) if draw else given
                state = func.transition(state, action, None, tables)
                if observe:  # all observations are made, and read by a sum
                    seen = seen + func.observation(state, None, tables)
                return (state, seen), action if draw else None

            start = BuildState(*(jnp.broadcast_to(field, (num_envs,)) for field in func.initial()))
            nothing = jnp.zeros((num_envs, 62) if observe else ())
            (state, seen), actions = jax.lax.scan(step, (start, nothing), steps)
            return tables.rewards[0, func.row(state, tables)], seen, actions

        compiled = functools.partial(jax.jit(episode, static_argnums=(2, 3)), func.default_params)
        keys = jax.random.split(jax.random.key(0), 26)
        actions = compiled(keys, True, False)[2]

        def contender(
            *arguments: Any, compiled: Callable[..., Any] = compiled, num_envs: int = num_envs
        ) -> Callable[[], float]:
            return repeated(_waited(compiled, *arguments), 26 * num_envs, 0.2)

        contenders = {
            "native, observations": _native(num_envs),
            "JAX, observations": contender(actions, False, True),
            "JAX, states only": contender(actions, False, False),
            "JAX, observations, and actions drawn on the way": contender(keys, True, True),
            "JAX, states only, and actions drawn on the way": contender(keys, True, False),
        }
        print(f"{num_envs:,} environments:\n")
        print_table(take_turns(contenders, rounds), "native, observations", "environment steps per second")


def _waited(function: Callable[..., Any], *arguments: Any) -> Callable[[], object]:
    """A call of a compiled function that returns when its results are there."""
    import jax

    return lambda: jax.block_until_ready(function(*arguments))  # type: ignore[no-untyped-call]


def _native(num_envs: int) -> Callable[[], float]:
    envs = gym.make_vec("ecnas_gym:ECNAS-7V-v0", num_envs=num_envs, autoreset_mode="Disabled")
    rng = np.random.default_rng(0)
    _, info = envs.reset()
    actions = []
    for _ in range(26):
        actions.append((rng.random(info["action_mask"].shape) * info["action_mask"]).argmax(axis=1))
        info = envs.step(actions[-1])[4]

    def play() -> None:
        envs.reset()
        for action in actions:
            envs.step(action)

    return repeated(play, 26 * num_envs, 0.2)


def equivalence(folder: Path) -> None:
    """Whether the final regrets of two methods are the same, by a bootstrap interval of the difference of means.

    Args:
        folder: The records of a sweep of two methods.
    """
    best = ecnas.load("surrogate-7V").values("val_accuracy").max()
    regrets: dict[str, list[float]] = {}
    for path in sorted(folder.rglob("record.jsonl")):
        record = RunRecord.load(path)
        regrets.setdefault(record.name, []).append(100 * float(best - record.column("val_accuracy").max()))
    rng = np.random.default_rng(0)
    means = [rng.choice(values, size=(20_000, len(values))).mean(axis=1) for values in regrets.values()]
    low, high = np.percentile(means[1] - means[0], [5, 95])
    for name, values in regrets.items():
        print(f"{name}: {len(values)} runs, mean regret {np.mean(values):.4f} percentage points")
    first, second = regrets.values()
    difference = np.mean(second) - np.mean(first)
    verdict = "equivalent" if max(-low, high) < MARGIN else "not shown to be equivalent"
    print(f"difference {difference:+.4f}, 90% interval [{low:+.4f}, {high:+.4f}], ±{MARGIN}: {verdict}")


TABLES = {
    "ppo": ppo,
    "bananas": bananas,
    "reinforce": reinforce,
    "beside": beside_one_by_one,
    "scaling": scaling,
    "growth": growth,
    "update": updates,
    "functional": functional,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--equivalence", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.equivalence is not None:
        return equivalence(args.equivalence)
    print(machine(), "\n")
    for name in args.only:
        TABLES[name](args.rounds)


if __name__ == "__main__":
    main()
