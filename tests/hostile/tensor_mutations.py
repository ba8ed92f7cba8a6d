"""Wrong and odd forms of a safetensors file."""
import json
import struct

from json_mutations import encoded, of_text, of_values

NUMBERS = {"NaN": float("nan"), "infinity": float("inf"), "-infinity": float("-inf"), "1e38": 1e38, "-1": -1.0}
CODES = {"F32": "<f", "F64": "<d", "I64": "<q"}


def parts(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def joined(header, body):
    text = header if isinstance(header, bytes) else encoded(header)
    return struct.pack("<Q", len(text)) + text + body


def with_value(data, tensor, place, value):
    header, body = parts(data)
    entry = header[tensor]
    code = CODES[entry["dtype"]]
    begin = entry["data_offsets"][0] + place * struct.calcsize(code)
    return joined(header, body[:begin] + struct.pack(code, value) + body[begin + struct.calcsize(code):])


def of_numbers(data):
    header, _ = parts(data)
    found = []
    for tensor in [name for name in header if name != "__metadata__"][:6]:
        entry = header[tensor]
        if entry["dtype"] == "I64":
            for value in (-1, 2**62, 0):
                found.append((f"{tensor} first {value}", with_value(data, tensor, 0, value)))
            continue
        if entry["dtype"] not in CODES or entry["data_offsets"][0] == entry["data_offsets"][1]:
            continue
        for name, value in NUMBERS.items():
            found.append((f"{tensor} first {name}", with_value(data, tensor, 0, value)))
    return found


def of_structure(data):
    header, body = parts(data)
    names = [name for name in header if name != "__metadata__"]
    first, second = names[0], names[-1]

    def changed(**fields):
        return joined({**header, first: {**header[first], **fields}}, body)

    end = header[second]["data_offsets"][1]
    crowd = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(12_000)}
    found = [
        ("no bytes", b""), ("seven bytes", data[:7]), ("header alone", joined(header, b"")), ("half", data[:len(data) // 2]),
        ("all but the last byte", data[:-1]), ("a byte more", data + b"\0"), ("header of 2^63 bytes", struct.pack("<Q", 2**63) + data[8:]),
        ("header of all bytes", struct.pack("<Q", len(data) - 8) + data[8:]), ("header of a byte more", struct.pack("<Q", len(data) - 7) + data[8:]),
        ("no tensors", joined({}, b"")), ("unknown dtype", changed(dtype="F4")), ("other dtype", changed(dtype="U8")),
        ("dtype F16", changed(dtype="F16")), ("shape [0]", changed(shape=[0])), ("shape []", changed(shape=[])),
        ("shape of 2^62", changed(shape=[2**62, 4])), ("shape negative", changed(shape=[-1, -1])),
        ("shape transposed", changed(shape=header[first]["shape"][::-1])), ("shape with a 1", changed(shape=[1] + header[first]["shape"])),
        ("offsets turned", changed(data_offsets=header[first]["data_offsets"][::-1])), ("offsets behind the end", changed(data_offsets=[end, end + 4])),
        ("offsets overlap", changed(data_offsets=header[second]["data_offsets"])), ("one offset", changed(data_offsets=[0])),
        ("12,000 empty tensors more", joined({**header, **crowd}, body)),
    ]
    for name in names[:10]:
        rest = {key: value for key, value in header.items() if key != name}
        found.append((f"without {name}", joined(rest, body)))
        found.append((f"{name} by another name", joined({**rest, name + "x": header[name]}, body)))
    return found


def all_of(data, most=6):
    header, body = parts(data)
    found = of_structure(data) + of_numbers(data)
    found += [("header: " + name, joined(text, body)) for name, text in of_text(encoded(header))]
    found += [("header: " + name, joined(text, body)) for name, text in of_values(header, most)]
    metadata = header.get("__metadata__", {})
    for key in metadata:
        for name, value in (("missing", None), ("empty", ""), ("text", "x"), ("-1", "-1"), ("10^30", "1" + "0" * 30), ("1.5", "1.5"), ("nan", "nan")):
            more = {k: v for k, v in metadata.items() if k != key or value is not None}
            if value is not None:
                more[key] = value
            found.append((f"metadata {key}: {name}", joined({**header, "__metadata__": more}, body)))
    return found
