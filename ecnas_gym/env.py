"""The environments: a cell is built decision by decision and judged by the benchmark at the end."""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from numpy.typing import NDArray

import ecnas
from ecnas import Benchmark, Budget, BudgetExhaustedError, Evaluation, Evaluations, Scalarisation, Space
from ecnas.benchmark import DEFAULT_OBJECTIVES, REFERENCE_MARGIN
from ecnas.coerce import whole
from ecnas.objectives import check_objectives
from ecnas.task import Judgement, Task
from ecnas_gym.accounts import account
from ecnas_gym.builder import NUM_ACTIONS, CellBuilder
from ecnas_gym.domain import Repeat, present_cells
from ecnas_gym.info import METRICS, Info, told
from ecnas_gym.observation import layout

INVALID_REWARD: Final = -1.0
"""Reward of an action outside the mask, in every objective. No cell of any benchmark has a lower reward."""

Reward = TypeVar("Reward")
Step = tuple[NDArray[np.float32], Any, bool, bool, dict[str, Any]]


def _masks(dtype: Any) -> tuple[NDArray[Any], ...]:
    """All masks by bit set; each step hands out a copy."""
    return tuple(
        np.array([bits >> action & 1 for action in range(NUM_ACTIONS)], dtype=dtype) for bits in range(1 << NUM_ACTIONS)
    )


_BOOL_MASKS: Final = _masks(np.bool_)
_INT8_MASKS: Final = _masks(np.int8)  # what gymnasium's Discrete.sample(mask) takes


class _BuildEnv(gym.Env[NDArray[np.float32], np.int64], Generic[Reward]):
    """The part that the scalar and the vector environment share; they differ only in the reward."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012  # as gymnasium declares it

    def __init__(
        self,
        space: str = "7V",
        benchmark: str | Benchmark | None = None,
        epochs: int | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        budget: Budget | int | None = None,
        render_mode: str | None = None,
        repeat: Repeat = None,
        scalarisation: str | Scalarisation | None = None,
    ) -> None:
        self.cell_space = Space(space)
        if benchmark is None:
            benchmark = f"surrogate-{space}"
        self.benchmark = benchmark if isinstance(benchmark, Benchmark) else ecnas.load(benchmark)
        if self.benchmark.space != self.cell_space:
            raise ValueError(
                f"benchmark {self.benchmark.name!r} answers for space {self.benchmark.space.name}, but the environment "
                f"builds cells of space {space}"
            )
        self.epochs = self.benchmark.check_epochs(epochs)
        self.objectives = check_objectives(objectives)
        self.scalarisation = self.benchmark.scalarisation(scalarisation, self.objectives, self.epochs)
        self.budget = account(budget)
        self.render_mode = _check_render_mode(render_mode, self.metadata["render_modes"])
        self.repeat = repeat if _is_random(repeat) else self.benchmark.check_repeat(repeat)  # type: ignore[arg-type]

        self._restrict((self.epochs,))
        self._layout = layout(self.cell_space)
        self._first_observation = self._layout.first()
        self._observation = self._first_observation.astype(np.float32)
        self.action_space = gym.spaces.Discrete(NUM_ACTIONS)
        self.observation_space = gym.spaces.Box(self._layout.lowest(), np.ones_like(self._observation))
        self._running = False
        self._begun = False  # whether the budget has allowed the episode
        self.least_epochs = self.epochs  # that an evaluation can be charged with
        self._seen_charges = 0
        self._last: Evaluation | None = None

    def _restrict(self, epochs: tuple[int, ...]) -> None:
        """Keeps to the cells that the benchmark answers for at one of several numbers of epochs."""
        arguments = self.benchmark, epochs, self.repeat, self.objectives
        self._present = present_cells(*arguments)
        if self._present is None:
            self._builder = CellBuilder(self.cell_space)
        else:
            from ecnas_gym.automaton import RestrictedBuilder, automaton_of  # of no use to a full benchmark

            self._builder = RestrictedBuilder(self.cell_space, automaton_of(*arguments))

    @property
    def reference_point(self) -> NDArray[np.float64]:
        """The reference point of the rewards' hypervolume: a tenth of the front's extent beyond its nadir; shape (m,).

        It is in units of the vector reward, in which the nadir of the exact front is 0 and its ideal point is 1.
        :meth:`ecnas.Benchmark.reference_point` is the same point in natural units.
        """
        return np.full(len(self.objectives), -REFERENCE_MARGIN)

    def action_masks(self) -> NDArray[np.bool_]:
        """The allowed actions, bool of shape (3,). MaskablePPO looks for this name."""
        mask: NDArray[np.bool_] = _BOOL_MASKS[self._builder.mask].copy()
        return mask

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts a new cell.

        This works even with a spent budget: libraries reset in the step that ends an episode, and an error here would
        lose the result of that step. The first ``step`` then raises.

        Raises:
            ValueError: Options are given; this environment has none.
        """
        super().reset(seed=seed)
        if options:
            check_options(options, ())
        self._builder.reset()
        self._observation[:] = self._first_observation
        self._start()
        return self._observation.copy(), {"action_mask": _INT8_MASKS[self._builder.mask].copy()}

    def _start(self) -> None:
        """An episode is under way, and whatever was evaluated until now has been handed out."""
        self._running = True
        self._last = None
        self._begun = self.budget is None
        if self.budget is not None:
            self._seen_charges = self.budget.num_charges

    def step(self, action: np.int64 | int) -> Step:
        """Carries out a decision.

        Raises:
            ValueError: The action is not in the action space.
            BudgetExhaustedError: The budget allows no further episode; or the finished cell costs more than it has
                left, and nothing was charged. ``reset`` starts another cell.
            BudgetProcessError: The budget is of another process.
        """
        choice = self._choice(action, NUM_ACTIONS)
        if not self._begun and self._refuses():
            return self._end_unpaid()
        builder = self._builder
        if not builder.mask >> choice & 1:
            return self._end_invalid()

        observation, cursor = self._observation, builder.cursor
        edges_at, cursor_at, _, writes_at = self._layout
        position = writes_at[cursor]
        if position < edges_at:
            observation[position + choice] = 1.0
        else:
            observation[position] = 1.0 if choice else -1.0
        builder.apply(choice)
        observation[cursor_at + cursor] = 0.0
        if builder.finished:
            return self._end_finished()
        observation[cursor_at + cursor + 1] = 1.0
        if self.budget is not None:
            self._seen_charges = self.budget.num_charges
        info = {"action_mask": _INT8_MASKS[builder.mask].copy()}
        return observation.copy(), self._no_reward(), False, False, info

    def _choice(self, action: Any, num_actions: int) -> int:
        """The action of a step that may be made."""
        choice = int(action) if type(action) is np.int64 or type(action) is int else -1
        if not 0 <= choice < num_actions:
            choice = whole("action", action, 0, num_actions - 1)
        if not self._running:
            raise ResetNeeded("call reset before step: the episode has ended, or none was started")
        return choice

    def finishes(self, action: int) -> bool:
        """Whether an action that is allowed now would have the cell evaluated."""
        return self._builder.cursor == len(self._builder.decisions) - 1

    def _refuses(self) -> bool:
        """Whether the budget does not allow the episode that begins, and this must not be said by an error now."""
        if not self._begun and self.budget is not None:
            try:
                self.budget.require(self.least_epochs)
            except BudgetExhaustedError:
                if self._others_were_paid():
                    return True
                raise
        self._begun = True
        return False

    def _others_were_paid(self) -> bool:
        """Whether another environment was evaluated since the last step of this one.

        Then its result may be on its way to the caller in the very step of a vector environment that this step is a
        part of, and an error would lose it.
        """
        return self.budget is not None and self.budget.num_charges != self._seen_charges

    def _row(self) -> int:
        """The row of the finished cell."""
        return self._builder.row()

    def _row_after(self, action: int) -> int:
        """The row of the cell that an action would finish."""
        builder = copy.copy(self._builder)
        builder.apply(action)
        return builder.row()

    def _end_finished(self) -> Step:
        self._running = False
        row = self._row()
        repeat: Any = self.np_random if _is_random(self.repeat) else self.repeat
        try:
            evaluation = self.benchmark.query_row(
                row, self.epochs, repeat=repeat, budget=self.budget, needs=self.objectives
            )
        except BudgetExhaustedError:
            if self._others_were_paid():
                return self._end_unpaid()
            raise
        self._last = evaluation
        judgement = self.judge(evaluation)
        items: dict[str, Any] = {"row": row, "vector_reward": judgement.vector_reward, "epochs": self.epochs}
        for name in METRICS:
            figure = getattr(evaluation, name)
            if figure == figure:  # what the benchmark lacks is NaN
                items[name] = figure
        if evaluation.repeat is not None:
            items["repeat"] = evaluation.repeat
        objects = {"cell": functools.partial(self.cell_space.__getitem__, row), "evaluation": evaluation}
        return self._ended(self._reward(judgement), items, objects)

    def judge(self, evaluation: Evaluation | Evaluations) -> Judgement:
        """What an evaluation, or a batch of them, is worth here."""
        return Task(self.benchmark, self.objectives, self.scalarisation, self.epochs).judge(evaluation)

    def _end_invalid(self) -> Step:
        return self._ended(self._invalid_reward(), {"invalid": True}, {})

    def _end_unpaid(self) -> Step:
        return self._ended(self._no_reward(), {"unpaid": True}, {}, truncated=True)

    def _ended(self, reward: Any, items: dict[str, Any], objects: dict[str, Any], truncated: bool = False) -> Step:
        self._running = False
        items = {"action_mask": self._final_mask(), "invalid": False, **items}
        if self.budget is not None:
            self._seen_charges = self.budget.num_charges
            items.setdefault("unpaid", False)
            objects["budget"] = self.budget.as_dict()
        items = {key: told(value) for key, value in items.items()}
        return self._observation.copy(), reward, not truncated, truncated, Info.with_objects(items, objects)

    def _final_mask(self) -> NDArray[np.int8]:
        return np.zeros(NUM_ACTIONS, dtype=np.int8)

    def _no_reward(self) -> Reward:
        raise NotImplementedError

    def _invalid_reward(self) -> Reward:
        raise NotImplementedError

    def _reward(self, judgement: Judgement) -> Reward:
        raise NotImplementedError

    def _left(self) -> int | None:
        """Number of edits left, where cells are edited."""
        return None

    def render(self) -> Any:
        """The cell as it stands: a string ("ansi") or uint8 pixels of shape (480, 480, 3) ("rgb_array")."""
        from ecnas_gym import rendering

        if self.render_mode == "ansi":
            return rendering.text(self._builder, self._last, self._left())
        if self.render_mode == "rgb_array":
            return rendering.pixels(self._builder, self._last, self._left())
        gym.logger.warn("render() needs a render_mode: gym.make(..., render_mode='ansi' or 'rgb_array')")
        return None


def check_options(options: Any, allowed: Sequence[str]) -> None:
    """Raises a ValueError unless options of a reset are a dictionary with no other keys than these."""
    if not isinstance(options, Mapping):
        raise ValueError(f"options must be a dictionary, got {options!r}")
    for key in options:
        if key not in allowed:
            keys = " or ".join(map(repr, allowed))
            raise ValueError(f"options must {f'have the key {keys}' if allowed else 'be empty'}, got the key {key!r}")


def _is_random(repeat: Repeat) -> bool:
    return isinstance(repeat, str) and repeat == "random"


def _check_render_mode(render_mode: str | None, allowed: Sequence[str]) -> str | None:
    if render_mode is not None and render_mode not in allowed:
        raise ValueError(f"render_mode must be one of {allowed} or None, got {render_mode!r}")
    if render_mode == "rgb_array" and importlib.util.find_spec("matplotlib") is None:
        raise DependencyNotInstalled('render_mode="rgb_array" needs matplotlib: pip install "ecnas-gym[plots]"')
    return render_mode


class CellEnv(_BuildEnv[float]):
    """Build a cell decision by decision; its accuracy and energy, as one number, are the reward.

    ## Description
    An agent designs the cell of a CIFAR-10 network: a directed acyclic graph from an input to an output vertex, with an
    operation (3×3 convolution, 1×1 convolution, 3×3 max-pooling) at each inner vertex, as in NAS-Bench-101 (Ying et al.
    2019, https://arxiv.org/abs/1902.09635). When the cell is finished, the EC-NAS benchmark (Bakhtiarifard et al. 2024,
    https://arxiv.org/abs/2210.06015) returns the accuracy of the trained network and the energy of its training. An
    episode always has 8 (`ECNAS-4V`), 13 (`ECNAS-5V`) or 26 (`ECNAS-7V`) steps. The spaces have 91, 2,532 and 423,624
    different cells.

    ## Action Space
    `Discrete(3)`. Decisions come in a fixed order: for each vertex 1, 2, … its operation, then whether there is an edge
    from each earlier vertex 0, 1, …. The output, which is the last vertex, has only edge decisions.

    | Action | Operation decision | Edge decision |
    |--------|--------------------|---------------|
    | 0      | `conv3x3-bn-relu`  | no edge       |
    | 1      | `conv1x1-bn-relu`  | edge          |
    | 2      | `maxpool3x3`       | (never)       |

    `info["action_mask"]` (int8) and `env.unwrapped.action_masks()` (bool) give the allowed actions. Under the mask
    every finished cell is in the space, and every cell of the space can be built. Edges start only at vertices that are
    connected to the input, dangling vertices are connected to the output, and the edge cap (6, 9 and 9 edges) is never
    exceeded. A vertex may stay unconnected; the cell then has fewer vertices. If the benchmark lacks cells, the mask
    leads to all available cells, in all their labellings, and to no others.

    ## Observation Space
    `Box(-1, 1, (n,), float32)` with n = 20, 32 and 62. It contains all decisions so far, so the process is Markov.

    | Entries (7V) | Meaning                                                                            |
    |--------------|------------------------------------------------------------------------------------|
    | 0 – 14       | Operation of vertices 1 to 5, one-hot; zeros while undecided                       |
    | 15 – 35      | Edges in the order of their decisions: 1 edge, −1 no edge, 0 undecided              |
    | 36 – 61      | The next decision, one-hot; zeros at the end                                       |

    ## Rewards
    0 until the cell is finished, then the scalarised objectives. The default is accuracy under a soft cap on energy:
    the score of the validation accuracy, minus the amount by which the score of the energy falls below 0.2. A score is
    0 at the worst and 1 at the best value on the exact Pareto front of the benchmark, and 0 for anything worse. It is
    linear in accuracy and logarithmic in energy. Up to the cap (0.56 kWh in 7V) energy is free. Above it, 10% more
    energy costs as much as 0.55 percentage points of accuracy, up to the most expensive cell of the front. Test
    accuracy is reported, never rewarded.

    An action outside the mask ends the episode with −1; nothing is charged.

    ## Starting State
    Nothing is decided. The environment is deterministic, except for the training that `repeat="random"` draws.

    ## Episode End
    The episode terminates with the last decision, or with an action outside the mask. It is truncated only if a budget
    shared with other environments does not allow it (see `budget` below).

    ## Information
    `action_mask` (int8) is always present. At the end of an episode there are also numbers and arrays, which frameworks
    can compare, collate and convert to tensors. Vector environments have them as arrays under the same keys; as usual,
    `_key` says which environments `key` belongs to.

    | Key | Type | |
    |-----|------|-|
    | `invalid` | bool array, shape () | Whether the episode ended with an action outside the mask |
    | `unpaid` | bool array, shape () | Whether the budget did not allow the cell; only under a budget |
    | `row` | int64 | Position of the cell in its space: `env.unwrapped.cell_space[row]` is the cell |
    | `vector_reward` | float64 array | One entry per objective |
    | `val_accuracy`, `test_accuracy`, `train_accuracy` | float64 | As in `ecnas.Evaluation` |
    | `energy`, `co2`, `training_time` | float64 | As in `ecnas.Evaluation` |
    | `trainable_parameters`, `epochs` | int64 | As in `ecnas.Evaluation` |
    | `repeat` | int64 | Which of several trainings was returned; absent for means |

    The keys from `row` on are present only if the cell was evaluated. A metric that the benchmark lacks is absent.

    Three objects are available by key, but do not appear among the items: `info["cell"]` (`ecnas.Cell`),
    `info["evaluation"]` (`ecnas.Evaluation`) and, under a budget, `info["budget"]` (amounts spent and limits).

    ## Arguments
    - `benchmark`: a name for `ecnas.load`, or an `ecnas.Benchmark`. Default: the embedded `surrogate-…` of the space.
    - `epochs`: the number of epochs of training; by default the benchmark's highest.
    - `objectives`: names from `ecnas.OBJECTIVES`; validation accuracy and energy by default.
    - `scalarisation`: "soft-cap" (the default), "linear", "chebyshev", "cap", "power", or an object such as
      `ecnas.Linear((0.8, 0.2))`. With one objective the default is the score of that objective.
    - `budget`: an `ecnas.Budget`, or a number of evaluations. The episode that spends the last unit ends normally, and
      the first `step` of the next one raises `ecnas.BudgetExhaustedError`. So does a step that finishes a cell which
      costs more than is left. Several environments of one process can share a budget. If an error could then lose an
      evaluation that another environment paid for in the same step, the episode is truncated instead, with reward 0
      and `info["unpaid"]`.
    - `repeat`: which training is returned if the benchmark has several of a cell: "mean" (the default), a number, a
      `numpy.random.Generator` that draws one, or "random", which draws with the environment's own generator, so
      `reset(seed=...)` determines it.
    - `render_mode`: "ansi" or "rgb_array" (needs matplotlib). With "human", `gym.make` shows the images in a window
      (needs pygame).

    ```python
    >>> import gymnasium as gym
    >>> import ecnas_gym
    >>> env = gym.make("ECNAS-7V-v0", budget=100)
    >>> observation, info = env.reset(seed=0)
    >>> env.action_space.seed(0)
    0
    >>> terminated = False
    >>> while not terminated:
    ...     action = env.action_space.sample(mask=info["action_mask"])
    ...     observation, reward, terminated, truncated, info = env.step(action)
    >>> info["budget"]["evaluations"]
    1

    ```

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        space: str = "7V",
        benchmark: str | Benchmark | None = None,
        epochs: int | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        scalarisation: str | Scalarisation | None = None,
        budget: Budget | int | None = None,
        render_mode: str | None = None,
        repeat: Repeat = None,
    ) -> None:
        super().__init__(space, benchmark, epochs, objectives, budget, render_mode, repeat, scalarisation)

    def _no_reward(self) -> float:
        return 0.0

    def _invalid_reward(self) -> float:
        return INVALID_REWARD

    def _reward(self, judgement: Judgement) -> float:
        return float(judgement.reward)


class MOCellEnv(_BuildEnv[NDArray[np.float64]]):
    """The environment of :class:`CellEnv` with the vector of objectives as its reward.

    ## Description, Action Space, Observation Space, Starting State, Episode End, Information
    See :class:`CellEnv`.

    ## Rewards
    A new float64 array with one entry per objective, in the order of `objectives`: zeros until the cell is finished,
    then each objective between 0 (the worst value on the benchmark's exact Pareto front) and 1 (the best). All are
    maximised. An action outside the mask gives −1 in every entry. Following MO-Gymnasium's convention, the environment
    has `reward_space`, `reward_dim`, `pareto_front(gamma)` and `reference_point`, all in these units.

    ## Arguments
    Those of :class:`CellEnv` except `scalarisation`. MO-Gymnasium's wrappers apply:

    ```python
    >>> import gymnasium as gym
    >>> import ecnas_gym
    >>> env = gym.make("MO-ECNAS-7V-v0", objectives=("val_accuracy", "energy", "trainable_parameters"))
    >>> env.unwrapped.reward_dim
    3

    ```

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        space: str = "7V",
        benchmark: str | Benchmark | None = None,
        epochs: int | None = None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
        budget: Budget | int | None = None,
        render_mode: str | None = None,
        repeat: Repeat = None,
    ) -> None:
        super().__init__(space, benchmark, epochs, objectives, budget, render_mode, repeat)
        self.reward_dim = len(self.objectives)
        # A lucky training may be better than the best mean.
        most = 1.0 if self.benchmark.table.repeats == 1 else np.inf
        self.reward_space = gym.spaces.Box(INVALID_REWARD, most, (self.reward_dim,), dtype=np.float64)

    def pareto_front(self, gamma: float = 1.0) -> list[NDArray[np.float64]]:
        """Returns of the exact Pareto front: the discounted reward vectors, by ascending first objective."""
        scores = self.benchmark.pareto_front(self.objectives, self.epochs).scores
        returns: NDArray[np.float64] = scores * gamma ** (len(self._builder.decisions) - 1)
        return list(returns)

    def _no_reward(self) -> NDArray[np.float64]:
        return np.zeros(self.reward_dim)

    def _invalid_reward(self) -> NDArray[np.float64]:
        return np.full(self.reward_dim, INVALID_REWARD)

    def _reward(self, judgement: Judgement) -> NDArray[np.float64]:
        reward: NDArray[np.float64] = judgement.vector_reward.copy()
        return reward
