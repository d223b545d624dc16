import numpy as np
import pytest

from coremlbench.conversion.proof_hints import difference_hint
from coremlbench.types.conversion import LOGITS, OUTPUT

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(8, 5)).astype(np.float32)
OTHER = RANDOM.normal(size=(8, 5)).astype(np.float32)
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
PICTURES = RANDOM.integers(0, 256, (8, 4, 6, 3), dtype=np.uint8)


def reds(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Predict the first channel of pictures (n, height, width, 3)."""
    return {OUTPUT: pictures[..., 0].reshape(len(pictures), -1).astype(np.float32)}


def test_a_last_activation_on_one_side_only() -> None:
    bare, ended = {OUTPUT: SCORES}, {OUTPUT: SHARES, LOGITS: SCORES}
    assert "the package has that last step" in difference_hint(bare, ended, SCORES, reds)
    assert "the package lacks that last step" in difference_hint(ended, bare, SCORES, reds)
    assert difference_hint(bare, {OUTPUT: SHARES, LOGITS: OTHER}, SCORES, reds) == ""
    assert difference_hint(ended, {OUTPUT: OTHER}, SCORES, reds) == ""
    assert difference_hint(ended, ended, SCORES, reds) == ""


@pytest.mark.parametrize("channels_first", [False, True])
def test_exchanged_colours(channels_first: bool) -> None:
    def predict(samples: np.ndarray) -> dict[str, np.ndarray]:
        return reds(np.moveaxis(samples, 1, -1) if channels_first else samples)

    samples = np.moveaxis(PICTURES, -1, 1) if channels_first else PICTURES
    blues = {OUTPUT: reds(PICTURES[..., ::-1])[OUTPUT]}
    greens = {OUTPUT: reds(PICTURES[..., [1, 0, 2]])[OUTPUT]}
    assert "one of the two takes RGB" in difference_hint(blues, predict(samples), samples, predict)
    assert difference_hint(greens, predict(samples), samples, predict) == ""


def test_what_is_no_picture_has_no_colours() -> None:
    for samples in (SCORES, np.zeros((8, 2, 4, 6)), np.zeros(8, [("a", "f4", (4, 6, 3)), ("b", "f4")])):
        assert difference_hint({OUTPUT: SCORES}, {OUTPUT: OTHER}, samples, reds) == ""
