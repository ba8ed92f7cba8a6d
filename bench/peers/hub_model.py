"""Transformers' own model classes behind the interface of models.Decoder."""
import torch
from torch import nn


class HubModel(nn.Module):
    def __init__(self, folder, dtype):
        super().__init__()
        import transformers  # the system's Python may not have it

        self.version = transformers.__version__
        config = transformers.AutoConfig.from_pretrained(folder)
        if getattr(config, "activation_function", "") == "gelu_new":
            config.activation_function = "gelu_pytorch_tanh"  # the same function, PyTorch's operator
        name = "dtype" if int(self.version.split(".")[0]) >= 5 else "torch_dtype"
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, **{name: dtype}).eval()
        self.head = self.model.get_output_embeddings()
        self.gpt2 = config.model_type == "gpt2"
        self.blocks = self.model.base_model.h if self.gpt2 else self.model.base_model.layers

    @property
    def attention(self):
        return self.model.config._attn_implementation

    @attention.setter
    def attention(self, how):
        if hasattr(self.model, "set_attn_implementation"):
            self.model.set_attn_implementation(how)
        else:
            self.model.config._attn_implementation = how

    def layers(self):
        return [([b.mlp.c_fc], b.mlp.c_proj) if self.gpt2 else ([b.mlp.gate_proj, b.mlp.up_proj], b.mlp.down_proj)
                for b in self.blocks]

    def forward(self, ids, pad_mask=None):
        """Right padding needs no mask: causal attention hides it."""
        return self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
