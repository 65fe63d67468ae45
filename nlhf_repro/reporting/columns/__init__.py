"""The column kinds that ship; a table's YAML names one, or the user's own, as its `_target_`."""

from nlhf_repro.reporting.columns.bound import RatioToBound
from nlhf_repro.reporting.columns.entry import LedgerEntry, LedgerEstimate
from nlhf_repro.reporting.columns.gap import GeometricMeanGap
from nlhf_repro.reporting.columns.ledger import LedgerTotal, TuningTotal
from nlhf_repro.reporting.columns.maximum import Maximum
from nlhf_repro.reporting.columns.mean import MeanValue
from nlhf_repro.reporting.columns.reach import UpdatesToReach
from nlhf_repro.reporting.columns.share import ShareBelow
from nlhf_repro.reporting.columns.verdict import Verdict

__all__ = [
    "GeometricMeanGap",
    "LedgerEntry",
    "LedgerEstimate",
    "LedgerTotal",
    "Maximum",
    "MeanValue",
    "RatioToBound",
    "ShareBelow",
    "TuningTotal",
    "UpdatesToReach",
    "Verdict",
]
