"""What training takes and gives, and what tables read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nlhf_repro.interfaces.games import Array


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
    last: Array  # [points, games, actions], normalized log-probabilities; empty for checkpoints
    average: Array | None  # [points, games, actions], normalized log-probabilities
    ledger: Ledger
    sampled_tokens: Array | None = None  # [points]; None: actions are no tokens
    trained_tokens: Array | None = None  # [points]; None: actions are no tokens

    @property
    def tokens(self) -> Array | None:
        """Sampled and trained by each recorded update, [points]; None: actions are no tokens."""
        if self.sampled_tokens is None or self.trained_tokens is None:
            return None
        return self.sampled_tokens + self.trained_tokens


@dataclass(frozen=True)
class Tuning:
    """How `nlhf tune` chose the settings of a row, and what the search cost.

    name: of the winners, conf/tuned/NAME.yaml; row: the label there, which several rows may share.
    trials: settings tried, 0 where the row has nothing to tune; failed: those that diverged,
    failed or were refused. edges: tuned keys whose winner lies on the edge of its space.
    comparisons: spent per game on all trials. metric: what the winner is the least of, in words.
    """

    name: str
    row: str
    trials: int
    failed: int
    edges: tuple[str, ...]
    comparisons: int
    worlds: tuple[int, ...]
    seeds: tuple[int, ...]
    metric: str


@dataclass(frozen=True)
class RowRecord:
    """The finished runs of one row of an experiment.

    `values["duality_gap/last"]` holds a benchmark's values of an iterate on every item: `clusters`
    is their plural noun. Games of a tabular batch are trained apart, `problems` of them. A language
    model answers all prompts of its world: prompts are items of one problem, crossed with seeds.
    Worlds share no weights: an item is then a world, its value the mean over the world's prompts,
    and `problems` is their number. Missing seeds are declared runs that have not finished;
    `failed` maps a failed seed to its error. `ledger` holds every entry of `Ledger` at the end of
    training, of several worlds the mean.

    A judged value is the mean over the judge's draws (re-runs, or members of a panel; the same for
    every seed and item), which `judge_draws` holds. `judges` names who decided them, one in every
    world: rows are compared under the same judges only, and worlds whose judges all differ share no
    draws. A benchmark in `scored_updates` was scored at those recorded updates alone; its values at
    all others are NaN.
    """

    label: str
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    failed: Mapping[int, str]
    updates: Array  # [points]
    comparisons: Array  # [points], per training problem
    preference_evaluations: Array  # [points], per training problem
    values: Mapping[str, Array]  # [seeds, items, points]
    floors: Mapping[str, float]  # by benchmark
    deterministic: bool  # the exact face: training draws nothing at random
    regularization: float
    variants: Mapping[str, str]  # the settings that distinguish the row
    measured: Mapping[str, Array]  # seconds, peak_memory_mib: [seeds]
    base: str = ""  # the label without the point of the experiment's grid
    grid_point: float | None = None  # the number that the grid gives the row, None without a grid
    problems: int = 1  # training problems of a run: the number of games where games share nothing
    tuning: Tuning | None = None  # None: no search chose the row's settings
    clusters: str = "games"  # what the items are: games, prompts or worlds
    items: tuple[str, ...] = ()  # identifiers of the items, by which rows are paired; or none
    judge_draws: Mapping[str, Array] = field(default_factory=dict)  # [seeds, draws, items, points]
    judges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by benchmark, of worlds
    scored_updates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # by benchmark
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by benchmark, to print
    commits: tuple[str, ...] = ()  # of its runs, each once, with what was not committed
    ledger: Mapping[str, Array] = field(default_factory=dict)  # by entry of Ledger, [seeds]
    tokens: Array | None = None  # [points], sampled and trained by a run; None: not recorded
