"""Judges, what they are asked, and benchmarks whose scores come from their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from nlhf_repro.interfaces.scoring import MetricScores
from nlhf_repro.interfaces.text import Message

Form = Literal["token", "label", "rating"]
"""token: the first token is one of two labels, and its log-probability counts; label: a verdict
somewhere in the reply; rating: a number somewhere in the reply."""


class JudgeError(RuntimeError):
    """A judge that cannot go on: what failed, how often, what to do. What it answered is kept."""


@dataclass(frozen=True)
class Question:
    """One item of a benchmark: the user's turns, answered one after the other.

    `details` holds for every turn what a local oracle reads besides the text (the facts of a post);
    models never see it. `reference` are answers of reference by turn, or none.
    """

    identifier: str
    turns: tuple[str, ...]
    category: str
    details: tuple[Mapping[str, Any], ...]
    reference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decoding:
    """How a benchmark has its questions answered; temperature 0 is greedy.

    `category_temperatures` go before `temperature` in their categories.
    """

    temperature: float
    max_new_tokens: int
    top_p: float | None
    top_k: int | None
    category_temperatures: Mapping[str, float]

    def temperature_of(self, question: Question) -> float:
        """Of the answers to this question."""
        return self.category_temperatures.get(question.category, self.temperature)


@dataclass(frozen=True)
class Answers:
    """What one model answered: a text for every turn of every question."""

    name: str
    texts: Mapping[str, tuple[str, ...]]  # by question
    tokens: Mapping[str, tuple[int, ...]]  # by question, the end included; empty where unknown


@dataclass(frozen=True)
class Material:
    """What a request is about, for local judges, which read the answers and not the English around.

    `answers` are one to rate, or two in the order shown. `choices` are the replies that a parser
    understands: for `token` and `label` from "the first is better" to "the second is better", for
    `rating` from the worst to the best.
    """

    form: Form
    conversation: tuple[Message, ...]  # up to the user's turn that was answered
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    details: Mapping[str, Any]  # of the turn that was answered
    reference: str | None = None
    identifier: str = ""  # of the question and turn: what a local oracle tells prompts apart by


@dataclass(frozen=True)
class JudgeRequest:
    """One question to a judge; `draw` counts answers that are wanted to the same messages."""

    identifier: str  # unique among the requests of a benchmark and policy
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    top_logprobs: int  # of the first token's alternatives; 0: none are asked for
    draw: int
    material: Material


@dataclass(frozen=True)
class JudgeReply:
    """What a judge said. `first_token` maps alternatives of the first token to log-probabilities.

    `finish` is `stop`, `length`, or `error: ...` where the endpoint refused this request for good.
    """

    text: str
    first_token: Mapping[str, float]
    prompt_tokens: int
    completion_tokens: int
    finish: str


@dataclass(frozen=True)
class JudgeUsage:
    """What a judge has cost so far: answers that a cache knew are `replayed` and cost nothing."""

    calls: int = 0
    replayed: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0  # US dollars, where prices are configured


OnReply = Callable[[int, JudgeReply], None]
"""Takes the position of a request and its reply, as soon as it is there, in any order."""


@runtime_checkable
class Judge(Protocol):
    """Answers requests: an endpoint, a model in memory, or an oracle that poses as one."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides its replies, beside the request; plain JSON, no secrets."""
        ...

    @property
    def usage(self) -> JudgeUsage:
        """What it has cost so far."""
        ...

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply to every request; each reply is handed over once, when it is there.

        Raises:
            JudgeError: some could not be answered; all others were handed over before.
        """
        ...


@runtime_checkable
class JudgeFamily(Protocol):
    """A configured judge (conf/judge): one for every world."""

    def judge(self, world: int) -> Judge:
        """The judge of this world, the same for every algorithm and training seed."""
        ...


@dataclass(frozen=True)
class Judgment:
    """A request with its reply, and with the further replies that a benchmark asked for."""

    request: JudgeRequest
    replies: tuple[JudgeReply, ...]


@runtime_checkable
class JudgedBenchmark(Protocol):
    """A benchmark that asks a judge about answers to its own questions.

    Attributes:
        scoring: Names of settings that change scores alone: neither answers nor judgments depend on
            them, and nothing is asked again where they change.
    """

    scoring: ClassVar[tuple[str, ...]]

    @property
    def repeats(self) -> int:
        """How often the judge is asked about everything; its draws are numbered from 0."""
        ...

    @property
    def decoding(self) -> Decoding:
        """How questions are answered."""
        ...

    @property
    def comparable(self) -> bool:
        """Whether numbers are those that are published under the benchmark's name."""
        ...

    @property
    def compares(self) -> bool:
        """Whether answers are compared with a baseline's, or rated by themselves."""
        ...

    def questions(self) -> tuple[Question, ...]:
        """The questions, in the benchmark's order; the same in every world."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files that questions, judge prompts and baseline come from."""
        ...

    def baseline(self) -> Answers | None:
        """Answers to compare with; None: those of the reference policy, where it compares."""
        ...

    def requests(self, own: Answers, baseline: Answers | None) -> list[JudgeRequest]:
        """Everything that is asked once: draw 0. The pipeline repeats it with the other draws."""
        ...

    def follow_up(self, judgment: Judgment) -> JudgeRequest | None:
        """A further request where the replies so far give no verdict and the protocol goes on."""
        ...

    def write(
        self,
        folder: Path,
        own: Answers,
        baseline: Answers | None,
        judgments: Sequence[Judgment],
        judge: str,
    ) -> None:
        """Write one draw's answers and judgments in the upstream tool's own format."""
        ...

    def score(self, folder: Path, own: str) -> tuple[MetricScores, tuple[str, ...]]:
        """The metric of what `write` wrote, and what a table must print beside it.

        Raises:
            UnusableAnnotationsError: too few verdicts could be read.
        """
        ...


@runtime_checkable
class ModelBenchmark(Protocol):
    """A benchmark that asks the model itself, in memory: log-likelihoods and free answers."""

    @property
    def comparable(self) -> bool:
        """Whether numbers are those that are published under the benchmark's name."""
        ...

    @property
    def draws_by_seed(self) -> bool:
        """Whether every training seed is scored with a seed of its own, or all of a world alike."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files that its tasks come from; versions and revisions otherwise."""
        ...

    def check(self) -> None:
        """Refuse before any training what is known to be missing, without the network.

        Raises:
            ImpossibleSettingError: a package, a file or a task that does not exist.
        """
        ...

    def score_model(
        self, model: Any, tokenizer: Any, seed: int, folder: Path
    ) -> tuple[MetricScores, tuple[str, ...]]:
        """The metric, and what a table must print beside it; records of every item go to `folder`.

        No global random state is left changed.
        """
        ...
