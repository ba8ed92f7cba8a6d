#!/usr/bin/env python3
"""Several processes do what one does: ranks.py PROGRAM

Relevance, evaluations, ablations and trainings of two and three ranks are those of one process within rounding, and two runs of as many ranks give the
same bytes. A rank that is killed ends all within ten seconds, by one message, and what can be resumed goes on to the same bytes. Ranks that see
different files are refused. As root, two network namespaces stand for two hosts."""
import argparse
import hashlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from world import MODEL, ROOT, TASKS, World, free_port

sys.path.insert(0, str(ROOT / "tests/cli"))
from compare import same_numbers, worst

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("program")
arguments = parser.parse_args()
PROGRAM = str(pathlib.Path(arguments.program).resolve())
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="taskneuron_ranks_"))
(FOLDER / "tmp").mkdir()
os.environ["TMPDIR"] = tempfile.tempdir = str(FOLDER / "tmp")
failures, checks = [], 0


def check(what, holds, more=""):
    global checks
    checks += 1
    if not holds:
        failures.append(f"{what}: {more}")
        print(f"FAILED {what}: {more}", flush=True)


def alone(*command):
    run = subprocess.run([PROGRAM, *map(str, command), "--quiet"], capture_output=True, text=True)
    check(f"{command[0]} in one process", run.returncode == 0, run.stderr)
    return run.stdout


def together(*command, size=2, **more):
    codes, out, errors = World([PROGRAM, *map(str, command), "--quiet"], size, **more).end()
    check(f"{command[0]} on {size} ranks", codes == [0] * size, f"{codes} {errors}")
    check(f"{command[0]}: ranks above 0 are silent", not any(out[1:]) and not any(errors), f"{out[1:]} {errors}")
    return out[0]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


SCITAIL, E2E, BABI = (TASKS / name for name in ("scitail", "e2e", "babi"))
EXACT = ("--dtype", "float32")


def scores_and_evaluations():
    detect = ["detect", MODEL, "--task", SCITAIL, "--limit", 40, *EXACT, "--force", "--out"]
    one = FOLDER / "one.safetensors"
    alone(*detect, one)
    for size in (2, 3):
        several = FOLDER / f"ranks-{size}.safetensors"
        together(*detect, several, size=size)
        check(f"relevance of {size} ranks", worst(one, several) < 1e-12, worst(one, several))
        before = digest(several)
        together(*detect, several, size=size)
        check(f"{size} ranks twice", digest(several) == before, "other bytes")
    rows = FOLDER / "rows.jsonl"
    evaluate = ["evaluate", MODEL, "--task", SCITAIL, E2E, "--limit", 24, *EXACT, "--json", "--force", "--predictions", rows]
    first, first_rows = json.loads(alone(*evaluate)), [json.loads(line) for line in rows.read_text().splitlines()]
    second = json.loads(together(*evaluate))
    check("evaluations", not (d := same_numbers(first, second, 1e-5)), d)
    check("predictions", not (d := same_numbers(first_rows, [json.loads(line) for line in rows.read_text().splitlines()], 1e-4)), d)
    own = FOLDER / "babi.safetensors"
    alone("detect", MODEL, "--task", BABI, "--limit", 24, *EXACT, "--out", own)
    ablate = ["ablate", MODEL, "--task", SCITAIL, BABI, "--scores", one, own, "--limit", 10, "--random-seeds", 2, *EXACT, "--json", "--text",
              ROOT / "README.md", "--text-tokens", 600]
    whole = json.loads(alone(*ablate))
    check("ablations", not (d := same_numbers(whole, json.loads(together(*ablate)), 1e-4)), d)
    # Of what one process has kept, half; rank 0 alone looks there.
    kept = FOLDER / "kept"
    alone(*ablate, "--keep", kept)
    for path in sorted(kept.rglob("scitail*.json*"))[::2]:
        path.unlink()
    check("ablations that go on", not (d := same_numbers(whole, json.loads(together(*ablate, "--keep", kept)), 1e-4)), d)
    check("what ranks keep", len(list(kept.rglob("*.json*"))) == 18, sorted(map(str, kept.rglob("*.json*"))))
    fidelity = ["fidelity", MODEL, "--task", SCITAIL, "--limit", 12, "--units", 30, "--audit-examples", 8, "--points", 4, "--orders", 2,
                *EXACT, "--json"]
    check("fidelity", not (d := same_numbers(json.loads(alone(*fidelity)), json.loads(together(*fidelity)), 1e-3)), d)


def train(out, *more):
    return ["train", MODEL, "--task", BABI, "--set", FOLDER / "set.json", "--lr", "1e-3", "--batch", 8, "--limit", 96, "--epochs", 3,
            "--validation-limit", 8, "--checkpoint-seconds", 0, "--resume", *EXACT, "--out", out, *more]


def losses(out):
    return [json.loads(line)["loss"] for line in (out / "train.jsonl").read_text().splitlines()]


def started(out, steps=6):
    """Waits until a run has gone that far."""
    ends = time.time() + 60
    while time.time() < ends and not ((out / "train.jsonl").exists() and len((out / "train.jsonl").read_text().splitlines()) >= steps):
        time.sleep(0.02)


def trainings():
    alone("select", FOLDER / "babi.safetensors", "--top", "10%", "--out", FOLDER / "set.json")
    one, two = FOLDER / "train-one", FOLDER / "train-two"
    alone(*train(one))
    together(*train(two))
    check("losses of a training", not (d := same_numbers(losses(one), losses(two), 1e-4)), d)
    check("what is trained", worst(one / "delta.safetensors", two / "delta.safetensors") < 1e-2,
          worst(one / "delta.safetensors", two / "delta.safetensors"))
    for name, victims, number in (("rank 1", (1,), signal.SIGKILL), ("rank 0", (0,), signal.SIGKILL), ("both", (0, 1), signal.SIGINT),
                                  ("rank 1", (1,), signal.SIGSTOP), ("rank 0", (0,), signal.SIGSTOP)):
        out = FOLDER / f"killed-{name.replace(' ', '-')}-{number.name}"
        world = World([PROGRAM, *map(str, train(out)), "--quiet"])
        started(out)
        killed = time.time()
        for victim in victims:
            world.processes[victim].send_signal(number)
        if number == signal.SIGSTOP:  # the others end, it does not
            for rank, process in enumerate(world.processes):
                if rank not in victims:
                    try:
                        process.wait(60)
                    except subprocess.TimeoutExpired:
                        process.kill()
            ended = time.time()
            for victim in victims:
                world.processes[victim].kill()
        codes, _, errors = world.end(60)
        ended = ended if number == signal.SIGSTOP else time.time()
        took, told = ended - killed, [line for error in errors for line in error.splitlines()]
        check(f"{name} ends all within 10 s", took < 10 and 0 not in codes, f"{took:.1f} s, {codes}")
        if number != signal.SIGINT:
            check(f"{name} {number.name}: one message that names it", len(told) == 1 and f"{name} " in told[0] and "is gone" in told[0], told)
        else:
            check("interrupted: one message that says how to go on", sum("--resume goes on" in line for line in told) == 1, told)
        together(*train(out))
        check(f"{name}: the run goes on to the same bytes", digest(out / "delta.safetensors") == digest(two / "delta.safetensors"), "other bytes")
    # Another number of ranks may go on with a run.
    out = FOLDER / "fewer"
    world = World([PROGRAM, *map(str, train(out)), "--quiet"])
    started(out)
    for process in world.processes:
        process.kill()
    world.end()
    alone(*train(out))
    check("one process goes on with two ranks' run", worst(out / "delta.safetensors", two / "delta.safetensors") < 1e-2, "far off")
    together(*train(FOLDER / "fewer"))  # that a finished run is finished
    left = list(pathlib.Path(tempfile.gettempdir()).glob("taskneuron-rank*"))
    check("nothing is left behind", len(left) <= 3, left)  # but by ranks that SIGKILL left no time


def refusals():
    def one_message(what, commands, *words, **more):
        codes, _, errors = World(commands, **more).end(45)
        told = [line for error in errors for line in error.splitlines()]
        check(f"{what}: refused by one message", 0 not in codes and "hung" not in codes and len(told) == 1 and all(word in told[0] for word in words),
              f"{codes} {told}")

    detect = [PROGRAM, "detect", str(MODEL), "--task", str(SCITAIL), "--limit", "4", "--quiet", "--out", str(FOLDER / "refused.safetensors")]
    other = FOLDER / "scitail"
    shutil.copytree(SCITAIL, other)
    with open(other / "train.jsonl", "a") as file:
        file.write((other / "train.jsonl").read_text().splitlines()[0] + "\n")
    changed = [str(other) if part == str(SCITAIL) else part for part in detect]
    one_message("another file", [detect, changed], "rank 1", "train.jsonl")
    one_message("no such task", [part + "x" if part == str(SCITAIL) else part for part in detect], "no such task folder")
    one_message("no such task on rank 1", [detect, [part + "x" if part == str(SCITAIL) else part for part in detect]], "no such task folder")
    one_message("what exists already", [part.replace("refused", "one") for part in detect], "exists already")
    for name, value, word in (("RANK", "two", "RANK='two'"), ("RANK", "7", "no rank of WORLD_SIZE"), ("MASTER_PORT", "port", "MASTER_PORT")):
        run = subprocess.run(detect, capture_output=True, text=True, env={**os.environ, "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", name: value})
        check(f"{name}={value}", run.returncode == 1 and word in run.stderr, run.stderr)
    for host in ("192.0.2.1", "127.0.0.1", "no-such-host.invalid"):  # nobody answers, nothing listens, no such name
        began = time.time()
        run = subprocess.run(detect, capture_output=True, text=True, env={**os.environ, "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": host, "MASTER_PORT": str(free_port())})
        took = time.time() - began
        check(f"rank 0's host is {host}", run.returncode == 1 and f"{host}:" in run.stderr and took < 30, f"{took:.0f} s, {run.stderr}")
    began = time.time()
    run = subprocess.run(detect, capture_output=True, text=True, env={**os.environ, "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())})
    check("rank 1 does not come", run.returncode == 1 and "rank 1 did not come" in run.stderr and time.time() - began < 30, run.stderr)
    one_message("other options", [detect, [*detect, "--aggregate", "dataset"]], "rank 1", "command line")
    relabelled = FOLDER / "relabelled"
    shutil.copytree(SCITAIL, relabelled)
    for name in ("meta.json", "test.jsonl"):
        (relabelled / name).write_text((SCITAIL / name).read_text().replace("neutral", "neither"))
    one_message("other labels", [[PROGRAM, "evaluate", str(MODEL), "--task", str(task), "--limit", "4", "--quiet"] for task in (SCITAIL, relabelled)],
                "rank 1", "labels")
    split = FOLDER / "tokenized"
    shutil.copytree(MODEL, split, copy_function=os.link)
    (split / "tokenizer.json").unlink()
    tokenizer = json.loads((MODEL / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (split / "tokenizer.json").write_text(json.dumps(tokenizer))
    one_message("another tokenizer", [detect, [str(split) if part == str(MODEL) else part for part in detect]], "rank 1", "tokens")
    damaged = FOLDER / "damaged"
    shutil.copytree(MODEL, damaged)
    weights = damaged / "model.safetensors"
    data = bytearray(weights.read_bytes())
    header = int.from_bytes(data[:8], "little")
    largest = max((entry["data_offsets"] for name, entry in json.loads(data[8:8 + header]).items() if name != "__metadata__"), key=lambda ends: ends[1] - ends[0])
    data[8 + header + largest[0] + (1 << 20) + 10] ^= 1  # of what is sampled, inside a tensor
    weights.write_bytes(data)
    one_message("a damaged copy of the weights", [detect, [str(damaged) if part == str(MODEL) else part for part in detect]], "rank 1", "model")
    own = FOLDER / "other.json"
    own.write_text((FOLDER / "set.json").read_text().replace('"task"', '"tasc"', 1))
    command = [PROGRAM, *map(str, train(FOLDER / "refused")), "--quiet"]
    one_message("another set", [command, [str(own) if part == str(FOLDER / "set.json") else part for part in command]], "rank 1")
    three = [detect, detect, [part + "x" if part == str(SCITAIL) else part for part in detect]]
    one_message("no such task on rank 2 of 3", three, "no such task folder", size=3)
    # What does not share its work is done once.
    codes, out, _ = World([PROGRAM, "inspect", str(MODEL), "--json"]).end()
    check("inspect runs once", codes == [0, 0] and json.loads(out[0]) and not out[1], out)


def namespaces():
    """Two network namespaces, joined by a cable, as two hosts."""
    hosts = [f"tn{os.getpid()}{side}" for side in "ab"]
    commands = [["ip", "netns", "add", hosts[0]], ["ip", "netns", "add", hosts[1]],
                ["ip", "link", "add", "tna", "netns", hosts[0], "type", "veth", "peer", "name", "tnb", "netns", hosts[1]]]
    for host, device, address in ((hosts[0], "tna", "10.99.7.1/24"), (hosts[1], "tnb", "10.99.7.2/24")):
        inside = ["ip", "netns", "exec", host, "ip"]
        commands += [[*inside, "addr", "add", address, "dev", device], [*inside, "link", "set", device, "up"], [*inside, "link", "set", "lo", "up"]]
    try:
        for command in commands:
            if not shutil.which("ip") or subprocess.run(command, capture_output=True).returncode != 0:
                print(f"skipped: two hosts ({' '.join(command)} does not work here)")
                return
        out = FOLDER / "hosts.safetensors"
        prefixes = [["ip", "netns", "exec", host] for host in hosts]
        together("detect", MODEL, "--task", SCITAIL, "--limit", 40, *EXACT, "--out", out, host="10.99.7.1", prefixes=prefixes)
        check("relevance of two hosts", digest(out) == digest(FOLDER / "ranks-2.safetensors"), "other bytes")
        # Rank 1 reaches rank 0's port and nothing else of it: Gloo's connections never come.
        wall = ["ip", "netns", "exec", hosts[0], "iptables", "-A", "INPUT", "-p", "tcp", "!", "--dport", "29611", "-m", "state", "--state", "NEW", "-j", "DROP"]
        other = ["ip", "netns", "exec", hosts[1], "iptables", "-A", "INPUT", "-p", "tcp", "-m", "state", "--state", "NEW", "-j", "DROP"]
        if not shutil.which("iptables") or any(subprocess.run(command, capture_output=True).returncode for command in (wall, other)):
            print("skipped: hosts that reach each other at one port alone (iptables does not work here)")
            return
        began = time.time()
        codes, _, errors = World([PROGRAM, "detect", str(MODEL), "--task", str(SCITAIL), "--limit", "4", "--quiet", "--out", str(FOLDER / "walled.safetensors")],
                                 host="10.99.7.1", prefixes=prefixes, port=29611).end(60)
        told = [line for error in errors for line in error.splitlines()]
        check("ranks that cannot connect: one message that says where they are", codes == [1, 1] and len(told) == 1 and "10.99.7.2" in told[0] and
              time.time() - began < 35, f"{time.time() - began:.0f} s {codes} {told}")
    finally:
        for host in hosts if shutil.which("ip") else ():
            subprocess.run(["ip", "netns", "del", host], capture_output=True)


try:
    for part in (scores_and_evaluations, trainings, refusals, namespaces):
        began = time.time()
        part()
        print(f"{part.__name__.replace('_', ' ')}: {time.time() - began:.0f} s", flush=True)
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
print(f"{checks - len(failures)} of {checks} passed")
sys.exit(1 if failures else 0)
