#!/usr/bin/env python3
"""Runs the study of question 1 on a few rows of two tasks, twice: question1.py PROGRAM

What is checked is that every stage runs, that a second start has nothing left to do, that a stage
whose result is gone runs again to the same bytes, and that the page holds every section.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_study_"))
    (folder / "tasks").mkdir()
    for task in ("babi", "e2e"):
        os.symlink(ROOT / "examples/tasks" / task, folder / "tasks" / task)
    page = folder / "question1.md"
    command = [sys.executable, str(ROOT / "studies/question1.py"), str(program), str(ROOT / "examples/models/mini"),
               str(folder / "tasks"), "--work", str(folder / "work"), "--text", str(ROOT / "README.md"), "--quick",
               "--docs", str(page)]
    first = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    second = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    failures = []
    if "ablated/main-classification" not in first or "tested/counted-matched" not in first:
        failures.append(f"a stage is missing:\n{first}")
    if "] " in second:
        failures.append(f"the second start ran stages again:\n{second}")
    delta = folder / "work/trained/babi-own-seed1/delta.safetensors"
    before = delta.read_bytes()
    shutil.rmtree(delta.parent)
    subprocess.run(command, check=True, capture_output=True)
    if delta.read_bytes() != before:
        failures.append("a training that ran again gave other weights")
    text = page.read_text()
    for section in ("## What agrees with the paper", "## Which tasks count", "## Settings", "## Units off", "### Side effect",
                    "### Dose", "aggregate, scope, site", "## Units trained", "## Commands", "at its mean over unrelated text"):
        if section not in text:
            failures.append(f"the page lacks {section}")
    for name in ("off-value", "off-loss", "trained-value", "trained-loss"):
        if not (folder / f"question1-{name}.svg").exists():
            failures.append(f"figure {name} is missing")
    shutil.rmtree(folder)
    for failure in failures:
        print("FAILED " + failure)
    print("passed" if not failures else f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
