"""The rows as tables: mean and standard deviation, and beneath them what each seed gave, where and when."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from markdown import table
from reproduction_rows import Row

from glscert.verifier.files import replace_file

Record = dict[str, Any]
COLUMNS = ("net", "eps", "row", "schedule", "seeds", "natural", "certified", "paper", "unknown", "minutes")
SCHEMA = "glscert/reproduction/1"


def read(path: Path) -> list[Record]:
    """The records in the file; none where there is no file."""
    return list(json.loads(path.read_text(encoding="utf-8"))["records"]) if path.exists() else []


def merge(path: Path, new: Iterable[Record]) -> list[Record]:
    """Puts records into the file, in place of those of the same row and seed; a failure is no better than a result."""
    kept = {(record["row"], record["seed"]): record for record in read(path)}
    for record in new:
        place = (record["row"], record["seed"])
        if "failed" not in record or "failed" in kept.get(place, record):
            kept[place] = record
    records = [kept[place] for place in sorted(kept)]
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    text = f'{{"schema": "{SCHEMA}", "records": [\n{lines}\n]}}\n'
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        replace_file(path, lambda file: file.write(text.encode()))
    return records


def of_row(records: Iterable[Record], row: Row) -> list[Record]:
    """What its seeds gave; not the failed ones."""
    return sorted((r for r in records if r["row"] == row.key and "failed" not in r), key=lambda r: int(r["seed"]))


def spread(values: list[float]) -> str:
    """Mean and standard deviation (n - 1), or the one value."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def tables(groups: Mapping[str, list[Row]], records: list[Record]) -> str:
    """All groups that have a result or a failure."""
    lines: list[str] = []
    made = sorted({place_and_time(record) for record in records if "failed" not in record})
    marks = {place: str(number) for number, place in enumerate(made, 1)}
    for name, rows in groups.items():
        known = [row for row in rows if of_row(records, row)]
        beneath = [line for row in rows for line in seeds_of(row, records, marks)]
        if known:
            lines += [f"### {name}", "", *table(COLUMNS, [cells(row, records) for row in known], left=4), ""]
        elif beneath:
            lines += [f"### {name}", ""]
        lines += [*beneath, ""] if beneath else []
    if marks:
        lines += ["Made on:", "", *(f"{mark}. {place}" for place, mark in marks.items()), ""]
    return "\n".join(["", *lines])


def cells(row: Row, records: list[Record]) -> list[str]:
    found = of_row(records, row)
    shares = [spread([float(record[name]) for record in found]) for name in ("natural", "certified")]
    paper = " / ".join(f"{value:.2f}" for value in row.paper) if row.paper else "-"
    unknown = f"{mean(int(record['unknown']) for record in found):.0f}"
    minutes = f"{mean(whole_minutes(row, record, records) for record in found):.0f}"
    return [row.net, row.eps, row.label, row.schedule, str(len(found)), *shares, paper, unknown, minutes]


def whole_minutes(row: Row, record: Record, records: list[Record]) -> float:
    """Of training, with that of the network it starts from, as far as this is known."""
    minutes = float(record["minutes"])
    starts = [other for other in of_row(records, row.start) if other["seed"] == record["seed"]] if row.start else []
    return minutes + sum(whole_minutes(row.start, other, records) for other in starts if row.start)


def seeds_of(row: Row, records: list[Record], marks: Mapping[str, str]) -> list[str]:
    """One line: natural / certified of each seed, and where that was made."""
    told = [(int(r["seed"]), _told(r, marks)) for r in records if r["row"] == row.key]
    each = "; ".join(f"seed {seed}: {what}" for seed, what in sorted(told))
    return [f"- {row.net}, {row.eps}, {row.label} ({row.schedule}): {each}"] if told else []


def _told(record: Record, marks: Mapping[str, str]) -> str:
    if "failed" in record:
        return f"failed: {record['failed']}"
    note = f", {record['note']}" if "note" in record else ""
    return f"{record['natural']:.2f} / {record['certified']:.2f}{note} [{marks[place_and_time(record)]}]"


def place_and_time(record: Record) -> str:
    return f"{record['machine']}; glscert {record['version']}; {record['date']}"
