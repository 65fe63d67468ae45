"""Weights & Biases as a mirror of the records: what is on disk is sent, nothing else is."""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import read_run, stage_store
from nlhf_repro.pipeline.files import digest, write_json
from nlhf_repro.pipeline.language.samples import first_samples

if TYPE_CHECKING:
    from nlhf_repro.reporting import Table

Mode = Literal["offline", "online"]
MARK = "tracked.json"
PROBE_SECONDS = 4.0
SAMPLED_PROMPTS = 32


class Tracker(Protocol):
    """Mirrors finished records elsewhere; its failures are warnings, never those of a cell."""

    def mirror_cell(self, directory: Path) -> None:
        """Mirror one complete run directory, once."""
        ...

    def mirror_tables(
        self,
        output_dir: Path,
        name: str,
        tables: Mapping[str, Table],
        figures: Sequence[Path],
        report: Path | None,
    ) -> None:
        """Mirror the tables of an experiment, its own named `table`, its figures and its report."""
        ...


@final
@dataclass(frozen=True)
class NoTracker:
    """Mirrors nothing."""

    def mirror_cell(self, directory: Path) -> None:
        """Nothing."""

    def mirror_tables(
        self,
        output_dir: Path,
        name: str,
        tables: Mapping[str, Table],
        figures: Sequence[Path],
        report: Path | None,
    ) -> None:
        """Nothing."""


@final
@dataclass(frozen=True)
class WandbTracker:
    """One W&B run a cell, and one with the table of an experiment.

    Offline by default, below output_dir/wandb; `wandb sync` sends it later. Online falls back to
    offline, with a warning, without a key or where the server does not answer within `init_timeout`
    seconds.
    """

    mode: Mode
    project: str
    entity: str | None
    init_timeout: float

    def __post_init__(self) -> None:
        if not 1 <= self.init_timeout <= 600:
            raise ImpossibleSettingError(
                f"tracker.init_timeout = {self.init_timeout} must be 1 to 600 seconds: change it."
            )

    def mirror_cell(self, directory: Path) -> None:
        """Metrics of every recorded update, the configuration and the final values of one cell."""
        record = read_run(directory)
        config = yaml.safe_load((directory / "config.yaml").read_text())
        world = f", world {record['world']}" if config["worlds"] else ""
        settings = {
            "id": record["key"][:16],
            "name": f"{record['row'] or record['experiment']}, seed {record['seed']}{world}",
            "group": record["experiment"],
            "job_type": record["row"] or "run",
            "config": config,
        }
        with self._once(directory / MARK, directory.parents[1], settings) as run:
            if run is not None:
                _log_metrics(run, directory)
                _log_training(run, directory)
                _log_samples(run, directory, record["stages"].get("sample"))
                run.summary.update({"measured": record["measured"], "ledger": record["ledger"]})

    def mirror_tables(
        self,
        output_dir: Path,
        name: str,
        tables: Mapping[str, Table],
        figures: Sequence[Path],
        report: Path | None,
    ) -> None:
        """Tables as texts, their numbers in the summary, figures as images, the report as a file.

        It is a run of the job type `summary`, another one whenever the tables change.
        """
        key = digest([name, {each: asdict(table) for each, table in tables.items()}])[:16]
        settings = {"id": key, "name": f"{name}, table", "group": name, "job_type": "summary"}
        with self._once(output_dir / "wandb" / f"{key}.json", output_dir, settings) as run:
            if run is not None:
                _log_tables(run, tables)
                _log_figures(run, figures)
                if report is not None and report.exists():
                    _log_report(run, report, name)

    @contextlib.contextmanager
    def _once(self, mark: Path, output_dir: Path, settings: Mapping[str, Any]) -> Iterator[Any]:
        """A W&B run, or null where the mark says that one was made; failures end as warnings."""
        try:
            done = json.loads(mark.read_text())["modes"] if mark.exists() else []
            mode = self.mode if self.mode in done else self._possible_mode()
            if mode in done:
                yield None
                return
            with self._run(output_dir, mode, **settings) as run:
                yield run
                sent = "offline" if run.offline else "online"
            write_json(mark, {"modes": sorted({*done, sent})})
        except Exception as error:
            warnings.warn(f"W&B did not take {settings['name']}: {_line(error)}.", stacklevel=2)

    def _possible_mode(self) -> Mode:
        return self.mode if self.mode == "offline" else _reachable_mode(self.init_timeout)

    @contextlib.contextmanager
    def _run(self, output_dir: Path, mode: Mode, **settings: Any) -> Iterator[Any]:
        """A W&B run that writes below output_dir alone; finished on leaving."""
        folder = (output_dir / "wandb").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            os.environ[variable] = str(folder)
        import wandb

        quiet = wandb.Settings(
            silent=True, console="off", init_timeout=self.init_timeout, x_disable_stats=True
        )
        start = {
            "project": self.project,
            "entity": self.entity,
            "dir": str(folder.parent),
            **settings,
        }
        try:
            run = wandb.init(mode=mode, settings=quiet, **start)
        except Exception as error:
            if mode == "offline":
                raise
            warnings.warn(f"W&B is offline: {_line(error)}.", stacklevel=2)
            wandb.teardown()  # frees the run's name
            run = wandb.init(mode="offline", settings=quiet, **start)
        try:
            yield run
        finally:
            run.finish()


def _log_tables(run: Any, tables: Mapping[str, Table]) -> None:
    """Every table as it is printed, its notes, and the estimates behind its cells by row."""
    import wandb

    for name, table in tables.items():
        rows: list[Iterable[Any]] = [
            [row.label, *(cell.text for cell in row.cells)] for row in table.rows
        ]
        columns: list[str | int] = list(table.header)
        run.log({name: wandb.Table(columns=columns, data=rows)})
        run.summary.update(
            {
                f"{name}/{row.label}/{header}/{part}": value
                for row in table.rows
                for header, cell in zip(table.header[1:], row.cells, strict=True)
                for part in ("estimate", "lower", "upper", "p_value")
                if isfinite(value := getattr(cell, part))
            }
        )
        run.summary.update({f"{name}/caption": table.caption, f"{name}/notes": list(table.notes)})


def _log_figures(run: Any, figures: Sequence[Path]) -> None:
    import wandb

    pictures = {path.stem: wandb.Image(str(path)) for path in figures if path.suffix == ".png"}
    if pictures:
        run.log(pictures)


def _log_report(run: Any, report: Path, name: str) -> None:
    import wandb

    artifact = wandb.Artifact(f"{re.sub(r'[^0-9A-Za-z_.-]', '-', name)}-report", type="report")
    artifact.add_file(str(report))
    run.log_artifact(artifact)


def _log_metrics(run: Any, directory: Path) -> None:
    final_line: Mapping[str, float] = {}
    for line in (directory / "metrics.jsonl").read_text().splitlines():
        final_line = json.loads(line)
        run.log(final_line, step=int(final_line["update"]))
    run.summary.update({f"final/{key}": value for key, value in final_line.items()})


def _log_training(run: Any, directory: Path) -> None:
    """What a language run says of every gradient step and collection, over the updates."""
    path = directory / "training.jsonl"
    if not path.exists():
        return
    run.define_metric("training/update")
    run.define_metric("training/*", step_metric="training/update")
    for text in path.read_text().splitlines():
        line = json.loads(text)
        kind = line.pop("kind")
        update = line.pop("update")
        named = {f"training/{kind}/{key}": value for key, value in line.items()}
        run.log({"training/update": update, **named})


def _log_samples(run: Any, directory: Path, key: str | None) -> None:
    """The first answers of the last recorded policy to the first prompts, as a table."""
    if key is None:
        return
    import wandb

    folder = stage_store(directory.parents[1]).folder("sample", key)
    columns, rows = first_samples(folder, SAMPLED_PROMPTS)
    run.log({"samples": wandb.Table(columns=list(columns), data=list(rows))})


@cache
def _reachable_mode(timeout: float) -> Mode:
    """Online where there is a key and a server that answers; else offline, with a warning."""
    import wandb

    settings = wandb.setup().settings
    if not (settings.api_key or _stored_key(urllib.parse.urlsplit(settings.base_url).hostname)):
        warnings.warn("W&B is offline: there is no key; run `wandb login`.", stacklevel=2)
        return "offline"
    try:
        urllib.request.urlopen(settings.base_url, timeout=min(timeout, PROBE_SECONDS)).close()
    except urllib.error.HTTPError:
        return "online"
    except OSError as error:
        warnings.warn(f"W&B is offline: {settings.base_url}: {_line(error)}.", stacklevel=2)
        return "offline"
    return "online"


def _stored_key(host: str | None) -> bool:
    """Whether `wandb login` left a key for the host in the netrc file."""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return host is not None and netrc.netrc(path).authenticators(host) is not None
    return False


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
