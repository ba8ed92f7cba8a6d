#!/usr/bin/env python3
"""What several processes bring, and what to expect of larger models: cluster.py BUILD [--rounds N] [--docs docs/cluster.md]

Two ranks of one thread each against one process of one thread, the same work in turns: what each command says that it took, without start and
loading. Then a model of time, calibrated on one shape and held against another, and the program's own plan of memory, for shapes of 7, 13 and 70
billion parameters: estimates, not measurements. Run it on an idle machine.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile

import shapes
from page import between, replace, table
from run import processor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINI, TASK = (os.path.join(ROOT, "examples", *path) for path in (("models", "mini"), ("tasks", "scitail")))
# The published shapes; their weights are files of holes, for only their headers are read.
LARGE = {"7B": ("llama-7B", {}),
         "13B": ("llama-7B", {"num_hidden_layers": 40, "hidden_size": 5120, "intermediate_size": 13824, "num_attention_heads": 40,
                              "num_key_value_heads": 40}),
         "70B": ("llama-7B", {"num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64,
                              "num_key_value_heads": 8})}
TOKENS, ANSWER = 256, 8  # of an example that times are stated for


class Runs:
    def __init__(self, build):
        self.program, self.folder = os.path.join(os.path.abspath(build), "taskneuron"), tempfile.mkdtemp(prefix="taskneuron_cluster_")

    def once(self, command, ranks=1):
        """Seconds that the command says its work took, and tokens."""
        out = os.path.join(self.folder, "out")
        shutil.rmtree(out, ignore_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started = []
        for rank in range(ranks):
            world = {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
                     "MASTER_PORT": str(port)} if ranks > 1 else {}
            started.append(subprocess.Popen([self.program, *command, "--out", os.path.join(out, "made"), "--threads", "1", "--json", "--quiet"],
                                            env={**os.environ, **world}, stdout=subprocess.PIPE, text=True))
        printed = [process.communicate()[0] for process in started]
        if any(process.returncode for process in started):
            raise SystemExit(f"{' '.join(command)} failed")
        answer = json.loads(printed[0])
        return answer["seconds"], answer["tokens"]

    def model(self, name, shape, **more):
        folder = os.path.join(self.folder, name)
        shapes.write_model(shape, folder, **more)
        return folder

    def inspect(self, folder):
        return json.loads(subprocess.run([self.program, "inspect", folder, "--json"], stdout=subprocess.PIPE, check=True, text=True).stdout)


def linear(runs, rounds):
    """{command: (median ratio of speeds, least, most)}: two ranks to one process."""
    scores = os.path.join(runs.folder, "scores.safetensors")
    subprocess.run([runs.program, "detect", MINI, "--task", TASK, "--limit", "100", "--out", scores, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    chosen = os.path.join(runs.folder, "set.json")
    subprocess.run([runs.program, "select", scores, "--top", "10%", "--out", chosen], check=True, stdout=subprocess.DEVNULL)
    commands = {"detect": ["detect", MINI, "--task", TASK],
                "train, 10% of the units": ["train", MINI, "--task", TASK, "--set", chosen, "--lr", "1e-3", "--batch", "32", "--epochs", "4",
                                            "--evaluate", "none"]}
    found = {}
    for name, command in commands.items():
        ratios = []
        for number in range(rounds):
            # Neither is always the one on the warmer machine.
            took = {ranks: runs.once(command, ranks)[0] for ranks in ((1, 2) if number % 2 == 0 else (2, 1))}
            one, two = took[1], took[2]
            ratios.append(one / two)
            print(f"{name}: {one:.1f} s, {two:.1f} s on two ranks, {ratios[-1]:.2f} times as fast", flush=True)
        found[name] = (statistics.median(ratios), min(ratios), max(ratios))
    return found


def products(facts):
    """Parameters of the matrices that every token is multiplied with, and those of FFNs among them."""
    d, f, layers = facts["hidden"], facts["ffn_width"], facts["layers"]
    heads = d // facts["heads"]
    attention = d * heads * (2 * facts["heads"] + 2 * facts["kv_heads"])
    ffn = (3 if facts["gated"] else 2) * d * f
    return layers * (attention + ffn), layers * ffn


def work(facts, tokens, trained=0.0):
    """Multiplications and additions of a token: forward, backward to the units, gradients of a share of them; attention over half of the others
    on average; logits of an answer's share."""
    matrices, ffn = products(facts)
    attention = facts["layers"] * 4 * facts["hidden"] * tokens / 2 * 3
    head = 4 * facts["vocabulary"] * facts["hidden"] * ANSWER / tokens
    return 4 * matrices + 2 * trained * ffn + attention + head


def calibrate(runs, rounds):
    """Operations per second of one thread in detect on one shape, and how far the other's measured time is from what that foretells."""
    found = {}
    for shape, rows in (("gpt2-124M", 64), ("llama-1.1B", 8)):
        model, task = runs.model(shape, shape), os.path.join(runs.folder, "task")
        shapes.write_task(task, 64, TOKENS - ANSWER, TOKENS - ANSWER, ANSWER)
        speeds = []
        for _ in range(rounds):
            seconds, tokens = runs.once(["detect", model, "--task", task, "--limit", str(rows)])
            speeds.append(tokens / seconds)
        found[shape] = statistics.median(speeds) * work(runs.inspect(model), TOKENS)
        print(f"{shape}: {statistics.median(speeds):.0f} tokens/s, {found[shape] / 1e9:.0f} GFLOP/s", flush=True)
    first, second = found.values()
    return second, first / second - 1


def size(count):
    return f"{count / 2 ** 30:.1f} GiB"


def expected(runs, rate):
    rows = []
    for name, (shape, changes) in LARGE.items():
        facts = runs.inspect(runs.model(name, shape, changes=changes, write=shapes.write_holes))
        memory, trained = facts["memory_bytes"], 0.1 * products(facts)[1]
        # Matrices that hold trained units are copied out of the mapped file.
        rows.append([name, size(facts["weight_bytes"]), size(memory["detect"]), size(memory["detect_recomputing"]),
                     size(16 * trained + 2 * products(facts)[1]),
                     f"{rate / work(facts, TOKENS) * 60:.0f}", f"{rate / work(facts, TOKENS, 0.1) * 60:.0f}",
                     f"{1e6 * work(facts, TOKENS) / rate / 3600 / 64:.1f} h"])
    return table(["shape", "weights, mapped", "detect, beside them", "with layers run twice", "train 10%: FFN matrices, gradients, masters, moments",
                  "detect, tokens a minute and core", "train 10%, the same", "detect, a million tokens on 64 cores"], rows)


def write(path, parts):
    with open(path) as file:
        text = file.read()
    for name, lines in parts.items():
        text = between(text, f"<!-- {name} -->\n", "<!-- end -->", "\n".join(["", *lines, "", ""]))
    replace(path, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", help="page whose tables are replaced")
    arguments = parser.parse_args()
    runs = Runs(arguments.build)
    try:
        found = linear(runs, arguments.rounds)
        speedups = [f"{arguments.rounds} rounds on {processor()}, bfloat16."] + [""] + table(
            ["two ranks against one process, one thread each", "times as fast", "range"],
            [[name, f"{middle:.2f}", f"{least:.2f} to {most:.2f}"] for name, (middle, least, most) in found.items()])
        rate, off = calibrate(runs, arguments.rounds)
        lines = [f"Calibrated on the llama-1.1B shape on {processor()}: {rate / 1e9:.0f} GFLOP/s a core in detect, examples of {TOKENS} tokens. The gpt2-124M shape "
                 f"ran {abs(off):.0%} {'faster' if off > 0 else 'slower'} than this foretells.", ""] + expected(runs, rate)
        print("\n".join(speedups + lines))
    finally:
        shutil.rmtree(runs.folder, ignore_errors=True)
    if arguments.docs:
        write(arguments.docs, {"ranks": speedups, "expected": lines})


if __name__ == "__main__":
    main()
