"""The questions of a policy, decided as `glscli verify` decides them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from glscert.verifier.errors import GlscertError, InputError, MissingDataError
from glscert.verifier.gate import Entry, LabelledInputs, Verdicts, of_inputs, of_properties

from . import kept, labelled, query, rechecked, render, robustness
from .asked import say_what_is_asked
from .labelled import Request

if TYPE_CHECKING:
    from glscert.verifier import Network
    from glscert.verifier.run.jobs import Jobs

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


def decided(entry: Entry, data_dir: Path | None, jobs: "Jobs") -> Verdicts:
    """data_dir: in place of the policy's. Raises MissingDataError where the data are not there, GlscertError as
    `glscli verify` does, with the policy's keys in place of its options; KeyboardInterrupt."""
    try:
        if isinstance(entry.ask, LabelledInputs):
            return _inputs(entry, entry.ask, data_dir, jobs)
        return _properties(entry, entry.ask, jobs)
    except GlscertError as error:
        raise type(error)(_OPTION.sub(lambda found: found[1].replace("-", "_"), str(error))) from error


def _inputs(entry: Entry, ask: LabelledInputs, data_dir: Path | None, jobs: "Jobs") -> Verdicts:
    from glscert.verifier import load
    from glscert.verifier.answer.input_record import InputRecord

    network = load(entry.file, arithmetic=entry.arithmetic)
    request = Request(**_with_data(ask, data_dir, network, entry)._asdict(), min_certified=None)
    asked = labelled.asked(network, request, entry.effort)
    last = (ask.images or "").partition(":")[2]
    if last and int(last) > len(asked.inputs.x):
        raise InputError(f"images = {ask.images} goes beyond the {len(asked.inputs.x)} inputs of {asked.source}.")
    if not len(asked.x):
        raise InputError(f"{asked.source} holds no inputs, of which nothing could be missed; give some.")
    say_what_is_asked(asked.task, asked.x)
    if entry.certificate is not None:
        return of_inputs(rechecked.inputs(entry.certificate, asked))
    record = InputRecord(asked.header, asked.labels, None)
    if not robustness.answer(asked, record, jobs, entry.name):
        raise KeyboardInterrupt
    return of_inputs(record.as_json())


def _with_data(ask: LabelledInputs, data_dir: Path | None, network: "Network", entry: Entry) -> LabelledInputs:
    """The folder that counts. Raises MissingDataError where the data's file or folder is not there: nothing is
    downloaded for what is not required."""
    from glscert.verifier.data import DATASETS, DEFAULT_DIR, WITHOUT_FILES

    name = network.metadata.get("dataset") if ask.data is None else str(ask.data)
    if ask.data is not None and name not in DATASETS:
        if not ask.data.is_file():
            raise MissingDataError(f"there is no file {ask.data}; data names the inputs.")
        return ask
    folder = data_dir or ask.data_dir or DEFAULT_DIR
    if name in DATASETS and name not in WITHOUT_FILES and not folder.is_dir() and not entry.required:
        raise MissingDataError(f"no folder {folder} with the files of {name}")
    return ask._replace(data_dir=folder)


def _properties(entry: Entry, path: Path, jobs: "Jobs") -> Verdicts:
    from glscert.verifier.answer.query_record import QueryRecord

    if not path.exists():
        raise MissingDataError(f"there is no file or folder {path}; properties names one.")
    paths = query.properties(path)
    network = query.opened(entry.file, paths[0], entry.effort, entry.arithmetic)
    header = kept.header(entry.file, network, entry.effort)
    if entry.certificate is not None:
        return of_properties(rechecked.properties(entry.certificate, header, network, path))
    record = QueryRecord(header, {path.name: kept.digest(path) for path in paths}, None)
    for each, found in query.answered(network, paths, entry.effort, jobs=jobs):
        record.tell(each.name, found)
        if isinstance(found, GlscertError):
            render.logs().print(f"{each.name}: {found}", markup=False)
        else:
            query.tell_nearest(each, found)
    return of_properties(record.as_json())
