#!/usr/bin/env python3
"""Runs the study of question 2 on a few rows of four tasks, twice: question2.py PROGRAM

What is checked is that every stage runs, that a second start has nothing left to do, that a stage
whose result is gone runs again to the same bytes, and that the page holds every section and figure.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = ("## What agrees with the paper", "## The share of units that are trained", "### Across types", "## Trained overlap",
            "## Overlap of tasks", "## Similarity of parameters", "## Does it go with performance?", "## Forecast",
            "### Switched off: are they needed?", "### Are they specific?", "### Trained: do they learn more?", "## Settings",
            "## Commands")
FIGURES = ("classification-together-specialization", "generation-alone-generalization", "overlap", "matrix")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_study_"))
    page = folder / "question2.md"
    command = [sys.executable, str(ROOT / "studies/question2.py"), str(program), str(ROOT / "examples/models/mini"),
               str(ROOT / "examples/tasks"), "--work", str(folder / "work"), "--quick", "--docs", str(page)]

    def run():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    first, second, failures = run(), run(), []
    if "sweeps/generation.run" not in first or "kinds/test-private" not in first:
        failures.append(f"a stage is missing:\n{first}")
    if "] " in second:
        failures.append(f"the second start ran stages again:\n{second}")
    weights = folder / "work/models/babi/model.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(weights.parent)
    run()
    if weights.read_bytes() != before:
        failures.append("a training that ran again gave other weights")
    text = page.read_text()
    failures += [f"the page lacks {section}" for section in SECTIONS if section not in text]
    failures += [f"the page holds {wrong}" for wrong in ("nan", "None", "inf ") if wrong in text]
    failures += [f"figure {name} is missing" for name in FIGURES if not (folder / f"question2-{name}.svg").exists()]
    shutil.rmtree(folder)
    for failure in failures:
        print("FAILED " + failure)
    print("passed" if not failures else f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
