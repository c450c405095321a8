"""The building environment as pure functions over arrays, for JAX to compile, map and run on an accelerator.

```python
import jax
from ecnas_gym.functional import FuncCellEnv

env = FuncCellEnv("7V", xp=jax.numpy)            # pip install "ecnas-gym[jax]"
state = env.initial(None)
states = jax.vmap(lambda action: env.transition(state, action, None))(jax.numpy.arange(3))
```

It follows gymnasium's ``FuncEnv``, so it works with gymnasium's ``FunctionalJaxEnv`` and ``FunctionalJaxVectorEnv``.
With numpy (the default) the same functions work on numpy arrays, without JAX.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import numpy as np
from gymnasium.experimental.functional import FuncEnv
from numpy.typing import NDArray

from ecnas import isomorphism
from ecnas.coerce import shown
from ecnas.encoding import MAX_INNER, NUM_OP_CODES, NUM_OPERATIONS, OP_WEIGHTS, to_frame
from ecnas_gym.automaton import FINISHED, INVALID, START, automaton_of
from ecnas_gym.builder import NUM_ACTIONS, decisions
from ecnas_gym.env import INVALID_REWARD, CellEnv
from ecnas_gym.observation import layout

Array = Any
"""A numpy or JAX array."""


class BuildState(NamedTuple):
    """Cells under construction: integers, all of the same shape.

    Attributes:
        node: State of the automaton that gives the mask (:mod:`ecnas_gym.automaton`).
        cursor: Number of the next decision; the number of decisions when the cell is finished.
        edge_bits: Edges so far, in the labelling of the space's full graph.
        op_code: Operations so far.
    """

    node: Array
    cursor: Array
    edge_bits: Array
    op_code: Array


class Tables(NamedTuple):
    """The look-up tables of the functions. They are arguments, since a compiler would copy constants of this size.

    Attributes:
        following: The node that follows a node and an action, (3·nodes,).
        masks: Allowed actions, bool, (3·nodes, 3).
        op_weights: Weight of an action in the op code, for each decision, (T + 1,).
        edge_weights: Weight of an action in the edge bits, (T + 1,).
        one_hot: Operations of an op code, one-hot, as the bits of an integer, (243,).
        decided_ops: The bits of ``one_hot`` that are decided, for each cursor, (T + 1,).
        decided_edges: The edge bits that are decided, for each cursor, (T + 1,).
        graphs: Where the rows of a graph, given by its edge bits, begin in ``rows``.
        selections: Where the relabelling to its canonical form begins in ``recode``.
        recode: :func:`ecnas.isomorphism.recode_table`, flat.
        rows: As in :class:`ecnas.isomorphism.CellIndex`, flat.
        rewards: Of each training (one, unless they are drawn at random) of each cell, (trainings, cells).
        vector_rewards: The same as vectors, (trainings, cells, objectives).
    """

    following: Array
    masks: Array
    op_weights: Array
    edge_weights: Array
    one_hot: Array
    decided_ops: Array
    decided_edges: Array
    graphs: Array
    selections: Array
    recode: Array
    rows: Array
    rewards: Array
    vector_rewards: Array


class FuncCellEnv(FuncEnv[BuildState, Array, Array, Array, Array, Any, Tables]):
    """:class:`ecnas_gym.CellEnv` without a state of its own: pure functions from state and action to state.

    States, masks, observations, rewards and ends are those of :class:`ecnas_gym.CellEnv`, including those of worlds
    (``benchmark="surrogate-7V~7"``). All functions work elementwise on states and actions of any shape, and can be
    mapped. A final state does not change any more. An action outside the action space counts as one outside the mask.
    There is no budget: the caller counts.

    Nothing is random unless ``repeat="random"``. Then ``rng`` (a numpy generator or a JAX key) draws the training that
    is rewarded; otherwise it is not used.

    Args:
        space: "4V", "5V" or "7V".
        xp: ``numpy`` or ``jax.numpy``. In JAX rewards are float32, unless ``jax_enable_x64`` is set.
        **kwargs: Arguments of :class:`ecnas_gym.CellEnv` except ``budget`` and ``render_mode``.

    Attributes:
        default_params: The tables. Every function takes tables as ``params``, and uses these by default.
    """

    def __init__(self, space: str = "7V", xp: types.ModuleType = np, **kwargs: Any) -> None:
        for name in ("budget", "render_mode"):
            if name in kwargs:
                raise ValueError(f"{name} must not be given: a functional environment remembers nothing")
        env = CellEnv(space, **kwargs)
        self.cell_space, self.benchmark, self.epochs = env.cell_space, env.benchmark, env.epochs
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.xp = xp
        places = layout(self.cell_space)
        # Which bit of an integer an entry of the observation is, and of which integer.
        entry = np.arange(places.size, dtype=np.int32)
        self._is_op, self._is_edge = entry < places.edges_at, (entry >= places.edges_at) & (entry < places.cursor_at)
        begins = np.select([self._is_op, self._is_edge], [0, places.edges_at], places.cursor_at)
        self._bits = entry - begins.astype(np.int32)
        self._tables = _tables(env, xp)
        super().__init__()

    def get_default_params(self, **kwargs: Any) -> Tables:
        """The tables."""
        return self._tables

    def initial(self, rng: Any = None, params: Tables | None = None) -> BuildState:
        """Nothing is decided: a state of shape ()."""
        start, nothing = self.xp.asarray(START, dtype=self.xp.int32), self.xp.asarray(0, dtype=self.xp.int32)
        return BuildState(start, nothing, nothing, nothing)

    def transition(self, state: BuildState, action: Array, rng: Any = None, params: Tables | None = None) -> BuildState:
        """Carries out a decision. An action outside the mask leaves the cell unchanged.

        Raises:
            ValueError: The action is of no integer type.
        """
        xp, tables = self.xp, params or self._tables
        if np.dtype(getattr(action, "dtype", type(action))).kind not in "iu":  # known before any value is, in JAX too
            raise ValueError(f"action must be of an integer type, got {shown(action)}")
        in_space = (action >= 0) & (action < NUM_ACTIONS)
        action = xp.where(in_space, action, 0).astype(xp.int32)
        following = xp.where(in_space, tables.following[state.node + action], INVALID)
        running = state.node >= START
        done = running & (following != INVALID)
        chosen = xp.where(done, action, 0)
        return BuildState(
            xp.where(running, following, state.node),
            state.cursor + done.astype(xp.int32),
            state.edge_bits + chosen * tables.edge_weights[state.cursor],
            state.op_code + chosen * tables.op_weights[state.cursor],
        )

    def observation(self, state: BuildState, rng: Any = None, params: Tables | None = None) -> Array:
        """Observations of :class:`ecnas_gym.CellEnv`: float32, with the entries along a last axis."""
        xp, tables = self.xp, params or self._tables
        ops = tables.one_hot[state.op_code] & tables.decided_ops[state.cursor]
        no_edges = tables.decided_edges[state.cursor] & ~state.edge_bits
        # Every entry is a bit of one integer, less a bit of another: one loop, which compilers make the most of.
        first = xp.where(self._is_edge, state.edge_bits[..., None], (1 << state.cursor)[..., None])
        plus = xp.where(self._is_op, ops[..., None], first) >> self._bits & 1
        minus = xp.where(self._is_edge, no_edges[..., None], 0) >> self._bits & 1
        return (plus - minus).astype(xp.float32)

    def action_mask(self, state: BuildState, params: Tables | None = None) -> Array:
        """The allowed actions: bool, with the three actions along the last axis."""
        return (params or self._tables).masks[state.node]

    def terminal(self, state: BuildState, rng: Any = None, params: Tables | None = None) -> Array:
        """Whether the episode has ended."""
        return state.node < START

    def row(self, state: BuildState, params: Tables | None = None) -> Array:
        """Rows of finished cells in the space; −1 where the cell is not finished."""
        xp, tables = self.xp, params or self._tables
        finished = state.node == FINISHED
        edge_bits = xp.where(finished, state.edge_bits, 0)
        code = tables.recode[tables.selections[edge_bits] + state.op_code]
        return xp.where(finished, tables.rows[tables.graphs[edge_bits] + code], isomorphism.NOT_A_CELL)

    def reward(
        self,
        state: BuildState,
        action: Array,
        next_state: BuildState,
        rng: Any = None,
        params: Tables | None = None,
    ) -> Array:
        """0 until the episode ends, then the reward of :class:`ecnas_gym.CellEnv`; 0 again after a final state."""
        xp, tables = self.xp, params or self._tables
        row = self.row(next_state, tables)
        ended = xp.where(row >= 0, tables.rewards[self._training(rng, row.shape, tables), row], INVALID_REWARD)
        return xp.where((state.node >= START) & (next_state.node < START), ended, 0.0)

    def _training(self, rng: Any, shape: tuple[int, ...], tables: Tables) -> Array:
        """The training that is rewarded: always the same, or one drawn at random."""
        number = tables.rewards.shape[0]
        if number == 1:
            return 0
        if self.xp is np:
            return rng.integers(number, size=shape)
        import jax

        return jax.random.randint(rng, shape, 0, number)

    def state_info(self, state: BuildState, params: Tables | None = None) -> dict[str, Array]:
        """``action_mask``."""
        return {"action_mask": self.action_mask(state, params)}

    def transition_info(
        self, state: BuildState, action: Array, next_state: BuildState, params: Tables | None = None
    ) -> dict[str, Array]:
        """``row`` and ``vector_reward`` of the cells that the action finished; −1 and NaN where it finished none.

        If trainings are drawn at random, there is no vector reward, since only ``reward`` knows which one was drawn.
        """
        xp, tables = self.xp, params or self._tables
        row = self.row(next_state, tables)
        if len(tables.vector_rewards) > 1:
            return {"row": row}
        return {"row": row, "vector_reward": xp.where((row >= 0)[..., None], tables.vector_rewards[0, row], np.nan)}


def _tables(env: CellEnv, xp: types.ModuleType) -> Tables:
    space = env.cell_space
    walk = automaton_of(env.benchmark, (env.epochs,), env.repeat, env.objectives)
    places, sequence = layout(space), decisions(space)
    num_edges = places.cursor_at - places.edges_at
    op_weights, edge_weights = np.zeros((2, len(sequence) + 1), dtype=np.int32)
    for cursor, decision in enumerate(sequence):
        (edge_weights if decision.is_edge else op_weights)[cursor] = decision.weight
    digits = np.arange(NUM_OP_CODES)[:, None] // OP_WEIGHTS % NUM_OPERATIONS
    one_hot = (1 << digits + NUM_OPERATIONS * np.arange(MAX_INNER)).sum(axis=1)

    index = isomorphism.load_index()
    found = index.patterns[to_frame(space.num_vertices, np.arange(1 << num_edges))]
    found = np.where(found == isomorphism.NO_GRAPH, 0, found)  # graphs that no episode leads to
    selections = found & ((1 << isomorphism.SELECTION_BITS) - 1)

    rewards, vector_rewards = _rewards(env)
    return Tables(
        following=xp.asarray(walk.following.astype(np.int32)),
        masks=xp.asarray(walk.masks.astype(np.bool_)),
        op_weights=xp.asarray(op_weights),
        edge_weights=xp.asarray(edge_weights),
        one_hot=xp.asarray(one_hot.astype(np.int32)),
        decided_ops=xp.asarray((1 << NUM_OPERATIONS * _counts(op_weights > 0)) - 1),
        decided_edges=xp.asarray((1 << _counts(edge_weights > 0)) - 1),
        graphs=xp.asarray(((found >> isomorphism.SELECTION_BITS) * NUM_OP_CODES).astype(np.int32)),
        selections=xp.asarray((selections * NUM_OP_CODES).astype(np.int32)),
        recode=xp.asarray(isomorphism.recode_table().ravel().astype(np.int32)),
        rows=xp.asarray(index.rows.ravel()),
        rewards=xp.asarray(rewards),
        vector_rewards=xp.asarray(vector_rewards),
    )


def _rewards(env: CellEnv) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rewards and vector rewards by training and cell, shapes (trainings, cells) and (trainings, cells, objectives)."""
    rows = np.arange(len(env.cell_space))
    repeats = range(env.benchmark.table.repeats) if env.repeat == "random" else [env.repeat]
    judgements = []
    for repeat in repeats:
        evaluations = env.benchmark.query_rows(rows, env.epochs, repeat=repeat)
        judgements.append(env.judge(evaluations))
    rewards = np.stack([judgement.reward for judgement in judgements])
    if len(repeats) > 1 and (np.isnan(rewards).any(axis=0) & ~np.isnan(rewards).all(axis=0)).any():
        raise ValueError(f"repeat must not be 'random': some cells of {env.benchmark.name!r} lack some trainings")
    vectors = np.stack([judgement.vector_reward for judgement in judgements])
    return np.where(np.isnan(rewards), INVALID_REWARD, rewards), vectors


def _counts(chosen: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For each decision, the number of chosen decisions before it."""
    return (np.cumsum(chosen) - chosen).astype(np.int32)
