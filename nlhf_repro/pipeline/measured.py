"""What a machine spends on a computation: measured, so never part of what must regenerate."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import final


@final
class PeakMemory:
    """Peak resident memory of this process within the `with` block, in MiB.

    Where the system cannot restart its counter (only Linux can, where it is permitted), the peak is
    that of the process since it began: `whole_process` says so.
    """

    mebibytes: float
    whole_process: bool

    def __enter__(self) -> PeakMemory:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self.whole_process = False
        except OSError:
            self.whole_process = True
        return self

    def __exit__(self, *_: object) -> None:
        if self.whole_process:
            unit = 2**20 if sys.platform == "darwin" else 2**10
            self.mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        else:
            status = Path("/proc/self/status").read_text().splitlines()
            peak = next(line for line in status if line.startswith("VmHWM"))
            self.mebibytes = int(peak.split()[1]) / 2**10
