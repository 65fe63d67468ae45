"""The nouns of the project, as frozen records and protocols; imports nothing of the package.

Shapes are written behind the fields. `problems` counts training problems that share no weights:
every game of a tabular batch is one, a language model is a single one. `points` counts the recorded
updates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
LabelKind = Literal["probability", "bernoulli", "score"]
FixedPoint = Literal[
    "regularized_nash",
    "nash",
    "mixture_point",
    "best_response_to_reference",
    "bradley_terry_optimum",
    "start",
    "none",
]
TieKind = Literal["minimiser", "gradient_step", "identity", "none"]


class ImpossibleSettingError(ValueError):
    """A setting, or a combination of settings, that has no meaning: said before any work begins."""


@dataclass(frozen=True)
class Game:
    """A batch of symmetric preference games with a reference policy each.

    `preference_matrix[g, i, j]` is P(i preferred over j), in [0, 1], with P + P^T = 1.
    `log_reference` is normalized; every reference has full support.
    `scores` are the Bradley-Terry scores where P[i, j] = sigmoid(score_i - score_j), else None.
    """

    preference_matrix: Array  # [games, actions, actions]
    log_reference: Array  # [games, actions]
    scores: Array | None = None  # [games, actions]

    @property
    def games(self) -> int:
        """Number of games."""
        return int(self.preference_matrix.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions of every game."""
        return int(self.preference_matrix.shape[-1])


@dataclass(frozen=True)
class ExactState:
    """What an exact (population) update maps to its successor.

    `log_policy` is defined up to a constant per game; `policy` is its softmax.
    `memory` holds what an algorithm carries besides: a moving anchor, the previous reward, other
    players.
    """

    log_policy: Array  # [games, actions]
    policy: Array  # [games, actions]
    updates: int = 0
    memory: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Tie:
    """How the sampled face belongs to the exact one.

    minimiser: the exact update is the minimiser of the expected sampled loss.
    gradient_step: the exact update is one plain gradient step on the expected sampled loss of a
    softmax policy, at the rate `learning_rate(actions, update)` of the algorithm.
    identity: both faces leave the policy as it is. none: `reason` says why there is no tie.
    """

    kind: TieKind
    reason: str = ""


# --- The phases of an iteration ---


@dataclass(frozen=True)
class Responder:
    """Who responds: the geometric mixture of named policies.

    log pi = (sum_i w_i log pi_i) / temperature, normalized.
    An infinite temperature is the uniform policy; it exists only where responses can be enumerated.
    """

    mixture: Mapping[str, float]
    temperature: float = 1.0


@dataclass(frozen=True)
class Collect:
    """Sample groups of responses, ask the oracle, and keep the labelled data under the name `into`.

    design, with K = `responses`:
      unfiltered   K = 2 independent responses, one comparison, one pair.
      all_pairs    all K(K-1)/2 comparisons, all pairs.
      best_worst   all K(K-1)/2 comparisons; the best and the worst, labelled as preferred.
      tournament   K = 8: a knock-out among winners and one among losers, then the final; 11
                   comparisons; the pair is kept only if the winner's side wins.
      win_rate     all K(K-1)/2 comparisons; every response with its mean over the others (over
                   the others and itself, at 1/2, with `self_comparison`).
      against      K = 2 (pairs) or 1 (points): each response meets `opponents` fresh responses of
                   every `opponent`; a pair's margin is the difference of the two win rates.
    With `labels: score` the oracle scores the K responses instead: a pair's margin is the
    difference of scores, a single response's value its score, and no comparison is asked.
    """

    into: str
    candidate: Responder
    responses: int
    design: Literal["unfiltered", "all_pairs", "best_worst", "tournament", "win_rate", "against"]
    labels: LabelKind
    opponent: tuple[Responder, ...] = ()
    opponents: int = 0
    self_comparison: bool = False


@runtime_checkable
class PairLoss(Protocol):
    """A loss of log-ratio gaps: elementwise, [problems, items] to [problems, items]."""

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """`margin` is P(first over second) - 1/2, or a difference of win rates or of scores."""
        ...


@runtime_checkable
class PointLoss(Protocol):
    """A loss of single responses: elementwise, [problems, items] to [problems, items]."""

    def point(
        self, log_prob: torch.Tensor, log_ratio: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """`value` is the response's win rate, or its score."""
        ...


@dataclass(frozen=True)
class Fit:
    """Train `start` on `data` and keep the result as `produces`.

    The loss sees log-ratios to the anchors: log pi - sum_i weight_i log anchor_i, where the anchors
    are the policies of those names as they stand when the phase begins.
    `gradient_steps` None solves to convergence. `optimizer` continued keeps moments from the policy
    that training starts from; fresh starts at zero.
    """

    data: str
    start: str
    produces: str
    anchors: Mapping[str, float]
    loss: PairLoss | PointLoss
    gradient_steps: int | None
    optimizer: Literal["fresh", "continued"]


@dataclass(frozen=True)
class Advance:
    """`target` becomes `source`, or (1 - share) target + share source of their weights."""

    target: str
    source: str
    share: float = 1.0


Phase = Collect | Fit | Advance


@runtime_checkable
class Algorithm(Protocol):
    """An algorithm: an exact face on games, a sampled face as phases, and what ties the two.

    The policies an algorithm names in its phases start as copies of the reference policy: `current`
    is the one that is reported, `reference` the reference; any other name may be used.
    """

    regularization: float

    @property
    def fixed_point(self) -> FixedPoint:
        """The point that one exact update leaves where it is."""
        ...

    @property
    def tie(self) -> Tie:
        """How the faces belong together."""
        ...

    def initial_state(self, game: Game) -> ExactState:
        """The state before the first update, at the reference policy."""
        ...

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """One population update."""
        ...

    @property
    def preference_evaluations(self) -> int:
        """Products P @ policy that one exact update needs."""
        ...

    def phases(self, iteration: int) -> Iterator[Phase]:
        """The phases of one sampled iteration, counted from 0."""
        ...

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate at which a gradient step is the exact update, None for other ties."""
        ...


# --- Models, oracles, benchmarks
# ----------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """A policy's weights and its optimizer's state, detached from the policy that trains on."""

    parameters: Mapping[str, torch.Tensor]
    optimizer_state: Mapping[str, Any]


class TrainablePolicy(Protocol):
    """A policy that the training loop samples from, scores with and trains.

    `prompts` and responses are integer tensors [problems, items]; a response is an action of a
    game.
    """

    problems: int

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights that are trained."""
        ...

    def log_prob(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of responses under the present weights, differentiable."""
        ...

    def frozen_log_prob(
        self, snapshot: Snapshot, prompts: torch.Tensor, responses: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities under a snapshot, without gradient."""
        ...

    def sample(
        self,
        mixture: Sequence[tuple[Snapshot, float]],
        temperature: float,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        """Independent responses [problems, items, responses] of a geometric mixture."""
        ...

    def load(self, snapshot: Snapshot) -> None:
        """Make the snapshot's weights the present ones."""
        ...

    def snapshot(self, optimizer_state: Mapping[str, Any]) -> Snapshot:
        """A copy of the present weights."""
        ...


class Model(Protocol):
    """A configured kind of policy."""

    def build(self, game: Game, generator: np.random.Generator) -> TrainablePolicy:
        """A policy for these games that starts at their reference policy."""
        ...


class GameFamily(Protocol):
    """Where games come from: a configured family that draws a batch of them."""

    def game(self, world: int) -> Game:
        """The batch of this world seed; the same for every algorithm and training seed."""
        ...


class PreferenceOracle(Protocol):
    """Answers P(first preferred over second given the prompt), or a draw of it."""

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Probabilities in [0, 1]; the arguments broadcast."""
        ...

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Scalar rewards; ImpossibleSettingError where the oracle has none."""
        ...


class OracleWrapper(Protocol):
    """A configured change of another oracle's answers."""

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """The changed oracle."""
        ...


class Benchmark(Protocol):
    """Scores a trajectory of policies on a batch of games, one value an item."""

    @property
    def floor(self) -> float:
        """Values below are numerical noise; 0 where there is no floor."""
        ...

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        ...


# --- What tables read
# -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowRecord:
    """The finished runs of one row of an experiment.

    `values["duality_gap/last"]` holds a benchmark's values of an iterate. Missing seeds are
    declared runs that have not finished; `failed` maps a failed seed to its error.
    """

    label: str
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    failed: Mapping[int, str]
    updates: Array  # [points]
    comparisons: Array  # [points], per training problem
    preference_evaluations: Array  # [points], per training problem
    values: Mapping[str, Array]  # [seeds, games, points]
    floors: Mapping[str, float]  # by benchmark
    deterministic: bool  # the exact face: training draws nothing at random
    regularization: float
    variants: Mapping[str, str]  # the settings that distinguish the row
    measured: Mapping[str, Array]  # seconds, peak_memory_mib: [seeds]


# --- What training takes and gives
# ------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingSettings:
    """How an algorithm is run; every field is a key of the `training` node.

    face: exact applies the closed-form population update in NumPy; expected trains the model on the
    enumerated expectation of the sampled loss; sampled draws responses and asks the oracle.
    One iteration of the algorithm is one update. `record_points` updates, spaced evenly on a log
    scale from 1 to `iterations` (0 and the last included), are recorded; as many as there are
    iterations: all.
    """

    face: Literal["exact", "expected", "sampled"]
    iterations: int
    record_points: int
    average_iterate: bool  # record the mean of the policies played before each recorded update
    groups_per_iteration: int  # response groups an iteration collects in every problem (sampled)
    minibatch_size: (
        int | None
    )  # items of a gradient step in every problem; None takes all (sampled)
    optimizer: Literal["sgd", "adam"]
    learning_rate: float | None  # None: the rate that ties a gradient step to the exact update


@dataclass(frozen=True)
class Ledger:
    """What training cost, per training problem, each in a unit of its own and exact.

    comparisons: unordered pairs answered once, before any cache. ordered_passes: passes of a
    comparison model over an ordered pair. preference_evaluations: products P @ policy (exact and
    expected faces).
    """

    problems: int = 0
    comparisons: int = 0
    ordered_passes: int = 0
    scores: int = 0
    paid_calls: int = 0
    probability_answers: int = 0
    bernoulli_answers: int = 0
    preference_evaluations: int = 0
    responses: int = 0
    sampled_tokens: int = 0
    trained_tokens: int = 0
    unique_prompts: int = 0
    gradient_steps: int = 0


@dataclass(frozen=True)
class Trajectory:
    """The recorded policies of one training run and what it had cost at each recorded update."""

    updates: Array  # [points]
    comparisons: Array  # [points], per problem
    preference_evaluations: Array  # [points], per problem
    last: Array  # [points, games, actions], normalized log-probabilities
    average: Array | None  # [points, games, actions], normalized log-probabilities
    ledger: Ledger
