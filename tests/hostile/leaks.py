#!/usr/bin/env python3
"""No command loses memory: leaks.py PROGRAM

Runs the commands of tests/hostile on its sound files, and on four broken ones of each kind, under LeakSanitizer (g++'s liblsan, put before the
other libraries), whose findings end a program with 23. Exit 77 where there is no liblsan."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from json_mutations import spread
from kinds import KINDS, prepare

FOUND = 23


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    library = subprocess.run(["g++", "-print-file-name=liblsan.so"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(library):
        print("SKIPPED: no liblsan beside g++")
        sys.exit(77)
    os.environ.update(LD_PRELOAD=library, LSAN_OPTIONS=f"exitcode={FOUND}")
    failures, runs = [], 0
    with tempfile.TemporaryDirectory(prefix="taskneuron_leaks_") as place:
        base = pathlib.Path(place) / "base"
        base.mkdir()
        prepare(program, base)  # fails where a command that makes a file loses memory
        for name, kind in KINDS.items():
            broken = spread(kind.mutations((base / kind.file).read_bytes()), 4)
            for data in [None] + [data for _, data in broken]:
                folder = pathlib.Path(place) / "w"
                shutil.copytree(base, folder)
                if data is not None:
                    (folder / kind.file).write_bytes(data)
                run = subprocess.run([program, *kind.command, "--quiet", "--threads", "2"], cwd=folder, capture_output=True, text=True)
                runs += 1
                if run.returncode == FOUND or "LeakSanitizer" in run.stderr:
                    failures.append(f"{name}, {'sound' if data is None else 'broken'}: {run.stderr[-2000:]}")
                shutil.rmtree(folder)
    for failure in failures:
        print("FAILED " + failure)
    print(f"{runs} commands, {len(failures)} lose memory")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
