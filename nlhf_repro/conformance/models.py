"""Models: policies that can be trained."""

from __future__ import annotations

import numpy as np
import torch

from nlhf_repro.conformance.laboratory import random_game
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Game, ImpossibleSettingError, TrainablePolicy
from nlhf_repro.seeds import generator_for

GAMES, DRAWS, STANDARD_ERRORS = 3, 20_000, 5.0
SIZES = (4, 8, 9, 16, 25, 27, 32, 64, 81)  # some models take powers only


def it_starts_at_the_reference(subject: Subject) -> None:
    """The policy that is built is the reference, to 1e-13."""
    game, policy = _built(subject)
    off = float(np.abs(_table(policy, game).numpy() - game.log_reference).max())
    require(
        off < 1e-13, f"the first policy is {off:.1e} away from the reference in log-probability."
    )


def log_prob_is_that_of_the_policy(subject: Subject) -> None:
    """Log-probabilities, of weights and of snapshots, normalized, before and after a step."""
    game, policy = _built(subject)
    for _ in range(2):
        table = _table(policy, game)
        off = float((table.exp().sum(dim=1) - 1).abs().max())
        require(off < 1e-12, f"probabilities of all actions sum to 1 +- {off:.1e}.")
        frozen = policy.frozen_log_prob(policy.snapshot({}), *_every(game))
        off = float((frozen - table).abs().max())
        require(
            off < 1e-14, f"a snapshot's log-probabilities are {off:.1e} away from its weights'."
        )
        _step(policy, game)


def games_share_no_weights(subject: Subject) -> None:
    """A gradient step on one game leaves the others' policies as they are."""
    game, policy = _built(subject)
    before = _table(policy, game)
    _step(policy, game, row=0)
    moved = (_table(policy, game) - before).abs().amax(dim=1)
    require(float(moved[0]) > 0, "a gradient step on game 0 does not move its policy.")
    require(
        float(moved[1:].max()) == 0.0,
        f"a gradient step on game 0 moves another game by {float(moved[1:].max()):.1e}: every game "
        "is a training problem of its own.",
    )


def snapshots_restore_the_policy(subject: Subject) -> None:
    """A snapshot keeps its policy while the weights move, and loading it brings them back."""
    game, policy = _built(subject)
    _step(policy, game)
    before, kept = _table(policy, game), policy.snapshot({})
    _step(policy, game)
    require(
        bool((_table(policy, game) != before).any()), "a gradient step does not move the policy."
    )
    frozen = policy.frozen_log_prob(kept, *_every(game))
    require(torch.equal(frozen, before), "a snapshot moves with the weights: copy them.")
    policy.load(kept)
    require(torch.equal(_table(policy, game), before), "loading a snapshot does not restore it.")


def samples_follow_the_policy(subject: Subject) -> None:
    """Shares of drawn responses are their probabilities, to five standard errors; streams fixed."""
    game, policy = _built(subject)
    _step(policy, game)
    prompts = torch.arange(GAMES)[:, None].expand(-1, DRAWS)
    random = generator_for("conformance", "samples")
    drawn = policy.sample([(policy.snapshot({}), 1.0)], 1.0, prompts, 1, random)
    require(
        tuple(drawn.shape) == (GAMES, DRAWS, 1),
        f"sample returns the shape {tuple(drawn.shape)}: it is [problems, items, responses].",
    )
    expected = _table(policy, game).exp().numpy()
    for index in range(GAMES):
        shares = np.bincount(drawn[index].flatten().numpy(), minlength=game.actions) / DRAWS
        error = np.sqrt(expected[index] * (1 - expected[index]) / DRAWS)
        off = float((np.abs(shares - expected[index]) / np.maximum(error, 1 / DRAWS)).max())
        require(
            off < STANDARD_ERRORS,
            f"drawn responses of game {index} are {off:.0f} standard errors away from the policy.",
        )


def _built(subject: Subject) -> tuple[Game, TrainablePolicy]:
    """A policy for random games of the first number of actions that the model takes."""
    if hasattr(subject.kind, "base"):
        raise NotApplicableError("it is a language model")
    model, refusal = subject.build(), None
    for actions in SIZES:
        game = random_game(29, GAMES, actions)
        try:
            return game, model.build(game, generator_for("conformance", "initialization"))
        except ImpossibleSettingError as error:
            refusal = error
    raise ConformanceError(
        f"the model takes none of {', '.join(map(str, SIZES))} actions; of the last it says: "
        f"{refusal}"
    )


def _every(game: Game) -> tuple[torch.Tensor, torch.Tensor]:
    prompts = torch.arange(game.games)[:, None].expand(-1, game.actions)
    return prompts, torch.arange(game.actions).expand(game.games, -1)


def _table(policy: TrainablePolicy, game: Game) -> torch.Tensor:
    return policy.log_prob(*_every(game)).detach().clone()


def _step(policy: TrainablePolicy, game: Game, row: int | None = None) -> None:
    """One plain gradient step that raises the first action's probability, in one game or in all."""
    for weight in policy.parameters():
        weight.grad = None
    values = policy.log_prob(*_every(game))[:, 0]
    (values.sum() if row is None else values[row]).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.grad is not None:
                weight.add_(weight.grad, alpha=0.3)
