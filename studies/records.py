#!/usr/bin/env python3
"""What a study has measured so far, as archives small enough to be kept with the source.

  records.py pack WORK FOLDER     what the stages in WORK printed and the scores of every example, as far as
                                  FOLDER does not hold it yet, into FOLDER/part-N.tar.xz
  records.py unpack FOLDER WORK   back into WORK; files that are there stay

Models, deltas and score files are left out: a stage that still needs one makes it again. (A sweep goes on elsewhere only with
the very scores that it began with; those of the base model stay.) So are the tasks' texts, which belong to others: of an example
its number, scores and losses stay.
"""
import hashlib
import io
import json
import os
import re
import sys
import tarfile

# Below WORK: what commands printed, what was predicted for each example, the settings of trainings.
KEPT = re.compile(r"(prompts|tuned|scores|predicted|ablated|trained|tested|cells|runs|streams|sweeps|models|matrix|similarity|overlap|kinds"
                  r"|correlated|associated|starts)/[^/]+\.jsonl?"
                  r"|(scores|ablated)/[^/]+/[^/]+\.jsonl?|tuned/[^/]+/run\.json|[^/]+\.run\.json|[^/]+\.settings\.json|inspect\.json"
                  r"|sets/([^/]+/)?[^/]+\.run\.json|scores/base/[^/]+\.safetensors|(affinity|measured(-\w+)*|forecast|tables?)\.jsonl?"
                  r"|sweeps/[^/]+/(sweep\.json|tuning/[^/]+\.json|cells/[^/]+/[^/]+\.jsonl?)")


def parts(folder):
    return sorted((os.path.join(folder, name) for name in os.listdir(folder) if re.fullmatch(r"part-\d+\.tar\.xz", name)),
                  key=lambda path: int(re.findall(r"\d+", os.path.basename(path))[0])) if os.path.isdir(folder) else []


def held(folder):
    """What the newest part that has a file holds of it, by name: of the clock of a start, which goes on, its bytes; of others nothing."""
    found = {}
    for path in parts(folder):
        with tarfile.open(path) as archive:
            for entry in archive:
                found[entry.name] = archive.extractfile(entry).read() if entry.name.startswith("starts/") else None
    return found


def without_places(value):
    """The same JSON; of paths from a machine's root the last two parts."""
    if isinstance(value, dict):
        return {without_places(key): without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    if isinstance(value, str) and value.startswith("/"):
        return "/".join(value.split("/")[-2:])
    return value


def kept(path):
    """What is kept of a file, as bytes."""
    if path.endswith(".safetensors"):
        with open(path, "rb") as file:
            return file.read()
    with open(path) as file:
        if path.endswith(".json"):
            value = without_places(json.load(file))
            # A cell of a sweep is known by the bytes of its files.
            for name in value["files"] if os.path.basename(path) == "cell.json" else ():
                value["files"][name] = "sha256:" + hashlib.sha256(kept(os.path.join(os.path.dirname(path), name))).hexdigest()
            return (json.dumps(value, indent=1) + "\n").encode()
        rows = [json.loads(line) for line in file]
    for row in rows:
        row.pop("prediction", None)
        row.pop("reference", None)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pack(work, folder):
    """The archive that was written, None if nothing is new. Equal files give equal bytes."""
    there, new = held(folder), []
    for here, _, files in os.walk(work):
        new += (os.path.relpath(os.path.join(here, name), work) for name in files)
    new = sorted(name for name in new if KEPT.fullmatch(name)
                 and (name not in there or (there[name] is not None and there[name] != kept(os.path.join(work, name)))))
    if not new:
        return None
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, f"part-{len(parts(folder)) + 1}.tar.xz")
    with tarfile.open(target + ".part", "w:xz", preset=9) as archive:
        for name in new:
            data = kept(os.path.join(work, name))
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    os.rename(target + ".part", target)
    return target


def unpack(folder, work):
    """How many files were put into WORK."""
    count = 0
    for path in reversed(parts(folder)):  # the newest of a file that is there twice
        with tarfile.open(path) as archive:
            for entry in archive:
                target = os.path.join(work, entry.name)
                if not entry.isfile() or not KEPT.fullmatch(entry.name) or os.path.exists(target):
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target + ".part", "wb") as file:
                    file.write(archive.extractfile(entry).read())
                os.rename(target + ".part", target)
                count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    print({"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:]))
