"""The network: an encoder, and for each label its own attention over the token states.

One query a label scores every token. The softmax of these scores pools the token states into the vector from which the
label's logit is read; the sigmoid of the *same* scores is the evidence, a probability per token that it shows the label.
The strength of the evidence is also a term of the logit. So the words that are reported are the words the logit was read
from. In training the evidence is supervised by the reviewers' spans where an example has them, and left free where it has
none.

Given up: one shared pooled vector (mean or <s>), which is a little cheaper and cannot say where a label looked.
Source of label-wise attention: Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from models.errors import BaseEncoderError
from models.losses import consistency_loss, contrast_loss, evidence_loss, label_loss

OF_TRAINING = frozenset(
    {
        "label_loss",
        "label_smoothing",
        "evidence_weight",
        "document_type_weight",
        "contrast_weight",
        "consistency_weight",
        "head_dropout",
    }
)
"""What of a configuration matters in training alone."""


class SignaalConfig(PretrainedConfig):
    """Configuration of ``SignaalModel``: the encoder's, the label sets, and the weights of the losses."""

    model_type = "signaal"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        document_types: list[str] | None = None,
        label_loss: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        evidence_weight: float = 1.0,
        document_type_weight: float = 0.3,
        contrast_weight: float = 0.0,
        consistency_weight: float = 0.0,
        head_dropout: float = 0.1,
        attention_heads: int | None = None,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            encoder: configuration of the encoder, as ``PretrainedConfig.to_dict`` gives it.
            labels: label ids, in the order of the logits' columns.
            document_types: document type ids; empty switches that head off.
            label_loss: ``kind`` and options of the label loss (``models.losses.label_loss``); cross-entropy when None.
            label_smoothing: how far its targets are drawn towards one half.
            evidence_weight: weight of the span loss.
            document_type_weight: weight of the document-type loss.
            contrast_weight: weight of the contrast loss.
            consistency_weight: weight of the loss between two readings of a text.
            head_dropout: dropout on the token states and pooled vectors.
            attention_heads: heads of the same size that each encoder layer has, where they are fewer than the encoder's
                configuration says.
        """
        super().__init__(**kwargs)
        self.encoder = encoder or {}
        self.labels = labels or []
        self.document_types = document_types or []
        self.label_loss = label_loss
        self.label_smoothing = label_smoothing
        self.evidence_weight = evidence_weight
        self.document_type_weight = document_type_weight
        self.contrast_weight = contrast_weight
        self.consistency_weight = consistency_weight
        self.head_dropout = head_dropout
        self.attention_heads = attention_heads


@dataclass
class SignaalOutput(ModelOutput):
    """What a forward pass gives; the ``*_loss`` parts are there only when targets were given."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    """[batch, labels]"""
    evidence: Tensor | None = None
    """[batch, tokens, labels], scores before the sigmoid"""
    document_type_logits: Tensor | None = None
    """[batch, document types]"""
    label_loss: Tensor | None = None
    evidence_loss: Tensor | None = None
    document_type_loss: Tensor | None = None
    contrast_loss: Tensor | None = None
    consistency_loss: Tensor | None = None


class LabelAttention(nn.Module):
    """Token states [batch, tokens, hidden] to evidence scores [batch, tokens, labels] and logits [batch, labels]."""

    def __init__(self, hidden: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.key = nn.Linear(hidden, hidden)
        self.query = nn.Parameter(torch.empty(labels, hidden))
        self.score_bias = nn.Parameter(torch.full((labels,), -3.0))  # evidence is rare: start near "no"
        self.value = nn.Linear(hidden, hidden)
        self.weight = nn.Parameter(torch.empty(labels, hidden))
        self.bias = nn.Parameter(torch.full((labels,), -1.0))
        self.evidence_gain = nn.Parameter(torch.full((labels,), 0.5))
        self.scale = hidden**-0.5
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.query, std=0.5)
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.dropout(states)
        scores = torch.tanh(self.key(states)) @ self.query.T * self.scale * 4.0
        padding = (1.0 - mask.to(scores.dtype)).unsqueeze(-1) * -1e4
        attention = torch.softmax(scores + padding, dim=1)
        pooled = attention.transpose(1, 2) @ states
        features = self.dropout(nn.functional.gelu(self.value(pooled)))
        evidence = scores + self.score_bias
        strength = (attention * evidence).sum(1)  # close to the strongest token's score, and smooth
        logits = (features * self.weight).sum(-1) + self.evidence_gain * strength + self.bias
        return evidence, logits


class SignaalModel(PreTrainedModel):
    """Encoder, label attention, document-type head."""

    config_class = SignaalConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"

    def __init__(self, config: SignaalConfig) -> None:
        super().__init__(config)
        encoder_config = AutoConfig.for_model(**config.encoder)
        encoder_config._attn_implementation = "eager"  # the ONNX exporter and its graph optimiser know this form
        extra = {"add_pooling_layer": False} if encoder_config.model_type in _WITH_POOLER else {}
        self.encoder = AutoModel.from_config(encoder_config, **extra)
        if config.attention_heads is not None:
            keep_heads(self.encoder, config.attention_heads)
        hidden = encoder_config.hidden_size
        self.attention = LabelAttention(hidden, len(config.labels), config.head_dropout)
        self.document_type = nn.Linear(hidden, len(config.document_types)) if config.document_types else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        # Modules set their own start values; transformers would overwrite them here.
        pass

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        label_weights: Tensor | None = None,
        evidence_targets: Tensor | None = None,
        document_types: Tensor | None = None,
        scenarios: Tensor | None = None,
        views: Tensor | None = None,
    ) -> SignaalOutput:
        """In evaluation mode the label loss is always cross-entropy with targets as they are, so that validation figures of
        differently trained networks can be compared.

        Args:
            input_ids: [batch, tokens], int64.
            attention_mask: [batch, tokens], 1 for real tokens.
            labels: [batch, labels], 0/1 or a share of annotators between.
            label_weights: [batch, labels], weight of each label in the losses; 1 when not given.
            evidence_targets: [batch, tokens, labels]; 1 inside a span, 0 outside, ``FREE`` where not supervised.
            document_types: [batch], index, or -100 when unknown.
            scenarios: [batch], texts of one number are of one scenario; -1 when unknown.
            views: [batch], where each text is read twice: which reading a window belongs to, 2k and 2k + 1 being those of text k.
        """
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        scores, logits = self.attention(states, attention_mask)
        out = SignaalOutput(logits=logits, evidence=scores)
        if self.document_type is not None:
            share = attention_mask.to(states.dtype).unsqueeze(-1)
            out.document_type_logits = self.document_type((states * share).sum(1) / share.sum(1))
        if labels is not None:
            weights = torch.ones_like(labels) if label_weights is None else label_weights
            self._add_losses(out, labels, weights, evidence_targets, document_types, scenarios, views)
        return out

    def _add_losses(
        self,
        out: SignaalOutput,
        labels: Tensor,
        weights: Tensor,
        evidence_targets: Tensor | None,
        document_types: Tensor | None,
        scenarios: Tensor | None,
        views: Tensor | None,
    ) -> None:
        config = cast(SignaalConfig, self.config)
        how = {**(config.label_loss or {}), "smoothing": config.label_smoothing} if self.training else {}
        out.label_loss = label_loss(cast(Tensor, out.logits), labels, weights, **how)
        loss = out.label_loss
        if evidence_targets is not None and config.evidence_weight:
            out.evidence_loss = evidence_loss(cast(Tensor, out.evidence), evidence_targets, labels, weights)
            loss = loss + config.evidence_weight * out.evidence_loss
        if document_types is not None and out.document_type_logits is not None and bool((document_types >= 0).any()):
            out.document_type_loss = nn.functional.cross_entropy(out.document_type_logits, document_types)
            loss = loss + config.document_type_weight * out.document_type_loss
        if scenarios is not None and config.contrast_weight:
            out.contrast_loss = contrast_loss(cast(Tensor, out.logits), labels, scenarios, views)
            loss = loss + config.contrast_weight * out.contrast_loss
        if views is not None and config.consistency_weight:
            out.consistency_loss = consistency_loss(cast(Tensor, out.logits), labels, views)
            loss = loss + config.consistency_weight * out.consistency_loss
        out.loss = loss


_WITH_POOLER = {"bert", "roberta", "xlm-roberta", "camembert"}


def new_model(base_folder: Path, config: SignaalConfig, *, layers: int | None = None) -> SignaalModel:
    """A model with the base encoder's weights and fresh heads.

    Args:
        base_folder: folder of the encoder (see ``models.base``).
        config: its ``encoder`` is filled from the folder.
        layers: keep only the first so many encoder layers (a smaller, faster network); all when None.

    Raises:
        BaseEncoderError: the encoder has fewer layers.
    """
    encoder = AutoModel.from_pretrained(base_folder, **_pooler_free(base_folder))
    if layers is not None:
        if layers > (there := encoder.config.num_hidden_layers):
            raise BaseEncoderError(f"The base encoder has {there} layers, and {layers} cannot be kept: ask for {there} or fewer.")
        encoder.encoder.layer = encoder.encoder.layer[:layers]
        encoder.config.num_hidden_layers = layers
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(encoder.config, name):
            setattr(encoder.config, name, 0.0)  # fused attention knows no dropout on a CPU, and is a fifth faster
    config.encoder = encoder.config.to_dict()
    model = SignaalModel(config)
    model.encoder.load_state_dict(encoder.state_dict())
    return model


def embeddings_of(base_folder: Path) -> nn.Module:
    """The embedding tables of a base encoder."""
    return cast(nn.Module, AutoModel.from_pretrained(base_folder, **_pooler_free(base_folder)).embeddings)


def _pooler_free(base_folder: Path) -> dict[str, bool]:
    return {"add_pooling_layer": False} if AutoConfig.from_pretrained(base_folder).model_type in _WITH_POOLER else {}


def encoder_heads(config: SignaalConfig) -> int:
    """Attention heads of an encoder layer."""
    heads: int = config.attention_heads or config.encoder["num_attention_heads"]
    return heads


def keep_heads(encoder: Any, heads: int) -> None:
    """Make the attention of every layer of an encoder of BERT's form as wide as so many of its heads (in place, with new
    weights). The layers' code takes the number of heads from the width."""
    for layer in encoder.encoder.layer:
        attention, output = layer.attention.self, layer.attention.output
        hidden, width = output.dense.out_features, heads * attention.attention_head_size
        if width == output.dense.in_features:
            continue
        for name in ("query", "key", "value"):
            setattr(attention, name, nn.Linear(hidden, width))
        output.dense = nn.Linear(width, hidden)


def add_lora(model: SignaalModel, *, rank: int, alpha: int, dropout: float) -> SignaalModel:
    """Freeze the encoder and add LoRA adapters (Hu et al. 2021) to all its linear layers; the heads stay trainable."""
    lora = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear")
    model.encoder = get_peft_model(cast(PreTrainedModel, model.encoder), lora)
    return model


def use_fused_attention(model: SignaalModel) -> SignaalModel:
    """For training: the same attention in one kernel, which keeps no [tokens, tokens] matrices for the backward pass. The
    ONNX exporter wants the plain form that a new model has."""
    model.encoder.set_attn_implementation("sdpa")
    return model


def freeze_embeddings(model: SignaalModel) -> SignaalModel:
    """For full fine-tuning: the embedding tables (80% of the weights) stay as they are."""
    for parameter in model.encoder.embeddings.parameters():
        parameter.requires_grad = False
    return model


def merged(model: SignaalModel) -> SignaalModel:
    """The model with its LoRA adapters folded into the encoder's weights (in place); unchanged when it has none."""
    if isinstance(model.encoder, PeftModel):
        model.encoder = model.encoder.merge_and_unload()
    return model
