"""The command line: `nlhf VERB ...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, final

# One thread a process: two busy threads on few cores are slower, and sums depend on their number.
# Numerical libraries read these when they are first imported: nothing above imports one.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb; exit status 2 for settings that have no meaning, 1 for failed cells."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    from nlhf_repro.interfaces import ImpossibleSettingError, UnusableAnnotationsError

    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    unknown = [argument for argument in rest if argument.startswith("-")]
    if unknown:
        parser.error(f"{unknown[0]} is no option of nlhf {known.verb}")
    try:
        status = _dispatch(known, rest)
        sys.stdout.flush()
    except (ImpossibleSettingError, UnusableAnnotationsError) as error:
        sys.exit(_complaint(error, 2))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(_complaint("stopped; what is complete stays, the same command goes on.", 130))
    except Exception as error:
        if os.environ.get("NLHF_TRACEBACK"):
            raise
        sys.exit(_complaint(f"{_unexpected(error)}{_where()}", 1))
    sys.exit(status)


def _unexpected(error: Exception) -> str:
    """What an error that nothing foresaw says; of a file, which one."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be used ({error.strerror}): give another path"
    return f"{type(error).__name__}: {error}"


@final
class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with a command, and where its help is."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        said = message.removeprefix("argument ").removesuffix(".")
        self.exit(2, f"nlhf: {said}: see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="nlhf",
        description="Reproduce and compare Nash learning from human feedback.",
        epilog="Overrides are Hydra's: GROUP=CHOICE and KEY=VALUE.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="one cell of any composition; -m sweeps, or all cells")
    run.add_argument("-m", "--multirun", action="store_true", help="sweep: KEY=A,B; all cells")
    run.add_argument("--cfg", action="store_true", help="print the configuration, run nothing")
    for name, help_text in (
        ("reproduce", "every missing cell of an experiment, then its table and figures"),
        ("table", "the table and figures of an experiment from what is on disk"),
    ):
        verb = verbs.add_parser(name, help=help_text)
        verb.add_argument("name", help="conf/experiment/SCALE/NAME.yaml; scale= picks the folder")
        if name == "reproduce":
            verb.add_argument("--jobs", type=int, help="cells at a time (default: processors)")
        else:
            verb.add_argument(
                "--mixed-code", action="store_true", help="merge bundles all the same"
            )
            verb.epilog = "Bundles of nlhf export (*.zip) may stand for NAME, or beside it."
    export = verbs.add_parser("export", help="an experiment's records and scores as one file")
    export.add_argument("name", help="conf/experiment/SCALE/NAME.yaml; scale= picks the folder")
    export.add_argument("--out", metavar="FILE.zip", help="default: outputs/bundles/NAME.zip")
    export.add_argument("--texts", action="store_true", help="answers and judgments too")
    check = verbs.add_parser("check", help="test a part, and compare it where it is an algorithm")
    check.add_argument("target", help="GROUP=NAME, NAME, or module.Class")
    check.add_argument("--no-comparison", action="store_true", help="only the checks")
    check.add_argument("--jobs", type=int, help="cells at a time (default: processors)")
    new = verbs.add_parser("new", help="a working skeleton of a part or an experiment of your own")
    new.add_argument("kind", choices=("algorithm", "oracle", "benchmark", "experiment"))
    new.add_argument("name", help="of the module and of its configuration")
    new.add_argument("--dir", default=".", help="where it is written (default: here)")
    tuning = verbs.add_parser("tune", help="search the settings of an experiment's rows")
    tuning.add_argument("name", help="conf/experiment/tune/NAME.yaml")
    tuning.add_argument("--jobs", type=int, help="cells at a time (default: processors)")
    page = verbs.add_parser("report", help="one HTML file of experiments, or of bundles")
    page.add_argument(
        "overrides",
        nargs="*",
        metavar="NAME",
        help="experiments and KEY=VALUE, or bundles of one experiment (*.zip), which are merged; "
        "without a name, all that the output folder has records of",
    )
    page.add_argument("--mixed-code", action="store_true", help="merge bundles all the same")
    page.add_argument("--out", metavar="FILE", help="where it goes (default: beside the tables)")
    listing = verbs.add_parser("list", help="what can be chosen, each with its paper and one line")
    listing.add_argument("group", nargs="?", help="one group, such as algorithm")
    fetch = verbs.add_parser("fetch", help="the official files of a benchmark, verified")
    fetch.add_argument("benchmark", nargs="?", help="whose; without one, what can be fetched")
    fetch.add_argument("--cache", help="where they go (default: NLHF_CACHE, or the user's cache)")
    fetch.add_argument("--source", help="a mirror's address, which serves SOURCE/BENCHMARK/NAME")
    files = _file_verbs(verbs)
    for verb in verbs.choices.values():
        if verb in (new, fetch) or verb in files:
            continue
        verb.add_argument("--config-dir", help="a folder of your own configurations")
        if verb not in (listing, page):
            verb.add_argument("overrides", nargs="*", default=[], help="GROUP=CHOICE KEY=VALUE")
    return parser


def _file_verbs(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
) -> list[argparse.ArgumentParser]:
    """The verbs that read annotation files, and take no overrides."""
    from nlhf_repro.verbs.scoring_arguments import add_compare, add_plan, add_score

    score = verbs.add_parser("score", help="annotation files, with intervals that cover")
    compare = verbs.add_parser("compare", help="two annotation files, or rows of an experiment")
    plan = verbs.add_parser("plan", help="what an experiment costs, or a comparison can detect")
    add_score(score)
    add_compare(compare)
    add_plan(plan)
    for verb in (compare, plan):
        verb.add_argument("--config-dir", help="a folder of your own configurations")
    return [score, compare, plan]


def _dispatch(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """Import and call the verb; what it does not need is not imported."""
    from nlhf_repro.interfaces import ImpossibleSettingError

    overrides = [*getattr(known, "overrides", []), *rest]
    if known.verb == "list":
        from nlhf_repro.verbs.listing import list_choices

        return list_choices(known.group, known.config_dir)
    if known.verb == "run":
        from nlhf_repro.verbs.run import run, show_configuration

        if known.cfg:
            show_configuration(overrides, known.config_dir)
        else:
            run(overrides, known.config_dir, known.multirun)
        return 0
    if known.verb == "score":
        from nlhf_repro.verbs.score import score

        return score(known, rest)
    if known.verb == "plan" and known.experiment:
        from nlhf_repro.verbs.plan_experiment import plan_experiment

        return plan_experiment(known, [*known.experiment, *rest])
    if known.verb in ("compare", "plan"):
        if rest:
            raise ImpossibleSettingError(
                f"{rest[0]} has no place after nlhf {known.verb}: drop it."
            )
        if known.verb == "compare":
            from nlhf_repro.verbs.compare import compare

            return compare(known)
        from nlhf_repro.verbs.plan import plan

        return plan(known)
    if known.verb == "new":
        if rest:
            raise ImpossibleSettingError(
                f"{rest[0]} has no place after nlhf new KIND NAME: drop it."
            )
        from nlhf_repro.verbs.new import new

        return new(known.kind, known.name, known.dir)
    if known.verb == "fetch":
        if rest:
            raise ImpossibleSettingError(
                f"{rest[0]} has no place after nlhf fetch BENCHMARK: drop it."
            )
        from nlhf_repro.verbs.fetch import fetch

        return fetch(known.benchmark, known.cache, known.source)
    if known.verb == "check":
        from nlhf_repro.verbs.check import check

        compared = not known.no_comparison
        return check(known.target, overrides, known.config_dir, compared, known.jobs)
    if known.verb == "table":
        from nlhf_repro.verbs.table import table

        return table(known.name, overrides, known.config_dir, known.mixed_code)
    if known.verb == "report":
        from nlhf_repro.verbs.report import report

        return report(overrides, known.config_dir, known.out, known.mixed_code)
    if known.verb == "export":
        from nlhf_repro.verbs.export import export

        return export(known.name, overrides, known.config_dir, known.out, known.texts)
    if known.verb == "tune":
        from nlhf_repro.verbs.tune import tune

        return tune(known.name, overrides, known.config_dir, known.jobs)
    from nlhf_repro.verbs.reproduce import reproduce

    return reproduce(known.name, overrides, known.config_dir, known.jobs)


def _complaint(error: object, status: int) -> int:
    print(f"nlhf: {error}", file=sys.stderr)
    return status


def _where() -> str:
    return " (NLHF_TRACEBACK=1 shows the traceback; a failed cell keeps its own, traceback.txt)"


if __name__ == "__main__":
    main()
