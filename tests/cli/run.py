#!/usr/bin/env python3
"""Runs the command-line tests: run.py PROGRAM [CASE...]

A case file holds commands and what they must do, as data:

    $ command line            {model} {tasks} {fixtures} {out} {program} are replaced
    exit 1                    the exit code (0 if not stated)
    out: text                 a line of standard output must match this regular expression
    err: text                 the same for standard error
    absent: path              nothing may exist there afterwards
    exists: path              a file must
    let NAME = text           {NAME} in the lines below stands for the text, which may hold names itself

Commands run in an empty folder of the case's own ({out}), one after another. Case files know nothing of
each other and run side by side, one for each processor, every command on one thread.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def fill(text, names):
    for name, value in names.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def bind(line, bound, where):
    """Adds the name of a `let` line to those that the case has bound."""
    name, equals, text = line[4:].partition(" = ")
    if not equals or not name.isidentifier():
        raise SystemExit(f"{where}: not understood: {line}; write: let NAME = text")
    if name in bound or name in names_of("", ""):
        raise SystemExit(f"{where}: {name} has a value already")
    bound[name] = fill(text, bound)


def parse(path):
    commands, bound = [], {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("let "):
            bind(line, bound, f"{path}:{number}")
            continue
        line = fill(line, bound)
        if line.startswith("$ "):
            commands.append({"line": number, "command": line[2:], "exit": 0, "checks": []})
        elif line.startswith("exit "):
            commands[-1]["exit"] = int(line[5:])
        else:
            kind, _, text = line.partition(": ")
            if kind not in ("out", "err", "absent", "exists"):
                raise SystemExit(f"{path}:{number}: not understood: {line}")
            commands[-1]["checks"].append((kind, text))
    return commands


def failures_of(entry, names):
    done = subprocess.run(fill(entry["command"], names), shell=True, cwd=names["out"], text=True,
                          capture_output=True, executable="/bin/bash")
    found = []
    if done.returncode != entry["exit"]:
        found.append(f"exit code {done.returncode}, expected {entry['exit']}")
    if entry["exit"] in (1, 2) and len(done.stderr.strip().splitlines()) != 1:
        found.append("an error must be one line on standard error")
    for kind, text in entry["checks"]:
        text = fill(text, names)
        if kind in ("out", "err"):
            stream = done.stdout if kind == "out" else done.stderr
            if not re.search(text, stream, re.M):
                found.append(f"{kind} does not match: {text}")
        elif (names["out"] / pathlib.Path(text)).exists() != (kind == "exists"):
            found.append(f"{kind}: {text}")
    if found:
        found.append("stdout: " + done.stdout[-1500:])
        found.append("stderr: " + done.stderr[-1500:])
    return found


def names_of(program, out):
    """What {model} and its like stand for, in every case."""
    return {"program": program, "out": out, "model": ROOT / "examples/models/mini", "tasks": ROOT / "examples/tasks",
            "fixtures": ROOT / "tests/fixtures", "taskneuron": program}


def run_case(case, program):
    """(commands passed, commands failed, report) of one case file."""
    out = tempfile.mkdtemp(prefix="taskneuron_cli_")
    names = names_of(program, out)
    began, passed, report = time.monotonic(), 0, []
    entries = parse(case)
    for entry in entries:
        problems = failures_of(entry, names)
        if problems:
            report.append(f"FAILED {case.name}:{entry['line']}: {entry['command']}")
            report += ["  " + problem for problem in problems]
        else:
            passed += 1
    shutil.rmtree(out)
    report.append(f"{case.name}: {passed} of {len(entries)} passed in {time.monotonic() - began:.0f} s")
    return passed, len(entries) - passed, report


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    folder = pathlib.Path(__file__).parent / "cases"
    cases = [pathlib.Path(p) for p in sys.argv[2:]] or sorted(folder.glob("*.case"))
    cases.sort(key=lambda case: -case.stat().st_size)  # long ones first, so that none is left for the end
    os.environ["OMP_NUM_THREADS"] = "1"
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for good, bad, report in pool.map(lambda case: run_case(case, program), cases):
            passed += good
            failed += bad
            print("\n".join(report), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
