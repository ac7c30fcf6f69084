"""Rows of the paper's tables and our own: train, export, verify on all test images; mean and spread over the seeds.

    python benchmarks/reproduction.py --group cnn3-tiny stages --seeds 0 1 2 --parallel 2 --data-dir data
    python benchmarks/reproduction.py --table docs/reproduction.md --figures docs

The three commands of each row are printed before they are run; what they say lies in --runs-dir. Whatever has been done
already (a run, a file, a report there) is not done again, and what two rows share is trained once: stop it at any time
and start it anew. A row that fails is noted and the others go on; it is tried again the next time. Results are merged
into --results, with machine, date and version, and tables and figures are made from that file alone. Accuracies in per
cent, from the report of `glscli verify`. Minutes: of training, the start's included, as the runs' journals have them.
"""

import argparse
import os
import sys
from pathlib import Path

from markdown import put
from reproduction_rows import GROUPS, HIDDEN, rows_of
from reproduction_runs import Record, Workshop, make_all, say
from reproduction_table import merge, read, tables

RESULTS = Path("docs/reproduction.json")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", nargs="*", default=[], metavar="GROUP", help=f"what to make: {', '.join(GROUPS)}")
    parser.add_argument("--row", nargs="*", default=[], metavar="NAME", help="only these of the groups' rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parallel", type=int, default=1, help="rows side by side")
    parser.add_argument("--threads", type=int, default=1, help="of each row")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/reproduction"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="JSON to merge into")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write all results into a Markdown file")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="draw all results")
    args = parser.parse_args()
    known = {row.name for name in args.group for row in {**GROUPS, **HIDDEN}.get(name, [])}
    for name in args.group:
        if name not in GROUPS and name not in HIDDEN:
            parser.error(f"there is no group {name}; known: {', '.join(GROUPS)}")
    for name in args.row:
        if name not in known:
            parser.error(f"there is no row {name} in these groups; known: {', '.join(sorted(known))}")
    if args.parallel < 1 or args.threads < 1:
        parser.error("--parallel and --threads are at least 1")
    return args


def main() -> None:
    args = arguments()
    groups = {name: rows for name, rows in {**GROUPS, **HIDDEN}.items() if name in GROUPS or name in args.group}
    by_key, failed = rows_of(groups), 0

    def done(record: Record) -> None:
        nonlocal failed
        failed += "failed" in record
        what = record.get("failed") or f"{record['natural']:.2f} / {record['certified']:.2f}"
        say(f"{'FAILED ' if 'failed' in record else ''}{record['row']}, seed {record['seed']}: {what}")
        merge(args.results, [record])

    wanted = [row for name in args.group for row in groups[name] if not args.row or row.name in args.row]
    if wanted:
        args.runs_dir.mkdir(parents=True, exist_ok=True)
        os.nice(10)
        workshop = Workshop(args.runs_dir, args.data_dir, args.threads)
        make_all(workshop, [(row, seed) for seed in args.seeds for row in wanted], args.parallel, done)
    records = read(args.results)
    for key in sorted({str(record["row"]) for record in records} - set(by_key)):
        say(f"{args.results} has results of {key}, which is no row any more: left out")
    if args.table is not None:
        put(args.table, "reproduction", "# The paper's rows, reproduced", tables(groups, records))
    if args.figures is not None:
        from reproduction_figures import draw

        draw(args.figures, list(by_key.values()), records)
    if failed:
        sys.exit(f"{failed} failed; see above and the .log files in {args.runs_dir}")


if __name__ == "__main__":
    main()
