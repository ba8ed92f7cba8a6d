"""GPT-2 and Llama decoders in plain PyTorch, one Linear per matrix, padded batches.

What a skilled user would choose is left open, and may be changed between passes:
  attention  "eager" (products and a softmax) or "sdpa" (F.scaled_dot_product_attention)
  fused      whether GPT-2's activation and Llama's norm are PyTorch's own operators or
             Transformers' chains of elementwise operations
  carriers   see Tap
The caller multiplies by `head` itself, at the positions that it wants.
"""
import json
import math
import mmap
import os

import torch
from torch import nn
from torch.nn import functional as F

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def load_tensors(folder):
    """Views of model.safetensors, mapped."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        dtype = DTYPES[info["dtype"]]
        count = (end - begin) // (4 if dtype == torch.float32 else 2)
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=8 + size + begin)
        tensors[name] = flat.view(info["shape"])
    return tensors


class Gelu(nn.Module):
    """GPT-2's."""

    def __init__(self):
        super().__init__()
        self.fused = True

    def forward(self, x):
        if self.fused:
            return F.gelu(x, approximate="tanh")
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))  # NewGELUActivation
        return 0.5 * x * (1.0 + torch.tanh(inner))


class Tap(torch.autograd.Function):
    """The identity, whose backward adds the relevance of this batch, sum over examples of
    |sum over tokens of gradient * activation|, to the "gradient" of a carrier [width]. One graph
    without hooks, which torch.compile can take whole."""

    @staticmethod
    def forward(ctx, activation, carrier):
        ctx.save_for_backward(activation)
        return activation.view_as(activation)

    @staticmethod
    def backward(ctx, gradient):
        (activation,) = ctx.saved_tensors
        return gradient, (activation * gradient).sum(1, dtype=torch.float32).abs().sum(0)


class Tapped(nn.Module):
    """Gives blocks a `tap` for their activations: nothing unless there is a carrier."""

    carrier = None

    def tap(self, activation):
        return activation if self.carrier is None else Tap.apply(activation, self.carrier)


class Prompt:
    """Keys and values of one text, layer by layer, for rows that go on behind it."""

    def __init__(self):
        self.layers = []
        self.full = False
        self.next = 0

    @property
    def tokens(self):
        return self.layers[0][0].size(2) if self.full else 0

    def join(self, k, v):
        if not self.full:
            self.layers.append((k, v))
            return k, v
        before = [t.expand(k.size(0), -1, -1, -1) for t in self.layers[self.next]]
        self.next += 1
        return torch.cat((before[0], k), dim=2), torch.cat((before[1], v), dim=2)


def attend(q, k, v, mask, how):
    """q, k, v: [batch, heads, tokens, width]; mask is added to the scores, None is causal."""
    if how == "sdpa":
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    else:
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1)) + mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
    return mixed.transpose(1, 2).flatten(2)


class Gpt2Block(Tapped):
    def __init__(self, config):
        super().__init__()
        d, self.heads = config["n_embd"], config["n_head"]
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.c_fc, self.act, self.mlp_proj = nn.Linear(d, 4 * d), Gelu(), nn.Linear(4 * d, d)

    def forward(self, x, mask, rotation, how, prompt=None):
        q, k, v = self.c_attn(self.ln_1(x)).split(x.size(-1), dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        if prompt is not None:
            k, v = prompt.join(k, v)
        x = x + self.c_proj(attend(q, k, v, mask, how))
        return x + self.ffn(self.ln_2(x))

    def ffn(self, x):
        return self.mlp_proj(self.tap(self.act(self.c_fc(x))))


class RmsNorm(nn.Module):
    def __init__(self, d, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(d)), epsilon
        self.fused = True

    def forward(self, x):
        if self.fused and hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        # LlamaRMSNorm
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)


def rotate(x, rotation):
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class Neurons(nn.Module):
    """f(gate) * up, as a module of its own so that a hook sees its output."""

    def forward(self, gate, up):
        return F.silu(gate) * up


class LlamaBlock(Tapped):
    def __init__(self, config):
        super().__init__()
        d, f, self.heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        kv = config.get("num_key_value_heads", self.heads) * (d // self.heads)
        self.group = self.heads * (d // self.heads) // kv
        self.input_layernorm = RmsNorm(d, config["rms_norm_eps"])
        self.post_attention_layernorm = RmsNorm(d, config["rms_norm_eps"])
        self.q, self.k, self.v, self.o = (nn.Linear(d, n, bias=False) for n in (d, kv, kv, d))
        self.gate, self.up = nn.Linear(d, f, bias=False), nn.Linear(d, f, bias=False)
        self.act, self.down = Neurons(), nn.Linear(f, d, bias=False)

    def forward(self, x, mask, rotation, how, prompt=None):
        y = self.input_layernorm(x)
        width = x.size(-1) // self.heads
        q, k, v = (p(y).unflatten(-1, (-1, width)).transpose(1, 2) for p in (self.q, self.k, self.v))
        q, k = rotate(q, rotation), rotate(k, rotation)
        if prompt is not None:
            k, v = prompt.join(k, v)
        if self.group > 1:
            k, v = k.repeat_interleave(self.group, 1), v.repeat_interleave(self.group, 1)
        x = x + self.o(attend(q, k, v, mask, how))
        return x + self.ffn(self.post_attention_layernorm(x))

    def ffn(self, x):
        return self.down(self.tap(self.act(self.gate(x), self.up(x))))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.attention = "eager"
        self.gpt2 = config["model_type"] == "gpt2"
        if self.gpt2:
            d, layers = config["n_embd"], config["n_layer"]
            self.position = nn.Embedding(config["n_positions"], d)
            self.blocks = nn.ModuleList(Gpt2Block(config) for _ in range(layers))
            self.norm = nn.LayerNorm(d)
        else:
            d, layers = config["hidden_size"], config["num_hidden_layers"]
            self.blocks = nn.ModuleList(LlamaBlock(config) for _ in range(layers))
            self.norm = RmsNorm(d, config["rms_norm_eps"])
        self.embedding = nn.Embedding(config["vocab_size"], d)
        self.head = nn.Linear(d, config["vocab_size"], bias=False)

    def rotation(self, tokens, dtype):
        if self.gpt2:
            return None
        width = self.config["hidden_size"] // self.config["num_attention_heads"]
        frequency = self.config.get("rope_theta", 10000.0) ** (-torch.arange(0, width, 2) / width)
        angles = torch.outer(torch.arange(tokens), torch.cat((frequency, frequency)))
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def fuse(self, fused):
        for module in self.modules():
            if isinstance(module, (Gelu, RmsNorm)):
                module.fused = fused

    def layers(self):
        """Of each: the FFN's matrices into its neurons, and the one out of them."""
        return [([b.c_fc], b.mlp_proj) if self.gpt2 else ([b.gate, b.up], b.down) for b in self.blocks]

    def forward(self, ids, pad_mask=None):
        """ids: [batch, tokens], padded on the right. Returns what the head multiplies."""
        tokens = ids.size(1)
        x = self.embedding(ids)
        if self.gpt2:
            x = x + self.position(torch.arange(tokens))
        lowest = torch.finfo(x.dtype).min
        mask = None
        if self.attention == "eager" or pad_mask is not None:
            mask = torch.full((tokens, tokens), lowest, dtype=x.dtype).triu(1)
        if pad_mask is not None:
            mask = torch.maximum(mask + (~pad_mask)[:, None, None, :] * lowest,
                                 torch.tensor(lowest, dtype=x.dtype))
        rotation = self.rotation(tokens, x.dtype)
        for block in self.blocks:
            x = block(x, mask, rotation, self.attention)
        return self.norm(x)

    def behind(self, trunk, ids):
        """What the head multiplies for rows `ids` that go on behind one text, which runs once."""
        prompt = Prompt()
        for tokens in (trunk, ids):
            first, count = prompt.tokens, tokens.size(1)
            x = self.embedding(tokens)
            if self.gpt2:
                x = x + self.position(torch.arange(first, first + count))
            mask = torch.full((count, first + count), torch.finfo(x.dtype).min, dtype=x.dtype).triu(first + 1)
            rotation = self.rotation(first + count, x.dtype)
            rotation = rotation and [t[first:] for t in rotation]
            for block in self.blocks:
                x = block(x, mask, rotation, self.attention, prompt)
            prompt.full = True
        return self.norm(x)


def names(config):
    """Our parameter names -> the checkpoint's, and whether it is stored transposed."""
    result = {}
    if config["model_type"] == "gpt2":
        result["embedding.weight"], result["position.weight"] = ("wte.weight", False), ("wpe.weight", False)
        parts = {"ln_1": "ln_1", "ln_2": "ln_2", "c_attn": "attn.c_attn", "c_proj": "attn.c_proj",
                 "c_fc": "mlp.c_fc", "mlp_proj": "mlp.c_proj"}
        for layer in range(config["n_layer"]):
            for ours, theirs in parts.items():
                for kind in ("weight", "bias"):
                    result[f"blocks.{layer}.{ours}.{kind}"] = (
                        f"h.{layer}.{theirs}.{kind}", kind == "weight" and not ours.startswith("ln"))
        result["norm.weight"], result["norm.bias"] = ("ln_f.weight", False), ("ln_f.bias", False)
    else:
        result["embedding.weight"] = ("model.embed_tokens.weight", False)
        parts = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj",
                 "o": "self_attn.o_proj", "gate": "mlp.gate_proj", "up": "mlp.up_proj",
                 "down": "mlp.down_proj", "input_layernorm": "input_layernorm",
                 "post_attention_layernorm": "post_attention_layernorm"}
        for layer in range(config["num_hidden_layers"]):
            for ours, theirs in parts.items():
                result[f"blocks.{layer}.{ours}.weight"] = (f"model.layers.{layer}.{theirs}.weight", False)
        result["norm.weight"] = ("model.norm.weight", False)
    return result


def load(folder, dtype):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    tensors = load_tensors(folder)
    model = Decoder(config).to(dtype)
    with torch.no_grad():
        for ours, (theirs, transposed) in names(config).items():
            tensor = tensors[theirs]
            model.get_parameter(ours).copy_(tensor.t() if transposed else tensor)
        if config.get("tie_word_embeddings", config["model_type"] == "gpt2"):
            model.head.weight = model.embedding.weight
        else:
            model.head.weight.copy_(tensors["lm_head.weight"])
    return model
