"""The nouns of the project, as frozen records and protocols; imports nothing of the package.

Shapes are written behind the fields. `problems` counts training problems that share no weights:
every game of a tabular batch is one, a language model is a single one. `points` counts the recorded
updates.
"""

from nlhf_repro.interfaces.games import (
    Array,
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Tie,
    TieKind,
)
from nlhf_repro.interfaces.language import FineTuning, LanguageSettings
from nlhf_repro.interfaces.phases import (
    Advance,
    Collect,
    Fit,
    LabelKind,
    PairLoss,
    Phase,
    PointLoss,
    Responder,
)
from nlhf_repro.interfaces.protocols import (
    Algorithm,
    Benchmark,
    GameFamily,
    Model,
    OracleWrapper,
    PreferenceOracle,
    Snapshot,
    TrainablePolicy,
)
from nlhf_repro.interfaces.records import (
    Ledger,
    RowRecord,
    TrainingSettings,
    Trajectory,
    Tuning,
)
from nlhf_repro.interfaces.round_robins import (
    ResponderTraining,
    RoundRobinRecord,
    RoundRobinSettings,
    ShownAnswer,
    ShownPrompt,
)
from nlhf_repro.interfaces.scoring import (
    Diagnostics,
    MetricScores,
    ModelScores,
    UnusableAnnotationsError,
)
from nlhf_repro.interfaces.text import (
    Demonstration,
    FeatureOracle,
    LearnedOracleWrapper,
    Message,
    PolicySamples,
    Prompt,
    PromptFamily,
    Split,
    TextBenchmark,
    TextOracle,
    TextOracleFamily,
)

__all__ = [
    "Advance",
    "Algorithm",
    "Array",
    "Benchmark",
    "Collect",
    "Demonstration",
    "Diagnostics",
    "ExactState",
    "FeatureOracle",
    "FineTuning",
    "Fit",
    "FixedPoint",
    "Game",
    "GameFamily",
    "ImpossibleSettingError",
    "LabelKind",
    "LanguageSettings",
    "LearnedOracleWrapper",
    "Ledger",
    "Message",
    "MetricScores",
    "Model",
    "ModelScores",
    "OracleWrapper",
    "PairLoss",
    "Phase",
    "PointLoss",
    "PolicySamples",
    "PreferenceOracle",
    "Prompt",
    "PromptFamily",
    "Responder",
    "ResponderTraining",
    "RoundRobinRecord",
    "RoundRobinSettings",
    "RowRecord",
    "ShownAnswer",
    "ShownPrompt",
    "Snapshot",
    "Split",
    "TextBenchmark",
    "TextOracle",
    "TextOracleFamily",
    "Tie",
    "TieKind",
    "TrainablePolicy",
    "TrainingSettings",
    "Trajectory",
    "Tuning",
    "UnusableAnnotationsError",
]
