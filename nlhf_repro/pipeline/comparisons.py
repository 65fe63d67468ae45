"""Pair designs: which responses of a group are compared, and what each design's labels are.

`responses` is [problems, groups, K]; `ask(first, second)` returns answers of the broadcast shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import comb

import torch

from nlhf_repro.interfaces import Collect, Phase
from nlhf_repro.selection import RANKING_DECIMALS

Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class PairData:
    """Labelled pairs, every field [problems, items]; an item of weight 0 is not trained on."""

    first: torch.Tensor
    second: torch.Tensor
    margin: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class PointData:
    """Labelled single responses, every field [problems, items]."""

    response: torch.Tensor
    value: torch.Tensor
    weight: torch.Tensor


PreferenceData = PairData | PointData


def responses_of(data: PreferenceData) -> tuple[torch.Tensor, ...]:
    """The responses that the items hold: both sides of pairs, or the single ones."""
    return (data.first, data.second) if isinstance(data, PairData) else (data.response,)


def comparisons_in_group(collect: Collect) -> int:
    """Comparisons that one group of responses costs."""
    if collect.design == "against":
        return collect.responses * collect.opponents * len(collect.opponent)
    if collect.labels in ("score", "none"):
        return 0
    if collect.design == "tournament":
        return 11
    return comb(collect.responses, 2)


def iteration_comparisons(phases: Iterable[Phase], groups: int) -> int:
    """Comparisons that the phases of one iteration cost in every problem."""
    return groups * sum(comparisons_in_group(each) for each in phases if isinstance(each, Collect))


def pairs(first: torch.Tensor, second: torch.Tensor, margin: torch.Tensor) -> PairData:
    """Pairs of equal weight, the last axis flattened into items."""
    first, second, margin = (tensor.flatten(start_dim=1) for tensor in (first, second, margin))
    return PairData(first, second, margin, weight=torch.ones_like(margin))


def win_matrix(responses: torch.Tensor, ask: Ask) -> torch.Tensor:
    """Answers of all K(K-1)/2 comparisons, [problems, groups, K, K], 1/2 on the diagonal."""
    count = responses.shape[-1]
    first, second = torch.triu_indices(count, count, offset=1)
    answers = ask(responses[..., first], responses[..., second])
    matrix = torch.full((*responses.shape, count), 0.5, dtype=answers.dtype)
    matrix[..., first, second] = answers
    matrix[..., second, first] = 1.0 - answers
    return matrix


def win_counts(responses: torch.Tensor, ask: Ask) -> torch.Tensor:
    """Wins of every response in its group, itself at 1/2, [problems, groups, K].

    Rounded, so that sums of the same probabilities in another order are tied.
    """
    return win_matrix(responses, ask).sum(dim=-1).round(decimals=RANKING_DECIMALS)


def scored(collect: Collect, responses: torch.Tensor, scores: torch.Tensor) -> PreferenceData:
    """Data whose labels are scores [problems, groups, K] instead of comparisons."""
    if collect.design == "best_worst":
        return best_worst(responses, scores)
    if collect.design == "win_rate":
        flat = scores.flatten(start_dim=1)
        return PointData(responses.flatten(start_dim=1), flat, torch.ones_like(flat))
    first, second = torch.triu_indices(responses.shape[-1], responses.shape[-1], offset=1)
    margin = scores[..., first] - scores[..., second]
    return pairs(responses[..., first], responses[..., second], margin)


def all_pairs(responses: torch.Tensor, ask: Ask) -> PairData:
    """Every unordered pair of a group, with its own answer."""
    first, second = torch.triu_indices(responses.shape[-1], responses.shape[-1], offset=1)
    one, other = responses[..., first], responses[..., second]
    return pairs(one, other, ask(one, other) - 0.5)


def win_rates(responses: torch.Tensor, ask: Ask, self_comparison: bool) -> PointData:
    """Every response with its mean answer against the others (and itself, at 1/2)."""
    count = responses.shape[-1]
    wins = win_matrix(responses, ask).sum(dim=-1)
    value = wins / count if self_comparison else (wins - 0.5) / (count - 1)
    flat = value.flatten(start_dim=1)
    return PointData(responses.flatten(start_dim=1), flat, torch.ones_like(flat))


def best_worst(responses: torch.Tensor, ranking: torch.Tensor) -> PairData:
    """The best and the worst of a group, labelled as preferred; all-tied groups get weight 0.

    `ranking` [problems, groups, K] holds win rates or scores; a tie goes to the first.
    """
    best, worst = ranking.argmax(dim=-1, keepdim=True), ranking.argmin(dim=-1, keepdim=True)
    distinct = ranking.gather(-1, best) > ranking.gather(-1, worst)
    return PairData(
        first=responses.gather(-1, best).flatten(start_dim=1),
        second=responses.gather(-1, worst).flatten(start_dim=1),
        margin=torch.full(responses.shape[:-1], 0.5, dtype=torch.float64),
        weight=distinct.to(torch.float64).flatten(start_dim=1),
    )


def tournament(responses: torch.Tensor, ask: Ask) -> PairData:
    """Eight responses, 4 + 3 + 3 + 1 comparisons (INPO, arXiv:2407.00617, section 4.1).

    Winners of the first round play winners for the best, losers play losers for the worst; the pair
    enters only if the best wins the final. A tie goes to the first of the two.
    """

    def play(players: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = players[..., 0::2], players[..., 1::2]
        first_wins = ask(first, second) >= 0.5
        return torch.where(first_wins, first, second), torch.where(first_wins, second, first)

    winners, losers = play(responses)
    while winners.shape[-1] > 1:
        winners = play(winners)[0]
        losers = play(losers)[1]
    kept = (ask(winners, losers) > 0.5).to(torch.float64)
    return PairData(
        first=winners.flatten(start_dim=1),
        second=losers.flatten(start_dim=1),
        margin=torch.full_like(kept, 0.5).flatten(start_dim=1),
        weight=kept.flatten(start_dim=1),
    )


def against(responses: torch.Tensor, opponents: torch.Tensor, ask: Ask) -> PreferenceData:
    """Every response meets every opponent of its group; two responses make a pair, one a point."""
    value = ask(responses[..., :, None], opponents[..., None, :]).mean(dim=-1)
    if responses.shape[-1] == 1:
        flat = value.flatten(start_dim=1)
        return PointData(responses.flatten(start_dim=1), flat, torch.ones_like(flat))
    return pairs(responses[..., 0], responses[..., 1], value[..., 0] - value[..., 1])
