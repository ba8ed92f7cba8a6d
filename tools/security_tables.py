#!/usr/bin/env python3
"""Writes the tables of docs/security.md: security_tables.py [--fuzz]

What the files of strangers are answered with, from tests/hostile/expected.tsv; with --fuzz also what the last run of
tests/fuzz/run.sh did, from its logs below build/fuzz."""
import argparse
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/security.md"


def hostile():
    counts = collections.defaultdict(collections.Counter)
    for line in (ROOT / "tests/hostile/expected.tsv").read_text().splitlines():
        kind, _, answer = line.split("\t")
        counts[kind][answer] += 1
    lines = ["| kind of file | files | refused | nothing changes | means something else |", "|---|---:|---:|---:|---:|"]
    total = collections.Counter()
    for kind, found in sorted(counts.items()):
        total.update(found)
        lines.append(f"| {kind} | {sum(found.values())} | {found['refused']} | {found['same']} | {found['other']} |")
    lines.append(f"| all | {sum(total.values())} | {total['refused']} | {total['same']} | {total['other']} |")
    return lines


def fuzz():
    lines = ["| fuzzer | executions | edges covered | inputs kept | minutes |", "|---|---:|---:|---:|---:|"]
    total = 0
    for path in sorted((ROOT / "build/fuzz").glob("*.log")):
        name, log = path.stem, path.read_text(errors="replace")
        runs = int(re.findall(r"number_of_executed_units: (\d+)", log)[-1])
        covered, kept = re.findall(r"cov: (\d+) .*?corp: (\d+)", log)[-1]
        seconds = int(re.findall(r"Done \d+ runs in (\d+) second", log)[-1])
        total += runs
        lines.append(f"| {name} | {runs:,} | {covered} | {kept} | {seconds / 60:.0f} |")
    lines.append(f"| all | {total:,} | | | |")
    return lines


def put(text, marker, lines):
    begin, end = f"<!-- {marker}: tools/security_tables.py -->", f"<!-- end of {marker} -->"
    before, rest = text.split(begin)
    return before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", action="store_true")
    arguments = parser.parse_args()
    text = put(PAGE.read_text(), "hostile files", hostile())
    if arguments.fuzz:
        text = put(text, "fuzzers", fuzz())
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
