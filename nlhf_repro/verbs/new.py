"""`nlhf new`: a skeleton of a part of the user's own, which works as it is written."""

from __future__ import annotations

import importlib.util
import keyword
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from nlhf_repro.config import conf_directory
from nlhf_repro.interfaces import ImpossibleSettingError

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
KINDS = ("algorithm", "oracle", "benchmark", "experiment")


def new(kind: str, name: str, directory: str) -> int:
    """Write the skeleton and say what to do next; the exit status, 0.

    Raises:
        ImpossibleSettingError: the name is no identifier or is taken, or a file is there already.
    """
    folder = Path(directory)
    files = dict(skeleton(kind, name, folder))
    refuse_name(kind, name, files)
    for path in files:
        if path.exists():
            raise ImpossibleSettingError(
                f"{path} exists already and is left as it is: choose another name, or move it away."
            )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.stdout.write("".join(f"written: {path}\n" for path in files))
    sys.stdout.write("next:\n" + "".join(f"  {line}\n" for line in _next(kind, name, folder)))
    return 0


def skeleton(kind: str, name: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the skeleton: where it goes, and its text."""
    conf = folder / "conf"
    if kind == "experiment":
        own = sorted(path.stem for path in (conf / "algorithm").glob("*.yaml"))
        for scale, template in (("tabular", "my_experiment"), ("tune", "my_experiment_tune")):
            text = _with_rows(_filled(f"experiment/{template}.yaml", name), own)
            yield conf / "experiment" / scale / f"{name}.yaml", text
        yield conf / "table" / f"{name}.yaml", _filled("experiment/my_experiment_table.yaml", name)
    else:
        yield folder / f"{name}.py", _filled(f"{kind}/my_{kind}.py", name)
        yield conf / kind / f"{name}.yaml", _filled(f"{kind}/my_{kind}.yaml", name)


def refuse_name(kind: str, name: str, files: dict[Path, str]) -> None:
    """Refuse what cannot be a module, or would stand for something else.

    Raises:
        ImpossibleSettingError: saying what is wrong with the name.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ImpossibleSettingError(
            f"{name} is no name for a Python module: use letters, digits and underscores, and "
            "begin with a letter."
        )
    groups = ("experiment", "table") if kind == "experiment" else (kind,)
    for group in groups:
        for path in (conf_directory() / group).rglob(f"{name}.yaml"):
            raise ImpossibleSettingError(
                f"{group}={name} ships with nlhf_repro ({path}), and would be taken in place of "
                f"yours: choose another name, such as my_{name}."
            )
    module = importlib.util.find_spec(name) if kind != "experiment" else None
    if module is not None and Path(module.origin or "").resolve() not in map(Path.resolve, files):
        raise ImpossibleSettingError(
            f"{name} is a module that Python has already ({module.origin}), and would be imported "
            f"in place of yours: choose another name, such as my_{name}."
        )


def _filled(template: str, name: str) -> str:
    """The template's text, its own names replaced."""
    path = TEMPLATES / template
    own = f"my_{template.partition('/')[0]}"
    text = path.read_text().replace(_class_name(own), _class_name(name))
    return text.replace(own, name)


def _class_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _with_rows(text: str, algorithms: list[str]) -> str:
    """The experiment with a row for each of the user's algorithms in place of the template's."""
    lines = []
    for line in text.splitlines():
        if "my_algorithm" in line:
            lines += [line.replace("my_algorithm", algorithm) for algorithm in algorithms]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _next(kind: str, name: str, folder: Path) -> Iterator[str]:
    conf = shlex.quote(str(folder / "conf"))
    if kind == "experiment":
        yield f"{folder / 'conf' / 'experiment' / 'tabular' / f'{name}.yaml'}: change the rows"
        yield f"nlhf reproduce {name} --config-dir {conf}"
        yield f"{folder / 'conf' / 'experiment' / 'tune' / f'{name}.yaml'}: the same rows"
        yield f"nlhf tune {name} --config-dir {conf}"
        return
    yield f"{folder / f'{name}.py'}: change what is marked with CHANGE"
    yield f"nlhf check {kind}={name} --config-dir {conf}"
    if kind == "algorithm":
        yield f"nlhf new experiment my_experiment --dir {shlex.quote(str(folder))}"
    elif kind == "oracle":
        yield f"nlhf run scale=tabular oracle={name} tracker=none --config-dir {conf}"
    else:
        yield f"nlhf run scale=tabular 'benchmark=[{name}]' tracker=none --config-dir {conf}"
