#!/usr/bin/env python3
"""Runs the examples of docs/formats and docs/concepts.md: docs.py PROGRAM

A fenced block right under a line <!-- file: PATH --> is written to PATH; in a ```console block every
line that starts with "$ " is run and must succeed, and the lines under it must be among its output.
Each page has an empty folder of its own, with the project's examples/ in it; pages run side by side, one
for each processor, every command on one thread.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w*)\n(.*?)```\n", re.S)


def run_console(text, folder, program, page):
    failures, done, output = [], 0, ""
    for line in text.splitlines():
        if line.startswith("$ "):
            command = re.sub(r"\btaskneuron (?=[a-z])", str(program) + " ", line[2:])
            result = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
            output = result.stdout
            done += 1
            if result.returncode != 0:
                failures.append(f"{page}: {line}\n  exit {result.returncode}: {result.stderr}")
        elif line.strip() and line.strip() not in output:
            failures.append(f"{page}: not printed: {line}\n  but: {output}")
    return done, failures


def run_page(page, program):
    """(commands run, failures) of one page."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_docs_"))
    os.symlink(ROOT / "examples", folder / "examples")
    commands, failures = 0, []
    for path, kind, text in BLOCK.findall(page.read_text()):
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        elif kind == "console":
            done, wrong = run_console(text, folder, program, page.name)
            commands += done
            failures += wrong
    if commands == 0:
        failures.append(f"{page.name}: has no example")
    shutil.rmtree(folder)
    return commands, failures


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    pages = sorted((ROOT / "docs" / "formats").glob("*.md")) + [ROOT / "docs" / "concepts.md"]
    os.environ["OMP_NUM_THREADS"] = "1"
    passed, failures = 0, []
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for commands, wrong in pool.map(lambda page: run_page(page, program), pages):
            passed += commands
            failures += wrong
    for failure in failures:
        print("FAILED " + failure)
    print(f"{passed - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
