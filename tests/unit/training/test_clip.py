"""The CLIP tower computes what transformers' does."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from skyeye_edge.core.errors import InputError  # noqa: E402
from skyeye_edge.training.model.aligner import build_aligner  # noqa: E402
from skyeye_edge.training.model.alignment import AlignerConfig  # noqa: E402
from skyeye_edge.training.model.clip import ClipConfig, ClipVit  # noqa: E402


def theirs(**changes: Any) -> Any:
    torch.manual_seed(3)
    sizes = dict(
        hidden_size=48, intermediate_size=80, num_hidden_layers=4, num_attention_heads=6,
        image_size=70, patch_size=14, projection_dim=16,
    )  # fmt: skip
    config = transformers.CLIPVisionConfig(**sizes | changes)
    model = transformers.CLIPVisionModel(config).eval()
    for value in model.parameters():
        value.data = torch.randn_like(value) * 0.2
    return model


@pytest.mark.parametrize(
    ("activation", "depth"), [("quick_gelu", 3), ("gelu", 3), ("quick_gelu", 1)], ids=str
)
@torch.inference_mode()
def test_the_output_of_a_block_equals_the_published_models(activation: str, depth: int) -> None:
    model = theirs(hidden_act=activation)
    config = ClipConfig(70, 14, 48, depth, 6, 80, activation)
    tower = ClipVit(config).eval()
    named = {name.removeprefix("vision_model."): v for name, v in model.state_dict().items()}
    tower.load_state_dict({name: named[name] for name in tower.state_dict()})
    pixels = torch.randn(2, 3, 70, 70)

    found = tower(pixels)

    expected = model(pixels, output_hidden_states=True).hidden_states[depth]
    assert (found - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())


@torch.inference_mode()
def test_patches_that_are_dropped_do_not_matter_to_the_others() -> None:
    tower = ClipVit(ClipConfig(28, 14, 8, 2, 2, 16)).eval()
    pixels = torch.randn(1, 3, 28, 28)

    every = tower(pixels, torch.arange(4)[None])

    assert torch.allclose(every, tower(pixels))
    assert tower(pixels, torch.tensor([[2, 0]])).shape == (1, 3, 8)


@pytest.mark.parametrize("changes", [{"activation": "relu"}, {"heads": 5}, {"depth": 0}], ids=str)
def test_a_tower_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    sizes: dict[str, Any] = dict(image_size=28, patch=14, width=8, depth=2, heads=2, mlp=16)

    with pytest.raises(InputError, match="vision"):
        ClipConfig(**sizes | changes)


@torch.inference_mode()
def test_llavas_projector_is_two_layers_with_the_exact_gelu_between() -> None:
    aligner = build_aligner(6, 10, AlignerConfig("mlp", 1, 2), 5)
    patches = torch.randn(2, 5, 6)

    found = aligner(patches)

    first, second = aligner.layers
    assert torch.allclose(found, second(torch.nn.GELU()(first(patches))))


@pytest.mark.parametrize(
    "values",
    [("glue", 1, 1), ("mlp", 0, 2), ("mlp", 1, 0), ("linear", 4, 2), ("none", 4, 1)],
    ids=str,
)
def test_an_aligner_that_cannot_be_is_refused(values: tuple[Any, int, int]) -> None:
    with pytest.raises(InputError, match="aligner"):
        build_aligner(6, 10, AlignerConfig(*values), 8)


def test_a_qformers_tokens_see_every_patch() -> None:
    torch.manual_seed(0)
    aligner = build_aligner(48, 10, AlignerConfig("qformer", 4, 2), 4).eval()
    patches = torch.randn(1, 16, 48, requires_grad=True)

    tokens = aligner(patches)

    assert tokens.shape == (1, 4, 10)
    for token in tokens[0]:
        (seen,) = torch.autograd.grad(token.sum(), patches, retain_graph=True)
        assert (seen.abs().sum(-1) > 0).all()


def test_joined_patches_never_cross_rows() -> None:
    assert AlignerConfig().tokens(8) == 16
    with pytest.raises(InputError, match="cross rows"):
        AlignerConfig().tokens(6)
