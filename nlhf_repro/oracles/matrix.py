"""The oracle of a tabular game: prompts are games, responses are actions."""

from __future__ import annotations

from typing import final

import torch

from nlhf_repro.games import check_game
from nlhf_repro.interfaces import Game, ImpossibleSettingError


@final
class MatrixOracle:
    """Answers from the preference matrix itself, in float64.

    Raises:
        MalformedGameError: the game is none (see `games.check_game`).
    """

    def __init__(self, game: Game) -> None:
        check_game(game)
        self._preferences = torch.from_numpy(game.preference_matrix.copy())
        self._scores = None if game.scores is None else torch.from_numpy(game.scores.copy())

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """P[prompt, first, second]; integer tensors that broadcast."""
        return self._preferences[prompts, first, second]

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """The game's Bradley-Terry scores.

        Raises:
            ImpossibleSettingError: the game has none.
        """
        if self._scores is None:
            raise ImpossibleSettingError(
                "This game has no scores, since no reward explains its preferences: take an oracle "
                "with scores (oracle=bradley_terry) or an algorithm that asks for preferences."
            )
        return self._scores[prompts, responses]
