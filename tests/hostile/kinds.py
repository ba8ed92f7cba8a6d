"""Every kind of file that the program reads from others, with what is done to it and the command that must cope."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import gguf_mutations
import json_mutations
import tensor_mutations

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests/fixtures/end_to_end/llama"


def json_file(most):
    return lambda data: json_mutations.of_text(data) + json_mutations.of_values(json.loads(data), most) + json_mutations.of_bytes(data, 24)


def json_lines(most):
    """Mutations of the second line, and of the file as a whole."""
    def all_of(data):
        lines = data.splitlines(keepends=True)
        found = [(name, text) for name, text in json_mutations.of_text(data) if name not in ("doubled", "null", "number", "list")]
        for name, text in (json_mutations.of_text(lines[1]) + json_mutations.of_values(json.loads(lines[1]), most)
                           + json_mutations.of_bytes(lines[1].rstrip(), 16)):
            found.append((f"line 2: {name}", lines[0] + text.rstrip(b"\n") + b"\n" + b"".join(lines[2:])))
        return found
    return all_of


class Kind:
    """file: below the working folder; command: what is run there; made: a file or folder of its result, else what it prints."""

    def __init__(self, file, mutations, command, made=None):
        self.file, self.mutations, self.command, self.made = file, mutations, command, made


EVALUATE = ["evaluate", "model", "--task", "task"]
TRAIN = ["train", "model", "--task", "task", "--set", "set.json", "--lr", "1e-3", "--epochs", "400", "--evaluate", "none",
         "--checkpoint-seconds", "0", "--out", "run", "--resume"]
KINDS = {
    "config": Kind("model/config.json", json_file(8), EVALUATE),
    "tokenizer": Kind("model/tokenizer.json", json_file(9), EVALUATE),
    "tokenizer_config": Kind("model/tokenizer_config.json", json_file(8), EVALUATE),
    "weights": Kind("model/model.safetensors", tensor_mutations.all_of, EVALUATE),
    "index": Kind("sharded/model.safetensors.index.json", json_file(8), ["evaluate", "sharded", "--task", "task"]),
    "meta": Kind("task/meta.json", json_file(8), EVALUATE),
    "test rows": Kind("task/test.jsonl", json_lines(6), EVALUATE),
    "train rows": Kind("task/train.jsonl", json_lines(6), ["detect", "model", "--task", "task", "--out", "made.safetensors"], "made.safetensors"),
    "scores": Kind("scores.safetensors", tensor_mutations.all_of, ["select", "scores.safetensors", "--top", "10%", "--out", "made.json"], "made.json"),
    "scores merged": Kind("scores.safetensors", tensor_mutations.all_of, ["merge", "other.safetensors", "scores.safetensors", "--out", "made.safetensors"],
                          "made.safetensors"),
    "set": Kind("set.json", json_file(7), EVALUATE + ["--set", "set.json"]),
    "delta": Kind("delta.safetensors", tensor_mutations.all_of, EVALUATE + ["--delta", "delta.safetensors"]),
    "checkpoint": Kind("run/checkpoint.safetensors", tensor_mutations.all_of, TRAIN, "run/delta.safetensors"),
    "run": Kind("run/run.json", json_file(7), TRAIN, "run/delta.safetensors"),
    "predictions": Kind("own.jsonl", json_lines(7), ["test", "--own", "own.jsonl", "--random", "first.jsonl", "second.jsonl"]),
    "order": Kind("order.json", json_file(8), ["continual", "model", "--order", "order.json", "--method", "seqft", "--epochs", "1", "--limit", "2",
                                                  "--test-limit", "2", "--no-single", "--unseen", "none", "--out", "streams"]),
    "streams": Kind("result.json", json_file(8), ["streams", "result.json"]),
    "gguf": Kind("named.gguf", gguf_mutations.all_of, ["convert", "named.gguf", "--dtype", "float32", "--out", "made"], "made"),
    # Its folder's name holds a hash: prepare() puts it in.
    "stage": Kind("", json_file(8), ["rollback", "model", "--out", "made"], "made/model.safetensors"),
}


def shard(model, out):
    """The model in two files with an index."""
    shutil.copytree(model, out)
    header, body = tensor_mutations.parts((out / "model.safetensors").read_bytes())
    (out / "model.safetensors").unlink()
    names, index = [name for name in header if name != "__metadata__"], {}
    for number, some in enumerate((names[:len(names) // 2], names[len(names) // 2:]), 1):
        file, entries, data = f"model-{number}-of-2.safetensors", {}, b""
        for name in some:
            part = body[slice(*header[name]["data_offsets"])]
            entries[name] = {**header[name], "data_offsets": [len(data), len(data) + len(part)]}
            data += part
            index[name] = file
        (out / file).write_bytes(tensor_mutations.joined(entries, data))
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": len(body)}, "weight_map": index}))


def as_long_everywhere(file):
    """Puts one time and one memory in place of those measured: a byte's number means the same byte in every run."""
    text = re.sub(r'("training_seconds": )[^,]*', r"\g<1>0.00720355", file.read_text())
    file.write_text(re.sub(r'("peak_memory_bytes": )[^,]*', r"\g<1>67567616", text))


def prepare(program, folder):
    """A folder with a sound file of every kind."""
    def run(*command):
        subprocess.run([program, *command, "--quiet", "--threads", "1"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    shutil.copytree(FIXTURE / "model", folder / "model")
    shutil.copytree(FIXTURE / "task", folder / "task")
    shutil.copy(ROOT / "tests/fixtures/gguf/llama.gguf", folder / "named.gguf")
    shard(folder / "model", folder / "sharded")
    run("detect", "model", "--task", "task", "--out", "scores.safetensors")
    run("detect", "model", "--task", "task", "--limit", "3", "--out", "other.safetensors")
    run("select", "scores.safetensors", "--top", "10%", "--out", "set.json")
    run("select", "--random", "2", "--like", "set.json", "--out", "random")
    run("train", "model", "--task", "task", "--set", "set.json", "--lr", "1e-3", "--epochs", "2", "--evaluate", "none", "--out", "trained")
    shutil.copy(folder / "trained/delta.safetensors", folder / "delta.safetensors")
    run(*EVALUATE, "--set", "set.json", "--predictions", "off.jsonl")
    run(*EVALUATE, "--delta", "delta.safetensors", "--predictions", "own.jsonl")
    for number, name in enumerate(("first", "second")):
        run("train", "model", "--task", "task", "--set", f"random/random-{number}.json", "--lr", "1e-3", "--epochs", "2", "--evaluate", "none",
            "--out", name)
        run(*EVALUATE, "--delta", f"{name}/delta.safetensors", "--predictions", f"{name}.jsonl")
        shutil.rmtree(folder / name)
    (folder / "order.json").write_text(json.dumps(
        {"format": "taskneuron.order/1", "name": "one", "tasks": ["task"], "settings": {"*": {"lr": 0.001}, "seqft": {"batch": 4}}}))
    run("continual", "model", "--order", "order.json", "--method", "seqft", "--epochs", "1", "--limit", "2", "--test-limit", "2",
        "--no-single", "--unseen", "none", "--out", "streams")
    shutil.copy(folder / "streams/result.json", folder / "result.json")
    stage = next((folder / "streams/stages").iterdir())
    KINDS["stage"].file = f"stages/{stage.name}/stage.json"
    KINDS["stage"].command += ["--stage", f"stages/{stage.name}"]
    shutil.move(stage.parent, folder / "stages")
    as_long_everywhere(folder / "result.json")
    as_long_everywhere(folder / KINDS["stage"].file)
    shutil.rmtree(folder / "streams")
    while not (folder / "run/checkpoint.safetensors").exists() or (folder / "run/delta.safetensors").exists():
        shutil.rmtree(folder / "run", ignore_errors=True)
        process = subprocess.Popen([program, *TRAIN, "--quiet", "--threads", "1"], cwd=folder, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (folder / "run/checkpoint.safetensors").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
