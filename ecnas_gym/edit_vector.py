"""The environments in which cells are edited, many at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ecnas import Space
from ecnas.encoding import NUM_OP_CODES, NUM_OPERATIONS, NUM_PATTERNS, OP_WEIGHTS, to_frame
from ecnas.isomorphism import load_index
from ecnas_gym.builder import CellBuilder
from ecnas_gym.edit_env import EditEnv, MOEditEnv
from ecnas_gym.editor import Edits, Placed, seatings
from ecnas_gym.env import _BuildEnv
from ecnas_gym.vector import Masks, Observations, _MOVectorEnv, _VectorEnv

_SELECTION_BITS: Final = 9  # of ecnas.isomorphism.CellIndex.patterns
_NO_GRAPH: Final = np.uint32(0xFFFFFFFF)
_WORD: Final = 64


class EditVectorEnv(_VectorEnv):
    """N environments of :class:`ecnas_gym.EditEnv` that step together.

    Every episode is the one that :class:`ecnas_gym.EditEnv` has from the same placed cell for the same actions, and
    each environment has an incumbent of its own; but all draw first cells and placements with one generator.
    ``gym.make_vec(id, num_envs)`` makes it, with the arguments of the environment:

    ```python
    >>> import gymnasium as gym
    >>> import numpy as np
    >>> import ecnas_gym
    >>> envs = gym.make_vec("ECNAS-7V-Edit-v0", num_envs=256)
    >>> observations, info = envs.reset(seed=0)
    >>> rng = np.random.default_rng(0)
    >>> actions = (rng.random((256, 37)) * info["action_mask"]).argmax(axis=1)
    >>> observations, rewards, terminated, truncated, info = envs.step(actions)
    >>> observations.shape
    (256, 41)

    ```

    Information, ends of episodes, budgets, attributes and arguments are those of
    :class:`ecnas_gym.vector.CellVectorEnv`. ``reset(seed=...)`` begins a new run: the incumbents are forgotten.

    Attributes:
        placed: The placed cells as they stand, arrays of shape (N,).
    """

    _single_env: type[_BuildEnv[Any]] = EditEnv

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_envs, autoreset_mode, max_episode_steps, **kwargs)
        env = self._env
        assert isinstance(env, EditEnv | MOEditEnv)
        self.edits, self.max_edits = env.edits, env.max_edits
        self._present = env._present
        self._choices = None if self._present is None else np.flatnonzero(self._present)
        self._num_choices = len(self.cell_space) if self._choices is None else len(self._choices)
        self._tables = _tables(self.cell_space)
        self._edge_bits = np.zeros(self.num_envs, dtype=np.int64)
        self._op_codes = np.zeros(self.num_envs, dtype=np.int64)
        self._edits_left = np.zeros(self.num_envs, dtype=np.int64)
        self._known_start = np.full(self.num_envs, -2, dtype=np.int64)  # the row that it began with, if evaluated
        self._allowed = np.zeros((self.num_envs, self.edits.num_actions), dtype=np.int8)
        self._forget(np.arange(self.num_envs))

    @property
    def placed(self) -> Placed:
        """The placed cells as they stand."""
        return Placed(self._edge_bits.copy(), self._op_codes.copy())

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """As :meth:`ecnas_gym.vector.CellVectorEnv.reset`; a seed begins a new run, without incumbents."""
        if self._seeded(seed) is not None:
            self._forget(np.arange(self.num_envs))
        return super().reset(seed=seed, options=options)

    def _restart(self, chosen: NDArray[np.intp]) -> None:
        self._begin(chosen)
        self._look(chosen)

    def _begin(self, chosen: NDArray[np.intp]) -> None:
        """Places cells to start from."""
        rows, known = self._incumbents(chosen)
        if not known.all():
            drawn = self.np_random.integers(self._num_choices, size=np.count_nonzero(~known))
            rows[~known] = drawn if self._choices is None else self._choices[drawn]
        self._edge_bits[chosen], self._op_codes[chosen] = self._tables.place(rows, self.np_random)
        self._edits_left[chosen] = self.max_edits
        self._known_start[chosen] = np.where(known, rows, -2)

    def _advance(self, choices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        tables, stop = self._tables, self.edits.stop
        allowed = self._allowed.take(self._first_entries + choices) != 0
        stopped = choices == stop
        stopped &= allowed
        invalid = ~allowed
        if len(self._ended):
            allowed[self._ended] = stopped[self._ended] = invalid[self._ended] = False
        edits = np.where(allowed, choices, stop)  # to stop edits nothing
        self._edge_bits ^= tables.flips.take(edits)
        edits *= NUM_OP_CODES
        edits += self._op_codes
        self._op_codes = tables.op_after.take(edits)
        self._edits_left -= allowed ^ stopped
        if len(self._ended):
            self._begin(self._ended)
        self._look(None)
        over = invalid | stopped
        if over.any():
            self._allowed[over] = 0
        return invalid, stopped.nonzero()[0]

    @functools.cached_property
    def _first_entries(self) -> NDArray[np.int64]:
        """Where each environment's row begins in the flat array of masks."""
        return np.arange(self.num_envs) * self.edits.num_actions

    def _look(self, chosen: NDArray[np.intp] | None) -> None:
        """Renews the masks of some environments, or of all."""
        where: Any = slice(None) if chosen is None else chosen
        edge_bits, op_codes, edits_left = self._edge_bits[where], self._op_codes[where], self._edits_left[where]
        if self._present is None:
            bits = self._tables.edits.take(edge_bits) | self._tables.op_edits.take(op_codes)
            bits *= edits_left > 0
            bits |= np.uint64(1 << self.edits.stop)
            allowed = _unpacked(bits, self.edits.num_actions).view(np.int8)
        else:
            allowed = self.edits.masks(edge_bits, op_codes, edits_left, self._present).view(np.int8)
        # The unchanged incumbent would be paid for again and tell nothing; but an episode must be able to end.
        starts = self._known_start[where]
        watched = (starts >= 0).nonzero()[0]
        if len(watched):
            at_start = edits_left[watched] == self.max_edits
            edited = watched[~at_start]
            rows = self.edits.rows(edge_bits[edited], op_codes[edited])
            same = np.append(watched[at_start], edited[rows == starts[edited]])
            if len(same):
                allowed[same, self.edits.stop] = ~allowed[same, :-1].any(axis=1)
        if chosen is None:
            self._allowed = allowed
        else:
            self._allowed[chosen] = allowed

    def _rows(self, finished: NDArray[np.intp]) -> NDArray[np.int64]:
        return self.edits.rows(self._edge_bits[finished], self._op_codes[finished])

    def _masks(self) -> Masks:
        masks: Masks = self._allowed.copy()
        return masks

    def _observe(self) -> Observations:
        return self._seen(slice(None))

    def _kept(self, chosen: NDArray[np.intp]) -> Callable[[], Observations]:
        observations = self._seen(chosen)
        return lambda: observations

    def _seen(self, chosen: Any) -> Observations:
        num_ops = NUM_OPERATIONS * (self.cell_space.num_vertices - 2)
        num_before = num_ops + self.edits.num_edges
        left = self._edits_left[chosen]
        bits = self._tables.op_bits.take(self._op_codes[chosen])
        bits |= self._edge_bits[chosen].view(np.uint64) << np.uint64(num_ops)
        size = num_before + self.max_edits + 1
        if size <= _WORD:
            bits |= np.uint64(1) << (left + num_before).view(np.uint64)
            return _unpacked(bits, size).astype(np.float32)
        observations = np.zeros((len(left), size), dtype=np.float32)
        observations[:, :num_before] = _unpacked(bits, num_before)
        observations[np.arange(len(left)), num_before + left] = 1.0
        return observations

    def _builders(self) -> list[CellBuilder]:
        builders = []
        for edge_bits, op_code in zip(self._edge_bits.tolist(), self._op_codes.tolist(), strict=True):
            builder = CellBuilder(self.cell_space)
            builder.edge_bits, builder.op_code, builder.cursor = edge_bits, op_code, len(builder.decisions)
            builders.append(builder)
        return builders

    # What the incumbents are.

    def _forget(self, chosen: NDArray[np.intp]) -> None:
        """Forgets what some environments have evaluated."""
        self._best_rows = np.full(self.num_envs, -1, dtype=np.int64)
        self._best_rewards = np.full(self.num_envs, -np.inf)

    def _incumbents(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows of the cells to start from, and which environments have one."""
        rows = self._best_rows[chosen]
        return rows, rows >= 0

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        better = rewards > self._best_rewards[finished]
        self._best_rows[finished[better]] = rows[better]
        self._best_rewards[finished[better]] = rewards[better]


class MOEditVectorEnv(_MOVectorEnv, EditVectorEnv):
    """:class:`EditVectorEnv` with vectors of objectives as rewards: N environments of :class:`ecnas_gym.MOEditEnv`."""

    _single_env = MOEditEnv

    def _forget(self, chosen: NDArray[np.intp]) -> None:
        # Fronts of the environments side by side, in as many places as the largest has members.
        self._front_sizes = np.zeros(self.num_envs, dtype=np.int64)
        self._front_rows = np.zeros((self.num_envs, 4), dtype=np.int64)
        self._front_rewards = np.full((self.num_envs, 4, len(self.objectives)), -np.inf)

    def _incumbents(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        sizes = self._front_sizes[chosen]
        members = (self.np_random.random(len(chosen)) * sizes).astype(np.int64)
        return self._front_rows[chosen, members], sizes > 0

    def _remember(self, finished: NDArray[np.intp], rows: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        fronts = self._front_rewards[finished]
        new = rewards[:, None]
        joins = ~np.any(np.all(fronts >= new, axis=2), axis=1)  # neither dominated nor equal
        places, fronts, new = finished[joins], fronts[joins], new[joins]
        members = np.arange(fronts.shape[1]) < self._front_sizes[places, None]
        stays = members & ~(new >= fronts).all(axis=2)
        order = np.argsort(~stays, axis=1, kind="stable")  # who stays moves up
        sizes = stays.sum(axis=1)
        self._front_rows[places] = np.take_along_axis(self._front_rows[places], order, axis=1)
        self._front_rewards[places] = np.where(
            np.arange(fronts.shape[1])[:, None] < sizes[:, None, None],
            np.take_along_axis(fronts, order[:, :, None], axis=1),
            -np.inf,
        )
        if len(sizes) and sizes.max() == fronts.shape[1]:
            self._front_rows = np.pad(self._front_rows, ((0, 0), (0, fronts.shape[1])))
            more = ((0, 0), (0, fronts.shape[1]), (0, 0))
            self._front_rewards = np.pad(self._front_rewards, more, constant_values=-np.inf)
        self._front_rows[places, sizes] = rows[joins]
        self._front_rewards[places, sizes] = rewards[joins]
        self._front_sizes[places] = sizes + 1


class _Tables(NamedTuple):
    """Edits and placements of a space by look-up.

    Attributes:
        flips: The edge that each action flips, as a bit; int64, (actions,).
        op_after: The op code after an action on an op code; int64, (actions · 243,).
        edits: Which flips stay in the space, as a set of actions, by edge bits; uint64, (2^edges,).
        op_edits: Which operations may be set, as a set of actions, by op code; uint64, (243,).
        op_bits: Operations one-hot, by op code; uint64, (243,).
        first: Where the placements of each graph (:class:`ecnas.isomorphism.CellIndex`) begin; int64, (graphs,).
        counts: How many each has; int64, (graphs,).
        edge_bits: The edges of each placement; int64.
        seats: Its seating, a number; int64.
        codes: The op code of a seating for a canonical one; uint8, (seatings · 243,).
        fills: The operations of a seating's unused vertices out of any op code; uint8, (seatings · 243,).
        num_codes: Op codes of the space, a draw for unused vertices.
    """

    flips: NDArray[np.int64]
    op_after: NDArray[np.int64]
    edits: NDArray[np.uint64]
    op_edits: NDArray[np.uint64]
    op_bits: NDArray[np.uint64]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]
    edge_bits: NDArray[np.int64]
    seats: NDArray[np.int64]
    codes: NDArray[np.uint8]
    fills: NDArray[np.uint8]
    num_codes: int

    def place(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells in random placements, with random operations at the vertices that they do not use; each shape (B,)."""
        index = load_index()
        packed = index.cells[rows].astype(np.int64)
        graphs = index.patterns[to_frame(packed >> 29, packed & (NUM_PATTERNS - 1))] >> _SELECTION_BITS
        drawn = (rng.random(len(rows)) * self.counts.take(graphs)).astype(np.int64)
        places = self.first.take(graphs) + drawn
        seats = self.seats.take(places) * NUM_OP_CODES
        spare = rng.integers(self.num_codes, size=len(rows)) * (NUM_OP_CODES // self.num_codes)
        op_codes = self.codes.take(seats + (packed >> 21 & 0xFF)) + self.fills.take(seats + spare)
        return self.edge_bits.take(places), op_codes


@functools.cache
def _tables(space: Space) -> _Tables:
    edits = Edits(space)
    index, num_inner = load_index(), space.num_vertices - 2
    codes = np.arange(NUM_OP_CODES)
    digits = codes[:, None] // np.array(OP_WEIGHTS) % NUM_OPERATIONS  # (243, 5)
    one_hot = (digits[:, :num_inner, None] == np.arange(NUM_OPERATIONS)).reshape(NUM_OP_CODES, -1)
    op_bits = one_hot @ (np.uint64(1) << np.arange(one_hot.shape[1], dtype=np.uint64))
    every = np.uint64((1 << one_hot.shape[1]) - 1)
    _, op_after = edits.apply(np.zeros(1, np.int64), codes, np.arange(edits.num_actions)[:, None])

    edges = np.arange(1 << edits.num_edges)
    valid = (index.patterns[to_frame(space.num_vertices, edges)] != _NO_GRAPH).astype(np.uint64)
    allowed = np.zeros(len(edges), dtype=np.uint64)
    for bit in range(edits.num_edges):
        flipped = valid.reshape(-1, 2, 1 << bit)[:, ::-1].reshape(-1)
        allowed |= flipped << np.uint64(bit)

    # Placements of all graphs, those of a graph together.
    packed = index.cells[: len(space)].astype(np.int64)
    graphs = np.unique(packed & ~(0xFF << 21))
    numbers = index.patterns[to_frame(graphs >> 29, graphs & (NUM_PATTERNS - 1))] >> _SELECTION_BITS
    counts = np.zeros(len(index.rows), dtype=np.int64)
    found, seated, recoded, filled = [], [], [], []
    num_seatings = 0
    for size in range(2, space.num_vertices + 1):
        chosen = graphs >> 29 == size
        flips, weights = seatings(size, space.num_vertices)
        present = (graphs[chosen, None] >> np.arange(flips.shape[1])) & 1
        forward = present @ (flips == 0).T == 0  # seatings that turn no edge around
        counts[numbers[chosen]] = forward.sum(axis=1)
        found.append((present @ flips.T)[forward])
        seated.append(num_seatings + np.nonzero(forward)[1])
        recoded.append(weights @ digits[:, : size - 2].T)
        spare = np.array([[weight not in used for weight in OP_WEIGHTS[:num_inner]] for used in weights.tolist()])
        filled.append((spare * np.array(OP_WEIGHTS[:num_inner])) @ digits[:, :num_inner].T)
        num_seatings += len(flips)
    # Graphs ascend by size and edge bits, and so do the placements; where each graph's begin follows from the counts.
    first = np.zeros(len(index.rows), dtype=np.int64)
    first[numbers] = np.cumsum(counts[numbers]) - counts[numbers]
    return _Tables(
        edits._flips,
        np.ascontiguousarray(op_after).reshape(-1),
        allowed,
        (every - op_bits) << np.uint64(edits.num_edges),
        op_bits,
        first,
        counts,
        np.concatenate(found),
        np.concatenate(seated),
        np.concatenate(recoded).reshape(-1).astype(np.uint8),
        np.concatenate(filled).reshape(-1).astype(np.uint8),
        NUM_OPERATIONS**num_inner,
    )


def _unpacked(words: NDArray[np.uint64], count: int) -> NDArray[np.uint8]:
    """The first bits of words, shape (B,), as bytes: (B, count)."""
    little = words.astype("<u8", copy=False)
    return np.unpackbits(little.view(np.uint8).reshape(-1, 8), axis=1, count=count, bitorder="little")
