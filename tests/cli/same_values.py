#!/usr/bin/env python3
"""Whether a model holds the values of deltas, the first one's where several touch one, and elsewhere those of its base, bit by bit:
same_values.py MODEL BASE DELTA..."""
import json
import os
import struct
import sys


def tensors(path):
    """Name -> (shape, floats or integers), of a safetensors file."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        part, dtype = data[slice(*entry["data_offsets"])], entry["dtype"]
        if dtype == "BF16":
            values = [struct.unpack("<f", b"\0\0" + part[i:i + 2])[0] for i in range(0, len(part), 2)]
        else:
            code = {"F32": "f", "F64": "d", "I64": "q"}[dtype]
            values = list(struct.unpack(f"<{len(part) // struct.calcsize(code)}{code}", part))
        found[name] = (entry["shape"], values)
    return found, header.get("__metadata__", {})


def main(model, base, *deltas):
    wanted, found = tensors(os.path.join(base, "model.safetensors"))[0], tensors(os.path.join(model, "model.safetensors"))[0]
    touched = 0
    for path in reversed(deltas):
        changes, metadata = tensors(path)
        for name in {name.rsplit(".", 1)[0] for name in changes}:
            (rows, columns), values = wanted[name]
            units, new = changes[name + ".units"][1], changes[name + ".value"][1]
            for position, unit in enumerate(units):
                if metadata["axis." + name] == "0":
                    values[unit * columns:(unit + 1) * columns] = new[position * columns:(position + 1) * columns]
                    touched += columns
                else:
                    values[unit::columns] = new[position::len(units)]
                    touched += rows
    for name, (shape, values) in wanted.items():
        if found[name] != (shape, values):
            sys.exit(f"{model}: {name} is not what the stages left")
    print(f"{model}: {touched} values as the stages left them, the others as in the base")


if __name__ == "__main__":
    main(*sys.argv[1:])
