#!/usr/bin/env python3
"""Makes tests/fixtures/gguf: blocks of every type with their numbers by the Python package gguf, and tiny models as GGUF files.

    python3 -m venv VENV && VENV/bin/pip install torch transformers gguf
    VENV/bin/python tests/goldens/make_gguf.py

The models are tiny and random, changed as llama.cpp's convert_hf_to_gguf.py changes them. Transformers' own loading of a file has
to give the logits that it gives of the model: options that it does not take from a GGUF file are at their defaults.
"""
import json
import pathlib
import zlib

import gguf
import numpy as np
import torch
import transformers
from make_hf import KV, SIZES, random_weights
from safetensors.numpy import save_file
from transformers.convert_slow_tokenizer import bytes_to_unicode

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
OUT = FIXTURES / "gguf"
TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")
# Where the half-precision scales of a block stand.
SCALES = {"F16": (0,), "Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2),
          "Q6_K": (208,)}
BLOCKS = 6
# Architecture: (model_type, type of its matrices, what its config says beside the defaults).
MODELS = {
    "gemma2": ("gemma2", "F16", {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 8}),
    "gemma3": ("gemma3_text", "Q8_0", {"num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 6, "head_dim": 256,
                                      "sliding_window": 8}),
    "gpt2": ("gpt2", "F16", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 128}),
    "llama": ("llama", "Q8_0", {**KV, "rope_theta": 500.0}),
    "mixtral": ("mixtral", "F32", {**KV, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "olmoe": ("olmoe", "F32", {**KV, "num_experts": 6, "num_experts_per_tok": 3}),
    "phi3": ("phi3", "F32", KV),
    "qwen2": ("qwen2", "Q5_1", KV),
    "qwen3": ("qwen3", "Q4_0", {**KV, "head_dim": 128}),
    "qwen3moe": ("qwen3_moe", "F32", {**KV, "head_dim": 128, "moe_intermediate_size": 32, "num_experts": 5,
                                       "num_experts_per_tok": 2, "norm_topk_prob": True}),
}
# What a file of that name calls its architecture.
ARCHITECTURES = {"mixtral": "llama"}
# Files whose architecture or experts Transformers doesn't load (a width of experts other than the default it does not take from
# a file): the model's own logits, which their types hold as they are, and the encodings of a file with the same vocabulary.
NOT_LOADED = {"mixtral": "llama", "olmoe": "qwen2", "qwen3moe": "qwen3"}
IDS = [1, 17, 40, 3, 88, 12, 9, 61, 2, 90, 7, 31]


def types():
    generator = np.random.default_rng(5)
    found = {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        count = BLOCKS if numbers > 1 else 64
        data = generator.integers(0, 256, (count, size), dtype=np.uint8)
        for at in SCALES.get(name, (0,) if numbers > 1 else ()):
            data[:, at:at + 2] = generator.normal(0, 0.02, (count, 1)).astype(np.float16).view(np.uint8)
        if name in ("F32", "BF16"):
            data = generator.normal(0, 1, (count, 1)).astype(np.float32).view(np.uint8)[:, 4 - size:].copy()
        found["blocks_" + name] = data.reshape(-1)
        found["values_" + name] = gguf.dequantize(data.reshape(-1), kind).astype(np.float32).reshape(-1)
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(found, OUT / "types.safetensors", {"gguf": "0.19.0"})


def neighbours(weight, heads):
    """Rows of heads so that what is turned together stands side by side, as llama.cpp has it."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


VOCABULARY = 300
LINES = ("the other  theme", " the", "", "Thé naïve thé", "a\tb\n\nc  d", "42 times 1234", "the<s>the</s>", "\u65e5\u672c the", "  ")


def add_tokenizer(writer, byte_level, split):
    """A vocabulary that has nothing to do with the model: special tokens, bytes, and pieces of `the`."""
    space = "\u0120" if byte_level else "\u2581"
    pairs = [("t", "h"), ("th", "e"), (space, "t"), (space + "t", "h"), (space, "the"), (space + "th", "e"), (space, space)]
    pieces = list(dict.fromkeys(left + right for left, right in pairs))
    if byte_level:
        tokens = ["<unk>", "<s>", "</s>", *sorted(bytes_to_unicode().values()), *pieces]
        kinds = [3, 3, 3]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(split)
        writer.add_token_merges([" ".join(pair) for pair in pairs])
    else:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), space, "t", "h", "e", *pieces]
        kinds = [2, 3, 3] + [6] * 256
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(VOCABULARY)])
        writer.add_add_bos_token(True)
    tokens += [f"[unused{i}]" for i in range(VOCABULARY - len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_types(kinds + [1] * (VOCABULARY - len(kinds)))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)


def write(name, config, model, kind):
    architecture = ARCHITECTURES.get(name, name)
    weights = {key: value.detach().numpy() for key, value in model.named_parameters()}
    writer = gguf.GGUFWriter(str(OUT / f"{name}.gguf"), architecture)
    heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads")
    gpt2, gemma = architecture == "gpt2", architecture.startswith("gemma")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["n_inner" if gpt2 else "intermediate_size"])
    writer.add_head_count(heads)
    if gpt2:
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        writer.add_head_count_kv(kv_heads)
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(config["rope_theta"])
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        if architecture in ("llama", "phi3"):
            writer.add_rope_dimension_count(config["head_dim"])
        if gemma:
            writer.add_sliding_window(config["sliding_window"])
        if config["num_experts"]:
            writer.add_expert_count(config["num_experts"])
            writer.add_expert_used_count(config["num_experts_per_tok"])
        if config["moe_intermediate_size"]:
            writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
        if architecture == "gemma2":
            writer.add_attn_logit_softcapping(50.0)
            writer.add_final_logit_softcapping(30.0)
    add_tokenizer(writer, gpt2 or architecture == "olmoe" or architecture.startswith("qwen"), "gpt-2" if gpt2 else "qwen2")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config["num_hidden_layers"])
    matrices = gguf.GGMLQuantizationType[kind]
    for key in [key for key in weights if key.endswith("experts.gate_up_proj")]:
        gate, up = np.split(weights.pop(key), 2, 1)
        weights |= {key.replace("gate_up_proj", "gate_proj.weight"): gate, key.replace("gate_up_proj", "up_proj.weight"): up}
    for key in [key for key in weights if key.endswith("experts.down_proj")]:
        weights[key + ".weight"] = weights.pop(key)
    for key, value in weights.items():
        stored = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if architecture == "llama" and ".q_proj." in key:
            value = neighbours(value, heads)
        if architecture == "llama" and ".k_proj." in key:
            value = neighbours(value, kv_heads)
        if gemma and key.endswith("norm.weight"):
            value = value + 1
        if gpt2 and value.ndim == 2 and ".h." in key:
            value = value.T
        value = np.ascontiguousarray(value)
        quantised = value.ndim > 1 and value.shape[-1] % gguf.GGML_QUANT_SIZES[matrices][0] == 0
        kept = matrices if quantised else gguf.GGMLQuantizationType.F32
        writer.add_tensor(stored, gguf.quantize(value, kept), raw_dtype=kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def seeds():
    """The fuzzer's first inputs: files of a few kilobytes."""
    folder = pathlib.Path(__file__).resolve().parents[1] / "fuzz" / "seeds" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"context_length": 16, "embedding_length": 8, "block_count": 1, "feed_forward_length": 8, "attention.head_count": 2}
    for name, byte_level in (("llama", False), ("gemma3", False), ("qwen2", True), ("gpt2", True), ("mixtral", False)):
        architecture, mixture = ARCHITECTURES.get(name, name), name == "mixtral"
        writer = gguf.GGUFWriter(str(folder / f"{name}.gguf"), architecture)
        for key, value in sizes.items():
            writer.add_uint32(f"{architecture}.{key}", value)
        writer.add_float32(f"{architecture}.attention.layer_norm{'' if architecture == 'gpt2' else '_rms'}_epsilon", 1e-6)
        writer.add_uint32(f"{architecture}.attention.sliding_window", 4)
        tokens = ["<unk>", "<s>", "t", "h", "e", "th", "the", *(["\u0120the"] if byte_level else ["\u2581", "<0x0A>", "\u2581the"])]
        writer.add_tokenizer_model("gpt2" if byte_level else "llama")
        writer.add_token_list(tokens)
        writer.add_token_types([2, 3] + [1] * (len(tokens) - 2))
        if byte_level:
            writer.add_tokenizer_pre("qwen2")
            writer.add_token_merges(["t h", "th e"])
        else:
            writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_bos_token_id(1)
        if mixture:
            writer.add_expert_count(2)
            writer.add_expert_used_count(1)
        ffn = (("blk.0.ffn_gate_inp", (2, 8)), ("blk.0.ffn_up_exps", (2, 8, 8))) if mixture else (("blk.0.ffn_up", (8, 8)),)
        for tensor, shape in (("token_embd", (len(tokens), 8)), ("blk.0.attn_q", (8, 8)), *ffn, ("output_norm", (8,))):
            writer.add_tensor(tensor + ".weight", np.ones(shape, dtype=np.float16 if len(shape) > 1 else np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor(ids)[None], use_cache=False).logits[0].float()


def main():
    types()
    seeds()
    golden, encodings = {}, {}
    for architecture, (model_type, kind, options) in MODELS.items():
        sizes = {} if model_type == "gpt2" else SIZES
        config = transformers.AutoConfig.for_model(model_type, **{**sizes, "vocab_size": VOCABULARY, **options})
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        random_weights(model, zlib.crc32(architecture.encode()))
        known = {key: getattr(config, key, None) for key in (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
            "num_experts_per_tok", "moe_intermediate_size", "n_inner", "max_position_embeddings", "rms_norm_eps", "layer_norm_epsilon", "sliding_window")}
        known["num_experts"] = getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None)
        rope = getattr(config, "rope_parameters", None) or {"rope_theta": 0.0}
        known["rope_theta"] = rope.get("full_attention", rope)["rope_theta"]
        known["head_dim"] = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        write(architecture, known, model, kind)
        if architecture in NOT_LOADED:
            golden[architecture] = logits_of(model, IDS).numpy()
            continue
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            OUT, gguf_file=f"{architecture}.gguf", dtype=torch.float32, attn_implementation="eager").eval()
        golden[architecture], own = logits_of(loaded, IDS).numpy(), logits_of(model, IDS).numpy()
        print(architecture, kind, "off the model's logits by", np.linalg.norm(golden[architecture] - own) / np.linalg.norm(own))
        tokenizer = transformers.AutoTokenizer.from_pretrained(OUT, gguf_file=f"{architecture}.gguf")
        encodings[architecture] = [tokenizer(line)["input_ids"] for line in LINES]
    encodings |= {name: encodings[other] for name, other in NOT_LOADED.items()}
    (OUT / "encodings.json").write_text(json.dumps({"lines": LINES, "ids": encodings}, indent=1) + "\n")
    golden["ids"] = np.array(IDS, dtype=np.int32)
    save_file(golden, OUT / "logits.safetensors", {"transformers": transformers.__version__, "gguf": "0.19.0"})


if __name__ == "__main__":
    main()
