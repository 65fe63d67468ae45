"""Speed of the exact tabular laboratory: the published suite, and growth with actions and games.

Run with `make speed`. Prints the seconds of the published EGPO suite (five algorithms, 10 games,
three regularizations) and of COMAL's game with all algorithms, on one thread; then, for one update
of INPO and EGPO, its time and the ratio to the smallest size, measured in the same run. Times are
medians over repeats.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import time

from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.cells import experiment_cells
from nlhf_repro.interfaces import Algorithm, TrainingSettings
from nlhf_repro.oracles.random_games import RandomGames
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.stages import game_of, generators
from nlhf_repro.pipeline.training import train


def suite(*overrides: str) -> float:
    """Seconds to train every row of an exact experiment, and a line a row."""
    total = 0.0
    for cell in experiment_cells(list(overrides)):
        config = cell.config
        start = time.perf_counter()
        train(
            build(config["algorithm"]),
            build(config["model"]),
            game_of(config),
            [],
            TrainingSettings(**config["training"]),
            None,
            generators(("speed",)),
        )
        seconds = time.perf_counter() - start
        total += seconds
        print(f"  {cell.row:44s} {config['training']['iterations']:>7d} updates  {seconds:6.2f} s")
    return total


def seconds_an_update(algorithm: Algorithm, games: int, actions: int) -> float:
    """Median over five repeats of the time of one exact update."""
    game = RandomGames(games=games, actions=actions, reference="normal_logits").game(0)
    state = algorithm.initial_state(game)
    updates = max(3, int(2e6 / (games * actions * actions)))
    repeats = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(min(updates, 2000)):
            state = algorithm.exact_update(state, game)
        repeats.append((time.perf_counter() - start) / min(updates, 2000))
    return statistics.median(repeats)


def growth(sizes: list[tuple[int, int]]) -> None:
    """A line a size: time of an update, and its ratio to the first size."""
    algorithms: dict[str, Algorithm] = {
        "INPO": INPO(0.3, 0.1, 2, "unfiltered", "probability", None),
        "EGPO": EGPO(0.3, 0.1, "probability", 1),
    }
    base = {name: seconds_an_update(each, *sizes[0]) for name, each in algorithms.items()}
    for games, actions in sizes:
        columns = []
        for name, algorithm in algorithms.items():
            seconds = seconds_an_update(algorithm, games, actions)
            columns.append(f"{name} {1e6 * seconds:10.1f} us  x {seconds / base[name]:8.1f}")
        print(f"  {games:>6d} games of {actions:>4d} actions   " + "   ".join(columns))


def main() -> None:
    """Print all measurements."""
    print("The published EGPO suite, 10 games, exact, one thread:")
    published = suite("experiment=tabular/egpo_tabular", "oracle.games=10")
    print(f"  total {published:.2f} s (target: below 15 s)")
    print("COMAL's game with all algorithms, exact, one thread:")
    everything = suite("experiment=tabular/comal_game")
    print(f"  total {everything:.2f} s; both {everything + published:.2f} s on one core")
    print("Growth with actions, 10 games:")
    growth([(10, actions) for actions in (10, 30, 100, 300, 1000)])
    print("Growth with games, 10 actions:")
    growth([(games, 10) for games in (1, 10, 100, 1000, 10_000)])


if __name__ == "__main__":
    main()
