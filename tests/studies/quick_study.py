"""Runs a study's quick form: every stage runs, a second start has nothing left to do, a stage whose result is gone runs
again to the same bytes, and the page holds every section and figure."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(name, tasks, arguments, stages, remade, sections, figures, served=(), removed=None):
    """tasks: of the examples; stages: some that must have run; remade: a file of a training, below WORK (a pattern), which is
    removed with its folder, or with `removed`; served: those that are made from it, without which the training is not run
    again."""
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_study_"))
    (folder / "tasks").mkdir()
    for task in tasks:
        (folder / "tasks" / task).symlink_to(ROOT / "examples/tasks" / task)
    page = folder / f"{name}.md"
    command = [sys.executable, str(ROOT / f"studies/{name}.py"), str(program), str(ROOT / "examples/models/mini"),
               str(folder / "tasks"), "--work", str(folder / "work"), "--quick", "--docs", str(page), *arguments]

    def run():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    first, second, failures = run(), run(), []
    failures += [f"stage {stage} is missing:\n{first}" for stage in stages if stage not in first]
    if "] " in second:
        failures.append(f"the second start ran stages again:\n{second}")
    result = next((folder / "work").glob(remade))
    before = result.read_bytes()
    shutil.rmtree(folder / "work" / removed if removed else result.parent)
    for path in served:
        (folder / "work" / path).unlink()
    run()
    if result.read_bytes() != before:
        failures.append("a training that ran again gave other weights")
    text = page.read_text()
    failures += [f"the page lacks {section}" for section in sections if section not in text]
    failures += [f"the page holds {wrong}" for wrong in (" nan", "None", " inf") if wrong in text]
    failures += [f"figure {figure} is missing" for figure in figures if not (folder / f"{name}-{figure}.svg").exists()]
    shutil.rmtree(folder)
    for failure in failures:
        print("FAILED " + failure)
    print("passed" if not failures else f"{len(failures)} failed")
    sys.exit(1 if failures else 0)
