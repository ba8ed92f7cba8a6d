"""Model folders of named shapes with random weights, for measuring. Standard library only."""
import json
import os
import random
import struct

SHAPES = {
    "gpt2-124M": {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 12, "n_embd": 768,
        "n_head": 12, "n_positions": 1024, "vocab_size": 50257, "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new", "tie_word_embeddings": True},
    "llama-1.1B": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 22,
        "hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32,
        "num_key_value_heads": 4, "max_position_embeddings": 2048, "vocab_size": 32000,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
        "tie_word_embeddings": False},
    "llama-7B": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 32,
        "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32,
        "num_key_value_heads": 32, "max_position_embeddings": 4096, "vocab_size": 32000,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
        "tie_word_embeddings": False},
}


def tensor_shapes(config):
    """Name -> shape of every tensor, as Transformers saves them."""
    v = config["vocab_size"]
    if config["model_type"] == "gpt2":
        d = config["n_embd"]
        shapes = {"wte.weight": [v, d], "wpe.weight": [config["n_positions"], d],
                  "ln_f.weight": [d], "ln_f.bias": [d]}
        for layer in range(config["n_layer"]):
            at = f"h.{layer}."
            for norm in ("ln_1", "ln_2"):
                shapes[f"{at}{norm}.weight"] = shapes[f"{at}{norm}.bias"] = [d]
            for name, size in (("attn.c_attn", [d, 3 * d]), ("attn.c_proj", [d, d]),
                               ("mlp.c_fc", [d, 4 * d]), ("mlp.c_proj", [4 * d, d])):
                shapes[f"{at}{name}.weight"], shapes[f"{at}{name}.bias"] = size, [size[1]]
        return shapes
    d, f = config["hidden_size"], config["intermediate_size"]
    kv = d // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": [v, d], "model.norm.weight": [d], "lm_head.weight": [v, d]}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes[at + "input_layernorm.weight"] = shapes[at + "post_attention_layernorm.weight"] = [d]
        for name, size in (("self_attn.q_proj", [d, d]), ("self_attn.k_proj", [kv, d]),
                           ("self_attn.v_proj", [kv, d]), ("self_attn.o_proj", [d, d]),
                           ("mlp.gate_proj", [f, d]), ("mlp.up_proj", [f, d]),
                           ("mlp.down_proj", [d, f])):
            shapes[f"{at}{name}.weight"] = size
    return shapes


def bfloat16(values):
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def count(shape):
    result = 1
    for size in shape:
        result *= size
    return result


def header(shapes):
    """What a safetensors file of bfloat16 tensors begins with, and the bytes that follow."""
    entries, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + 2 * count(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, offset


def write_holes(path, config):
    """Weights of zeros that take no space."""
    begin, size = header(tensor_shapes(config))
    with open(path, "wb") as file:
        file.write(begin)
        file.truncate(len(begin) + size)


def write_weights(path, config):
    """Normal weights of sd 0.02, norms of ones, biases of zeros. The random numbers repeat after
    a prime number of values, which keeps rows apart and writes 13 GB in seconds."""
    shapes = tensor_shapes(config)
    source = random.Random(0)
    block = bfloat16(source.gauss(0, 0.02) for _ in range(499_979)) * 16
    with open(path + ".part", "wb") as file:
        file.write(header(shapes)[0])
        for name, shape in shapes.items():
            left = 2 * count(shape)
            if len(shape) == 1:
                file.write((bfloat16([1.0]) if name.endswith("weight") else b"\0\0") * shape[0])
                continue
            start = 2 * source.randrange(499_979)
            while left > 0:
                part = block[start : start + left]
                file.write(part)
                left -= len(part)
                start = 0
    os.rename(path + ".part", path)


def byte_symbols():
    """The characters that stand for bytes in byte-level tokenizers (GPT-2's table)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return [chr(b) if b in visible else chr(256 + hidden.index(b)) for b in range(256)]


def write_tokenizer(folder):
    """One token per byte and an end-of-text token."""
    vocabulary = {symbol: i for i, symbol in enumerate(byte_symbols())}
    end = {"id": 256, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
           "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end],
        "normalizer": None, "pre_tokenizer": level, "post_processor": level, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": []}}
    with open(os.path.join(folder, "tokenizer.json"), "w") as file:
        json.dump(tokenizer, file)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}, file)


def write_model(shape, folder, changes=None, write=write_weights):
    """Makes the model folder unless it is there. changes: of the shape's configuration; write: the weights."""
    weights = os.path.join(folder, "model.safetensors")
    if os.path.exists(weights):
        return
    os.makedirs(folder, exist_ok=True)
    config = {**SHAPES[shape], "torch_dtype": "bfloat16", "eos_token_id": 256, **(changes or {})}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
    write_tokenizer(folder)
    write(weights, config)


def write_task(folder, examples, shortest, longest, answer, instruction=0):
    """A generation task of random letters for the byte tokenizer: texts of shortest..longest tokens
    in all, answers of `answer` tokens with end-of-text, the first `instruction` tokens (of the
    prompt) the same in all."""
    os.makedirs(folder, exist_ok=True)
    source = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = lambda n: "".join(source.choice(letters) for _ in range(n))
    # The default template writes "Definition: " "\nInput: " "\nOutput:" and a space.
    fixed = len("Definition: \nInput: \nOutput:")
    define = text(max(instruction - len("Definition: "), 1))
    with open(os.path.join(folder, "meta.json"), "w") as file:
        json.dump({"name": os.path.basename(folder), "type": "generation", "instruction": define}, file)
    with open(os.path.join(folder, "train.jsonl"), "w") as file:
        for _ in range(examples):
            total = source.randint(shortest, longest)
            output = text(answer - 2)  # and the space before it, and end-of-text
            row = {"input": text(total - answer - fixed - len(define)), "output": output}
            file.write(json.dumps(row) + "\n")


def add_labels(folder, labels):
    """Turns such a task into a classification among these labels."""
    meta_path, rows_path = (os.path.join(folder, name) for name in ("meta.json", "train.jsonl"))
    with open(meta_path) as file:
        meta = json.load(file)
    with open(meta_path, "w") as file:
        json.dump(dict(meta, type="classification", labels=labels), file)
    with open(rows_path) as file:
        rows = [json.loads(line) for line in file]
    with open(rows_path, "w") as file:
        for i, row in enumerate(rows):
            file.write(json.dumps(dict(row, output=labels[i % len(labels)])) + "\n")
