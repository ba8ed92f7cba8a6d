#!/usr/bin/env python3
"""Wrong and odd files of every kind against the real commands: hostile.py PROGRAM [--kind KIND...] [--sample N] [--only TEXT] [--update]

Each is refused, with one line that names the file and holds no library's words, or it is accepted. What is right for each
stands in expected.tsv: `refused`, `same` (nothing of what is printed or made changes) or `other` (it means
something else, and is a sound file: another learning rate, another label). No answer may take longer than three times what
the sound file takes and 2 s, or 1 GiB more. --update writes what was found to expected.tsv, for review."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from kinds import KINDS, prepare

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.tsv"
LIBRARY_WORDS = re.compile(r"json\.exception|std::|c10::|LibTorch|at::|vector::|basic_string|internal error|filesystem error|stod|stoi|bad_alloc|map::at|"
                           r"expected scalar|invalid_argument|out_of_range|terminate|regex_error|UnicodeDecode")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What differs between equal runs, or is of the file itself and not of its meaning.
UNEQUAL = re.compile(r"seconds|per_second|hash|memory|version|fingerprint|^files$")
MORE_BYTES, TIMEOUT, ADDRESSES = 1 << 30, 30, 6 << 30


def without_unequal(value):
    if isinstance(value, dict):
        return {key: without_unequal(one) for key, one in value.items() if not UNEQUAL.search(key)}
    return [without_unequal(one) for one in value] if isinstance(value, list) else value


def meaning(kind, folder, printed):
    """What a command printed or made, as far as equal files give equal bytes."""
    if kind.made is None:
        return json.dumps(without_unequal(json.loads(printed)))
    if (folder / kind.made).is_dir():
        return [meaning_of(file) for file in sorted((folder / kind.made).iterdir())]
    return meaning_of(folder / kind.made)


def meaning_of(file):
    data = file.read_bytes()
    if file.suffix == ".json":
        return json.dumps(without_unequal(json.loads(data)))
    return data[8 + int.from_bytes(data[:8], "little"):]  # of tensors the values alone


class Run:
    def __init__(self, program, kind, folder):
        flags = [] if kind.command[0] in ("continual", "convert", "train", "streams", "rollback", "test") else ["--force"] if "--out" in kind.command else []
        command = [program, *kind.command, *flags, "--json", "--quiet", "--threads", "1"]
        begun = time.time()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err,
                                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES)))
            timer = threading.Timer(TIMEOUT, process.kill)
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = self.code = os.waitstatus_to_exitcode(status)
            self.seconds, self.bytes = time.time() - begun, usage.ru_maxrss * 1024
            out.seek(0), err.seek(0)
            self.out, self.err = out.read(), err.read()


def answer(program, kind, base, mutate, sound, more_seconds):
    """(answer, what is wrong) of one mutation."""
    with tempfile.TemporaryDirectory(prefix="taskneuron_hostile_") as place:
        folder = pathlib.Path(place) / "w"
        shutil.copytree(base, folder)
        mutate(folder / kind.file)
        run = Run(program, kind, folder)
        wrong = []
        if run.seconds > 3 * sound.seconds + more_seconds:
            wrong.append(f"takes {run.seconds:.1f} s")
        if run.bytes > sound.bytes + MORE_BYTES:
            wrong.append(f"holds {run.bytes >> 20} MiB")
        if run.code == 0:
            try:
                return ("same" if meaning(kind, folder, run.out) == sound.meaning else "other"), wrong
            except (ValueError, OSError) as error:
                return "accepted", wrong + [f"made nothing that can be read: {error}"]
        text = run.err.decode(errors="replace").strip()
        if run.code not in (1, 2):
            wrong.append(f"ends with {run.code}: {text[-200:]}")
        elif len(text.splitlines()) != 1 or not text.startswith("error: "):
            wrong.append(f"says {text[-300:]!r}")
        else:
            named = kind.file.split("/")
            if not any(part.split(".")[0] in text for part in named):
                wrong.append(f"names no file: {text[:300]}")
            if CONTROLS.search(text):
                wrong.append(f"holds control characters: {text!r:.300}")
            if LIBRARY_WORDS.search(text):
                wrong.append(f"library words: {text[:300]}")
        return "refused", wrong


def others(path):
    """What stands in a file's place, and is none."""
    def put(make):
        def mutate(file):
            file.unlink()
            make(file)
        return mutate
    return [("a folder", put(lambda f: f.mkdir())), ("a FIFO", put(lambda f: os.mkfifo(f))), ("/dev/zero", put(lambda f: f.symlink_to("/dev/zero"))),
            ("a link to itself", put(lambda f: f.symlink_to(f))), ("nothing", put(lambda f: None)),
            ("a sparse gigabyte", put(lambda f: os.truncate(os.open(f, os.O_CREAT | os.O_WRONLY), 1 << 30)))]


def mutations(kind, base):
    written = [(name, lambda file, data=data: file.write_bytes(data)) for name, data in kind.mutations((base / kind.file).read_bytes())]
    return written + others(kind.file)


def read_expected():
    if not EXPECTED.exists():
        return {}
    rows = [line.rstrip("\n").split("\t") for line in EXPECTED.open()]
    return {(kind, name): found for kind, name, found in rows}


def write_expected(rows):
    with EXPECTED.open("w") as file:
        for (kind, mutation), said in sorted(rows.items()):
            file.write(f"{kind}\t{mutation}\t{said}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--sample", type=int, default=0, help="so many of each kind, evenly; 0: all")
    parser.add_argument("--only", default="", help="those whose name holds this text")
    parser.add_argument("--more-seconds", type=float, default=2, help="that a wrong file may take; more where other work runs beside it")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    program, place = str(pathlib.Path(arguments.program).resolve()), tempfile.mkdtemp(prefix="taskneuron_hostile_")
    base = pathlib.Path(place) / "base"
    base.mkdir()
    prepare(program, base)
    expected, found, failures = read_expected(), {}, []
    counts = collections.defaultdict(collections.Counter)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for name in arguments.kind:
            kind = KINDS[name]
            with tempfile.TemporaryDirectory() as copy:
                folder = pathlib.Path(copy) / "w"
                shutil.copytree(base, folder)
                sound = Run(program, kind, folder)
                if sound.code != 0:
                    sys.exit(f"{name}: the sound file is refused: {sound.err.decode()}")
                sound.meaning = meaning(kind, folder, sound.out)
            cases = [case for case in mutations(kind, base) if arguments.only in case[0]]
            if arguments.sample:
                cases = cases[::max(1, len(cases) // arguments.sample)]
            answers = pool.map(lambda case: answer(program, kind, base, case[1], sound, arguments.more_seconds), cases)
            for (mutation, _), (said, wrong) in zip(cases, answers):
                found[name, mutation] = said
                counts[name][said] += 1
                wanted = expected.get((name, mutation))
                if not arguments.update and wanted != said:
                    wrong = wrong + [f"is {said}; expected: {wanted or 'nothing yet'}"]
                failures += [f"{name}: {mutation}: {one}" for one in wrong]
            print(f"{name:<18}" + ", ".join(f"{count} {said}" for said, count in sorted(counts[name].items())), flush=True)
            for failure in failures:
                if failure.startswith(name + ": "):
                    print("FAILED " + failure, flush=True)
            if arguments.update:
                whole = not arguments.only and not arguments.sample
                write_expected({**{key: said for key, said in expected.items() if key[0] != name or not whole}, **found})
                expected = read_expected()
    shutil.rmtree(place)
    print(f"{len(found)} files, {len(failures)} wrong")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
