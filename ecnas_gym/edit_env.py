"""Environments in which a finished cell is edited instead of built from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ecnas import Benchmark, Budget, Cell, OutOfDomainError, Scalarisation, pareto
from ecnas.benchmark import DEFAULT_OBJECTIVES
from ecnas.coerce import whole
from ecnas.encoding import NUM_OP_CODES, NUM_OPERATIONS, code_to_ops
from ecnas_gym.builder import MASK_DONE
from ecnas_gym.domain import Repeat
from ecnas_gym.editor import Edits, Placed
from ecnas_gym.env import CellEnv, MOCellEnv, Step, _BuildEnv, check_options

Reward = TypeVar("Reward")

DEFAULT_MAX_EDITS = 4


class _EditEnv(_BuildEnv[Reward]):
    """Episodes of edits; a finished cell is judged as in the building environment."""

    def _start_editing(self, max_edits: int) -> None:
        """Replaces actions and observations of the building environment."""
        self.max_edits = max_edits = whole("max_edits", max_edits, 1, 999)
        self.edits = Edits(self.cell_space)
        num_inner = self.cell_space.num_vertices - 2
        digits = code_to_ops(np.arange(NUM_OP_CODES))[:, :num_inner]
        self._ops_seen = np.eye(NUM_OPERATIONS, dtype=np.float32)[digits].reshape(NUM_OP_CODES, -1)  # by op code
        self._num_ops = num_inner * NUM_OPERATIONS
        self._edge_bits = 1 << np.arange(self.edits.num_edges)
        self._left_at = self._num_ops + self.edits.num_edges  # where an observation says how many edits are left
        self._size = self._left_at + max_edits + 1
        self.action_space = gym.spaces.Discrete(self.edits.num_actions)
        self.observation_space = gym.spaces.Box(0.0, 1.0, (self._size,), dtype=np.float32)
        self.placed = Placed(0, 0)
        self._edits_left = 0
        self._start_row = -1
        self._mask = np.zeros(self.edits.num_actions, dtype=np.bool_)

    def action_masks(self) -> NDArray[np.bool_]:
        """The allowed actions, bool of shape (num_actions,). MaskablePPO looks for this name."""
        mask: NDArray[np.bool_] = self._mask.copy()
        return mask

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts from the incumbent, or from a cell in the options; works with a spent budget, as in :class:`CellEnv`.

        Args:
            seed: Seed of the random first cell and of placements; starts a new run, without an incumbent.
            options: ``{"cell": Cell}`` to start from a cell, in a random placement; or ``{"placed": Placed}`` to start
                from a placed cell.

        Raises:
            ValueError: An option is neither of these, or both are given.
            OutOfDomainError: The cell is not in the space, or the benchmark lacks it.
        """
        gym.Env.reset(self, seed=seed)
        if seed is not None:
            self._forget()
        options = options or {}
        check_options(options, ("cell", "placed"))
        if len(options) > 1:
            raise ValueError("options must have one of the keys 'cell' and 'placed', got both")
        if "placed" in options:
            placed = self.edits.check_placed(options["placed"])
            self._start_row, self.placed = self._known_row(self.edits.cell(placed)), placed
        else:
            cell = options.get("cell")
            if not isinstance(cell, Cell | None):
                raise ValueError(f"options['cell'] must be an ecnas.Cell, got {cell!r}")
            self._start_row = self._incumbent() if cell is None else self._known_row(cell)
            self.placed = self.edits.place(self._start_row, self.np_random)
        self._edits_left = self.max_edits
        self._start()
        self._look()
        return self._observation.copy(), {"action_mask": self._mask.astype(np.int8)}

    def step(self, action: np.int64 | int) -> Step:
        """Carries out an edit, or evaluates the cell.

        Raises:
            ValueError: The action is not in the action space.
            BudgetExhaustedError: The budget allows no further episode; or the cell costs more than it has left, and
                nothing was charged. ``reset`` starts another episode.
            BudgetProcessError: The budget is of another process.
        """
        choice = self._choice(action, self.edits.num_actions)
        if not self._begun and self._refuses():
            return self._end_unpaid()
        if not self._mask[choice]:
            return self._end_invalid()
        if choice != self.edits.stop:
            self.placed = self.edits.after(self.placed, choice)
            self._edits_left -= 1
            self._look()
            if self.budget is not None:
                self._seen_charges = self.budget.num_charges
            info = {"action_mask": self._mask.astype(np.int8)}
            return self._observation.copy(), self._no_reward(), False, False, info
        result = self._end_finished()
        if "row" in result[4]:
            self._remember(result[4]["row"], result[1])
        return result

    def finishes(self, action: int) -> bool:
        """Whether an action that is allowed now would have the cell evaluated."""
        return action == self.edits.stop

    def _left(self) -> int | None:
        return self._edits_left

    def _look(self) -> None:
        """Renews observation and mask, and what is rendered and evaluated."""
        builder = self._builder
        builder.edge_bits, builder.op_code = self.placed
        builder.cursor, builder.mask = len(builder.decisions), MASK_DONE
        self._mask = self.edits.mask(self.placed, self._edits_left, self._present)
        row = builder.row()
        # The unchanged incumbent would be paid for again and tell nothing; but an episode must be able to end.
        if row == self._start_row and (row, self.epochs) in self._evaluated and self._mask[:-1].any():
            self._mask[self.edits.stop] = False
        observation = self._observation = np.zeros(self._size, dtype=np.float32)
        observation[: self._num_ops] = self._ops_seen[self.placed.op_code]
        observation[self._num_ops : self._left_at] = self._edge_bits & self.placed.edge_bits != 0
        observation[self._left_at + self._edits_left] = 1.0

    def _final_mask(self) -> NDArray[np.int8]:
        self._mask = np.zeros(len(self._mask), dtype=np.bool_)
        return self._mask.astype(np.int8)

    def _row_after(self, action: int) -> int:
        return self._row()

    def _known_row(self, cell: Cell) -> int:
        """The row of a cell to start from."""
        row = self.cell_space.row(cell)
        if self._present is not None and not self._present[row]:
            raise OutOfDomainError(
                f"{self.benchmark.name!r} lacks cell {cell.hash}, so that no episode can start there"
            )
        return row

    def _random_row(self) -> int:
        if self._present is None:
            return int(self.np_random.integers(len(self.cell_space)))
        return int(self.np_random.choice(self._present.nonzero()[0]))

    def _forget(self) -> None:
        """Forgets all cells that were evaluated."""
        self._evaluated: set[tuple[int, int]] = set()  # rows and epochs

    def _incumbent(self) -> int:
        """The row of the cell to start from."""
        raise NotImplementedError

    def _remember(self, row: int, reward: Any) -> None:
        """Takes in what the cell in a row was rewarded with."""
        raise NotImplementedError


class EditEnv(_EditEnv[float], CellEnv):
    """Edit the best cell so far, edge by edge and operation by operation; the new cell's metrics are the reward.

    ## Description
    The agent does not build a cell from scratch, as in :class:`ecnas_gym.CellEnv`. It changes a finished one: the
    incumbent, which is the cell with the highest reward that this environment has evaluated. When the agent stops, the
    benchmark evaluates the cell; if it is better, it becomes the incumbent. Good cells have good neighbours, so a
    policy that learns useful edits needs fewer evaluations than one that learns whole cells.

    ## Action Space
    `Discrete(13)`, `Discrete(20)` and `Discrete(37)` in the spaces 4V, 5V and 7V:

    | Action (7V) | Meaning                                                                          |
    |-------------|----------------------------------------------------------------------------------|
    | 0 – 20      | flip an edge: 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, 0→4, …, 5→6                          |
    | 21 – 35     | set an operation: vertex 1 to `conv3x3-bn-relu`, `conv1x1-bn-relu`, `maxpool3x3`; then vertex 2, … |
    | 36          | stop: the cell is evaluated, the episode ends                                    |

    `info["action_mask"]` (int8) and `env.unwrapped.action_masks()` (bool) give the allowed actions. After an allowed
    action the pruned cell is in the space, though it may be the same as before: dangling edges and unconnected vertices
    are pruned when the cell is evaluated, so two flips can add a vertex. Two kinds of action are not allowed: setting
    an operation to its present value, and stopping at the episode's first cell if this environment has already
    evaluated it, unless nothing else is left. If the benchmark lacks cells, episodes start and stop only at available
    cells, and an edit may lead to an unavailable one only if the next edit can lead back.

    ## Observation Space
    `Box(0, 1, (n,), float32)` with n = 17, 24 and 41 for four edits.

    | Entries (7V) | Meaning                                                                         |
    |--------------|---------------------------------------------------------------------------------|
    | 0 – 14       | Operation of vertices 1 to 5, one-hot, including unconnected vertices           |
    | 15 – 35      | Edges, in the order of the actions that flip them                               |
    | 36 – 40      | Number of edits left, one-hot: 0 to `max_edits`                                 |

    ## Rewards
    0 for an edit; at the end the scalarised objectives of the cell, as in :class:`ecnas_gym.CellEnv`. An action outside
    the mask ends the episode with −1 and charges nothing.

    ## Starting State
    The incumbent; before the first evaluation, a cell drawn uniformly from the space. Its vertices are placed in a
    random order that respects the edges, so that no edit stays out of reach for long. Unused vertices get random
    operations. `reset(options={"cell": cell})` starts from another cell, and
    `reset(options={"placed": (edge_bits, op_code)})` from a given placement (:class:`ecnas_gym.editor.Placed`).
    `reset(seed=...)` starts a new run and forgets the incumbent; charges to the budget remain.

    ## Episode End
    The episode terminates when the agent stops, or with an action outside the mask. When no edit is left, only stopping
    is allowed. Truncation is as in :class:`ecnas_gym.CellEnv`.

    ## Information
    As in :class:`ecnas_gym.CellEnv`.

    ## Arguments
    Those of :class:`ecnas_gym.CellEnv`, and
    - `max_edits`: the largest number of edits in an episode.

    ```python
    >>> import gymnasium as gym
    >>> import ecnas_gym
    >>> env = gym.make("ECNAS-7V-Edit-v0", budget=100, max_edits=2)
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
        max_edits: int = DEFAULT_MAX_EDITS,
        repeat: Repeat = None,
    ) -> None:
        CellEnv.__init__(self, space, benchmark, epochs, objectives, scalarisation, budget, render_mode, repeat)
        self._start_editing(max_edits)
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._best: tuple[int, float, int] | None = None  # epochs, reward, row

    def _incumbent(self) -> int:
        return self._random_row() if self._best is None else self._best[2]

    def _remember(self, row: int, reward: float) -> None:
        self._evaluated.add((row, self.epochs))
        if self._best is None or (self.epochs, reward) > self._best[:2]:
            self._best = (self.epochs, reward, row)


class MOEditEnv(_EditEnv[NDArray[np.float64]], MOCellEnv):
    """The environment of :class:`EditEnv` with the vector of objectives as its reward.

    ## Description, Action Space, Observation Space, Episode End, Information
    See :class:`EditEnv`.

    ## Rewards
    As in :class:`ecnas_gym.MOCellEnv`.

    ## Starting State
    With vector rewards there is no single best cell. An episode starts from one of the non-dominated cells that this
    environment has evaluated, drawn uniformly. Otherwise as in :class:`EditEnv`.

    ## Arguments
    Those of :class:`ecnas_gym.MOCellEnv`, and `max_edits`.

    ```python
    >>> import gymnasium as gym
    >>> import ecnas_gym
    >>> gym.make("MO-ECNAS-5V-Edit-v0").unwrapped.reward_dim
    2

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
        max_edits: int = DEFAULT_MAX_EDITS,
        repeat: Repeat = None,
    ) -> None:
        MOCellEnv.__init__(self, space, benchmark, epochs, objectives, budget, render_mode, repeat)
        self._start_editing(max_edits)
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._front_epochs = 0
        self._front_rows: list[int] = []
        self._front_rewards = np.empty((0, self.reward_dim))

    def pareto_front(self, gamma: float = 1.0) -> list[NDArray[np.float64]]:
        """Rewards of the exact Pareto front, by ascending first objective.

        They are not discounted, whatever ``gamma``: any cell can be the start of an episode that stops at once.
        """
        return super().pareto_front(1.0)

    def _incumbent(self) -> int:
        if not self._front_rows:
            return self._random_row()
        return self._front_rows[int(self.np_random.integers(len(self._front_rows)))]

    def _remember(self, row: int, reward: NDArray[np.float64]) -> None:
        self._evaluated.add((row, self.epochs))
        if self.epochs < self._front_epochs:
            return
        if self.epochs > self._front_epochs:
            self._front_epochs, self._front_rows, self._front_rewards = self.epochs, [], np.empty((0, self.reward_dim))
        rewards = np.vstack([self._front_rewards, reward])
        kept = pareto.non_dominated(rewards)
        self._front_rows = [[*self._front_rows, row][k] for k in kept]
        self._front_rewards = rewards[kept]
