"""REINFORCE with a policy of independent categoricals, or of an autoregressive LSTM.

Sources: Williams 1992, https://doi.org/10.1007/BF00992696. The categorical policy is a table of logits per decision,
without a network. The table, its step size and its baseline follow NAS-Bench-101's reinforcement learning baseline
(Ying et al. 2019, https://arxiv.org/abs/1902.09635, supplement). The LSTM is the controller of Zoph and Le 2017,
https://arxiv.org/abs/1611.01578: it reads its previous decision and emits the logits of the next. Both can also imitate
the best cells so far (``--queue-size``), as in priority-queue training, Abolafia et al. 2018,
https://arxiv.org/abs/1801.03526.

    python agents/reinforce.py --policy lstm --budget 300 --seed 0
    python agents/reinforce.py --space 5V --save-policy policy.npz
    python agents/reinforce.py --space 5V --load-policy policy.npz --greedy
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ecnas.files import replaced_file
from ecnas.runs import OUTPUT, Evaluator, script
from ecnas_gym import make_env
from ecnas_gym.builder import NUM_ACTIONS, decisions

if TYPE_CHECKING:
    import tensorflow as tf  # takes seconds to import, so only a run does


@dataclass(frozen=True)
class REINFORCE:
    """Search with REINFORCE."""

    policy: Literal["categorical", "lstm"] = "categorical"
    """A table of logits per decision, or an LSTM that reads all earlier decisions."""
    batch_size: int | None = None
    """Cells built between two updates; by default 1 for the categorical policy and 4 for the LSTM."""
    learning_rate: float | None = None
    """Step size; by default 0.5 with gradient descent for the categorical policy, and 0.03 with Adam for the LSTM."""
    baseline_decay: float = 0.9
    """Decay of the baseline, a moving average of rewards."""
    entropy_coefficient: float | None = None
    """Bonus per nat of the policy's entropy, summed over a cell's decisions; by default 0, and 0.01 for the LSTM."""
    queue_size: int = 0
    """Also raise the likelihood of this many of the best cells so far in every update; 0 for none."""
    log_regret: bool = False
    """Learn from −log(1.001 − reward) instead of the reward, which spreads out the best cells. Meant for rewards of at
    most 1, as "soft-cap" and "linear" give."""
    hidden_units: int = 32
    """Units of the LSTM, and size of the embedding of its previous decision."""
    load_policy: Path | None = None
    """Saved policy to continue from, with its optimiser state and baseline: an .npz of the same space and policy."""
    save_policy: Path | None = field(default=None, metadata=OUTPUT)
    """Where to save the policy when the run ends (.npz)."""
    greedy: bool = False
    """Build one cell with the most probable actions of the loaded policy, evaluate it, and learn nothing."""

    name: ClassVar[str] = "REINFORCE"

    def __post_init__(self) -> None:
        if self.greedy and self.load_policy is None:
            raise ValueError("greedy needs load_policy: a new policy prefers no action")

    def run(self, evaluate: Evaluator, rng: np.random.Generator) -> None:
        """Learns until the budget is spent."""
        start_tensorflow()
        import keras
        import tensorflow as tf

        num_decisions = len(decisions(evaluate.benchmark.space))
        if self.policy == "categorical":
            policy: CategoricalPolicy | LSTMPolicy = CategoricalPolicy(num_decisions)
            optimiser = keras.optimizers.SGD(self.learning_rate or 0.5)
            num_envs = self.batch_size or 1
            entropy_coefficient = self.entropy_coefficient or 0.0
        else:
            keras.utils.set_random_seed(int(rng.integers(2**31)))  # initial weights
            policy = LSTMPolicy(num_decisions, self.hidden_units)
            optimiser = keras.optimizers.Adam(self.learning_rate or 0.03)
            num_envs = self.batch_size or 4
            entropy_coefficient = 0.01 if self.entropy_coefficient is None else self.entropy_coefficient
        envs = [make_env(evaluate) for _ in range(num_envs)]
        optimiser.build(policy.variables)
        baseline = MovingAverage(self.baseline_decay)
        queue = Queue(self.queue_size)
        if self.load_policy is not None:
            load(self.load_policy, policy, optimiser, baseline)
        if self.greedy:
            build_cells(policy, envs[:1], None, num_decisions)
            return

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # tensorflow has no types
        def update(actions: tf.Tensor, masks: tf.Tensor, advantages: tf.Tensor) -> tf.Tensor:
            gradients, entropy = policy_gradient(policy, actions, masks, advantages, entropy_coefficient)
            optimiser.apply_gradients(zip(gradients, policy.variables, strict=True))
            return entropy

        try:
            while True:  # the budget ends this: an environment raises at the first cell that it does not allow
                batch = build_cells(policy, envs, rng, num_decisions)
                rewards = batch.rewards
                if self.log_regret:
                    rewards = -np.log(np.float32(1.001) - np.minimum(rewards, np.float32(1.0)))  # luck may exceed 1
                # As in NAS-Bench-101's code, the average takes in the new rewards before it serves as their baseline.
                average = baseline.update(rewards.mean())
                advantages = rewards - np.float32(average)
                entropy = update(tf.constant(batch.actions), tf.constant(batch.masks), tf.constant(advantages))
                evaluate.log({"train/entropy": float(entropy), "train/baseline": average})
                if self.queue_size:
                    queue.update(batch)
                    best = queue.batch()
                    update(tf.constant(best.actions), tf.constant(best.masks), tf.ones(len(best.rewards)))
        finally:
            if self.save_policy is not None:
                save(self.save_policy, policy, optimiser, baseline)


# ----------------------------------------------------------------------------------------------------------------------
# Saved policies: weights, the optimiser's state without its step size, and the baseline.


def save(path: Path, policy: CategoricalPolicy | LSTMPolicy, optimiser: Any, baseline: MovingAverage) -> None:
    """Writes a policy as .npz."""
    arrays = {name: variable.numpy() for name, variable in state(policy, optimiser).items()}
    with replaced_file(path, "wb") as file:
        np.savez(file, baseline=np.array([baseline.total, baseline.weight]), **arrays)


def load(path: Path, policy: CategoricalPolicy | LSTMPolicy, optimiser: Any, baseline: MovingAverage) -> None:
    """Reads what :func:`save` has written.

    Raises:
        ValueError: The file holds no policy for this space and these settings.
    """
    variables = state(policy, optimiser)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*variables, "baseline")}
        wrong = [name for name, variable in variables.items() if tuple(variable.shape) != arrays[name].shape]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must have other shapes")
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no {policy.kind} policy for this space and hidden_units: {error}") from error
    for name, variable in variables.items():
        variable.assign(arrays[name])
    baseline.total, baseline.weight = arrays["baseline"].tolist()


def state(policy: CategoricalPolicy | LSTMPolicy, optimiser: Any) -> dict[str, Any]:
    """The variables that learning changes, by name."""
    named = {f"{policy.kind}_{number}": variable for number, variable in enumerate(policy.variables)}
    changing = [variable for variable in optimiser.variables if variable is not optimiser._learning_rate]
    return named | {f"optimiser_{number}": variable for number, variable in enumerate(changing)}


# ----------------------------------------------------------------------------------------------------------------------
# Policies: from sequences of actions to logits (batch, decisions, actions) that depend on earlier actions only.


class CategoricalPolicy:
    """Logits that depend on the position of the decision only. At first all actions are equally likely."""

    kind: ClassVar[str] = "categorical"

    def __init__(self, num_decisions: int) -> None:
        import tensorflow as tf

        self.logits = tf.Variable(tf.zeros((num_decisions, NUM_ACTIONS)))

    @property
    def variables(self) -> list[tf.Variable]:
        """The trainable weights."""
        return [self.logits]

    def __call__(self, actions: tf.Tensor) -> tf.Tensor:
        """Logits of whole sequences: int32 (B, T) to float32 (B, T, 3)."""
        import tensorflow as tf

        return tf.tile(self.logits[None], [tf.shape(actions)[0], 1, 1])

    def begin(self, batch: int) -> Any:
        """State before the first decision: all logits, read once."""
        return self.logits.numpy()

    def next(self, position: int, previous: NDArray[np.int32], state: Any) -> tuple[NDArray[np.float32], Any]:
        """Logits (B, 3) of one decision."""
        return np.broadcast_to(state[position], (len(previous), NUM_ACTIONS)), state


class LSTMPolicy:
    """An LSTM over the decisions so far. Its inputs are embeddings of the position and of the previous action."""

    kind: ClassVar[str] = "lstm"

    def __init__(self, num_decisions: int, hidden_units: int) -> None:
        import keras
        import tensorflow as tf

        self.embed_action = keras.layers.Embedding(NUM_ACTIONS + 1, hidden_units)  # the last index: no action yet
        self.embed_position = keras.layers.Embedding(num_decisions, hidden_units)
        self.lstm = keras.layers.RNN(keras.layers.LSTMCell(hidden_units), return_sequences=True)
        # Small, so that the first cells are nearly uniform over the allowed actions.
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.head = keras.layers.Dense(NUM_ACTIONS, kernel_initializer=small)
        self.num_decisions, self.hidden_units = num_decisions, hidden_units
        self._compiled_step = tf.function(self._step, reduce_retracing=True)
        self(np.zeros((1, num_decisions), dtype=np.int32))  # makes the weights

    @property
    def variables(self) -> list[tf.Variable]:
        """The trainable weights."""
        layers = (self.embed_action, self.embed_position, self.lstm, self.head)
        return [weight for layer in layers for weight in layer.trainable_variables]

    def __call__(self, actions: tf.Tensor) -> tf.Tensor:
        """Logits of whole sequences: int32 (B, T) to float32 (B, T, 3); entry t depends on actions before t only."""
        import tensorflow as tf

        start = tf.fill([tf.shape(actions)[0], 1], NUM_ACTIONS)
        previous = tf.concat([start, actions[:, :-1]], axis=1)
        positions = tf.range(self.num_decisions)
        return self.head(self.lstm(self.embed_action(previous) + self.embed_position(positions)))

    def _step(self, position: tf.Tensor, previous: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        output, state = self.lstm.cell(self.embed_action(previous) + self.embed_position(position), state)
        return self.head(output), state

    def begin(self, batch: int) -> Any:
        """State before the first decision."""
        import tensorflow as tf

        return [tf.zeros([batch, self.hidden_units])] * 2

    def next(self, position: int, previous: NDArray[np.int32], state: Any) -> tuple[NDArray[np.float32], Any]:
        """Logits (B, 3) of one decision, and the state after it."""
        import tensorflow as tf

        logits, state = self._compiled_step(tf.constant(position), tf.constant(previous), state)
        return logits.numpy(), state


# ----------------------------------------------------------------------------------------------------------------------
# Building cells, and learning from their rewards.


class Batch(NamedTuple):
    """Finished cells: actions int32 (B, T), masks bool (B, T, 3), rewards float32 (B,)."""

    actions: NDArray[np.int32]
    masks: NDArray[np.bool_]
    rewards: NDArray[np.float32]


def build_cells(
    policy: Any, envs: list[gym.Env[Any, Any]], rng: np.random.Generator | None, num_decisions: int
) -> Batch:
    """Builds one cell in each environment, in step. Actions are drawn, or the most probable ones without ``rng``."""
    size = len(envs)
    masks = np.zeros((size, num_decisions, NUM_ACTIONS), dtype=bool)
    actions = np.zeros((size, num_decisions), dtype=np.int32)
    rewards = np.zeros(size, dtype=np.float32)
    previous = np.full(size, NUM_ACTIONS, dtype=np.int32)
    state = policy.begin(size)
    infos = [env.reset()[1] for env in envs]
    for position in range(num_decisions):
        logits, state = policy.next(position, previous, state)
        masks[:, position] = [info["action_mask"] for info in infos]
        # The Gumbel-max trick: the largest of logits plus Gumbel noise is a draw from their softmax.
        noise = 0.0 if rng is None else rng.gumbel(size=logits.shape)
        noisy = np.where(masks[:, position], logits + noise, -np.inf)
        previous = actions[:, position] = noisy.argmax(axis=1)
        for k, env in enumerate(envs):
            _, rewards[k], _, _, infos[k] = env.step(actions[k, position])
    return Batch(actions, masks, rewards)


def log_probability_and_entropy(logits: tf.Tensor, actions: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """For whole cells, in nats: both float32 (B,). Masked actions have neither probability nor gradient."""
    import tensorflow as tf

    log_p = tf.nn.log_softmax(tf.where(masks, logits, -1e9))
    taken = tf.gather(log_p, actions, axis=2, batch_dims=2)
    entropy = -tf.reduce_sum(tf.where(masks, tf.exp(log_p) * log_p, 0.0), axis=2)
    return tf.reduce_sum(taken, axis=1), tf.reduce_sum(entropy, axis=1)


def policy_gradient(
    policy: CategoricalPolicy | LSTMPolicy,
    actions: tf.Tensor,
    masks: tf.Tensor,
    advantages: tf.Tensor,
    entropy_coefficient: float,
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradient of −mean(advantage · log p(cell)) − coefficient · mean entropy in each weight, and the mean entropy."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        log_p, entropy = log_probability_and_entropy(policy(actions), actions, masks)
        entropy = tf.reduce_mean(entropy)
        loss = -tf.reduce_mean(advantages * log_p) - entropy_coefficient * entropy
    return tape.gradient(loss, policy.variables), entropy


class Queue:
    """The best cells so far, each sequence of actions once.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._best: dict[bytes, tuple[float, NDArray[np.int32], NDArray[np.bool_]]] = {}  # by actions

    def update(self, batch: Batch) -> None:
        """Takes in new cells. Between equally good cells the older one stays."""
        for actions, masks, reward in zip(batch.actions, batch.masks, batch.rewards, strict=True):
            self._best.setdefault(actions.tobytes(), (float(reward), actions, masks))
        kept = sorted(self._best.items(), key=lambda entry: -entry[1][0])[: self.size]
        self._best = dict(kept)

    def batch(self) -> Batch:
        """The cells."""
        rewards, actions, masks = zip(*self._best.values(), strict=True)
        return Batch(np.array(actions), np.array(masks), np.array(rewards, dtype=np.float32))


class MovingAverage:
    """An exponential moving average whose weights always sum to 1, so that it does not start at 0."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.total = self.weight = 0.0

    def update(self, value: float) -> float:
        """Takes in a value and returns the average."""
        self.total = self.decay * self.total + (1 - self.decay) * float(value)
        self.weight = self.decay * self.weight + (1 - self.decay)
        return self.total / self.weight


def start_tensorflow() -> None:
    """Imports tensorflow on one CPU thread: fastest for networks of this size, and sums keep their order."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # looking for a GPU takes time and prints a lot
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums on every processor
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # tensorflow was in use before, so its threads are already chosen


if __name__ == "__main__":
    script.main(REINFORCE)
