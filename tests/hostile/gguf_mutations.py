"""Wrong and odd forms of a GGUF file (version 3, little-endian)."""
import struct

# Codes of the format's types of values, and how a number of one is packed.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
ODD_NUMBERS = {"I": (0, 1, 2**31, 2**32 - 1), "i": (0, -1, 2**31 - 1), "f": (float("nan"), float("inf"), -1.0, 0.0, 1e38), "Q": (0, 2**63), "?": (False,)}
ODD_TEXTS = {"empty": b"", "other": b"x", "zero byte": b"a\0b", "no UTF-8": b"a\xff", "long": b"a" * 100_000, "control characters": b"\x1b[2J"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            inner, count = self.number("I"), self.number("Q")
            return inner, [self.value(inner) for _ in range(count)]
        return self.number(NUMBERS[kind])


def parts(data):
    """{key: (type, value)}, {tensor: (shape, type, offset)} and what follows them, padding skipped."""
    reader = Reader(data)
    reader.at = 8
    tensors, keys = reader.number("Q"), reader.number("Q")
    metadata, infos = {}, {}
    for _ in range(keys):
        key, kind = reader.text(), reader.number("I")
        metadata[key] = kind, reader.value(kind)
    for _ in range(tensors):
        name = reader.text()
        shape = [reader.number("Q") for _ in range(reader.number("I"))]
        infos[name] = shape, reader.number("I"), reader.number("Q")
    return metadata, infos, data[(reader.at + 31) // 32 * 32:]


def text(value):
    return struct.pack("<Q", len(value)) + value


def packed(kind, value):
    if kind == TEXT:
        return text(value)
    if kind == LIST:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(packed(inner, one) for one in values)
    return struct.pack("<" + NUMBERS[kind], value)


def joined(metadata, infos, body, counts=None, version=3):
    """metadata, infos: pairs in order, so that a key may come twice; counts: what the file says, of tensors and keys."""
    metadata, infos = list(getattr(metadata, "items", lambda: metadata)()), list(getattr(infos, "items", lambda: infos)())
    data = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(infos), len(metadata))))
    for key, (kind, value) in metadata:
        data += text(key) + struct.pack("<I", kind) + packed(kind, value)
    for name, (shape, kind, offset) in infos:
        data += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", size) for size in shape) + struct.pack("<IQ", kind, offset)
    return data + b"\0" * (-len(data) % 32) + body


def of_metadata(metadata, infos, body):
    found = []
    for key, (kind, value) in metadata.items():
        name, rest = key.decode(), {k: v for k, v in metadata.items() if k != key}

        def put(what, new_kind, new):
            found.append((f"{name}: {what}", joined({**metadata, key: (new_kind, new)}, infos, body)))

        found.append((f"without {name}", joined(rest, infos, body)))
        found.append((f"{name} twice", joined([*metadata.items(), (key, (kind, value))], infos, body)))
        if kind == TEXT:
            for what, other in ODD_TEXTS.items():
                put(what, TEXT, other)
            put("a number", 4, 1)
        elif kind == LIST:
            inner, values = value
            put("no list", 4, 1)
            put("empty", LIST, (inner, []))
            put("one fewer", LIST, (inner, values[:-1]))
            put("one more", LIST, (inner, values + values[-1:]))
            put("of other values", LIST, (4, [0] * len(values)) if inner == TEXT else (TEXT, [b"x"] * len(values)))
            put("of a list", LIST, (LIST, [(4, [0])]))
            if inner == TEXT:
                for what, other in ODD_TEXTS.items():
                    put(f"with {what} text", LIST, (inner, values[:5] + [other] + values[6:]))
                put("all the same", LIST, (inner, values[:1] * len(values)))
            else:
                for other in ODD_NUMBERS.get(NUMBERS[inner], ()):
                    put(f"with {other}", LIST, (inner, values[:5] + [other] + values[6:]))
        else:
            put("text", TEXT, b"x")
            for other in ODD_NUMBERS.get(NUMBERS[kind], ()):
                put(str(other), kind, other)
    return found


def of_tensors(metadata, infos, body):
    found, names = [], list(infos)
    for name in names[:3] + names[-3:]:
        shape, kind, offset = infos[name]
        said, rest = name.decode(), {k: v for k, v in infos.items() if k != name}

        def put(what, *info):
            found.append((f"{said} {what}", joined(metadata, {**infos, name: info}, body)))

        found.append((f"without {said}", joined(metadata, rest, body)))
        found.append((f"{said} by another name", joined(metadata, {**rest, name + b"x": infos[name]}, body)))
        found.append((f"{said} twice", joined(metadata, [*infos.items(), (name, infos[name])], body)))
        put("of no dimensions", [], kind, offset)
        put("of five dimensions", shape + [1] * (5 - len(shape)), kind, offset)
        put("of size 0", [0] + shape[1:], kind, offset)
        put("of 2^62 numbers", [2**31, 2**31], kind, offset)
        put("of 2^64 numbers", [2**63, 2], kind, offset)
        put("transposed", shape[::-1], kind, offset)
        put("of half a block", [shape[0] // 2 + 1] + shape[1:], kind, offset)
        put("of an unknown type", shape, 200, offset)
        put("of type Q4_0", shape, 2, offset)
        put("of type F16", shape, 1, offset)
        put("off its alignment", shape, kind, offset + 1)
        put("behind the end", shape, kind, len(body) // 32 * 32)
        put("far behind the end", shape, kind, 2**63)
        put("over the first", shape, kind, 0)
    return found


def of_bytes(data, metadata, infos, body):
    tensors, keys = len(infos), len(metadata)
    header = len(data) - len(body)
    found = [(f"cut at {size}", data[:size]) for size in (0, 3, 4, 7, 8, 16, 23, 24, 40, header // 2, header - 1, header, len(data) // 2, len(data) - 1)]
    found += [(f"version {version}", joined(metadata, infos, body, version=version)) for version in (0, 1, 2, 4, 3 << 24)]
    found += [(f"says {counts[0]} tensors and {counts[1]} keys", joined(metadata, infos, body, counts=counts))
              for counts in ((tensors + 1, keys), (tensors - 1, keys), (0, keys), (tensors, keys + 1), (tensors, keys - 1), (2**63, keys), (tensors, 2**63),
                             (2**40, 2**40))]
    found.append(("another magic", b"GGML" + data[4:]))
    found.append(("a byte more", data + b"\0"))
    for place in range(0, header, max(1, header // 40)):
        found.append((f"byte {place} turned", data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1:]))
    return found


def all_of(data):
    made = parts(data)
    assert joined(*made) == data
    return of_metadata(*made) + of_tensors(*made) + of_bytes(data, *made)
