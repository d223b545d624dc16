from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coremlbench.createml.sample_images import EVEN_SAMPLES, MISTAKE_SAMPLES, add_sample_images, choose_samples
from coremlbench.types.data import ImageSet, LabelledImage, Provenance
from coremlbench.types.training_records import Trained
from tests import record_samples as records


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=300))
def test_samples_are_chosen_without_looking_and_mistakes_beside_them(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = [label for label, _ in pairs], [label for _, label in pairs]
    chosen = choose_samples(actual, predicted)
    evenly = [index for index, mistake in chosen if not mistake]
    mistakes = [index for index, mistake in chosen if mistake]
    assert len(evenly) == min(EVEN_SAMPLES, len(pairs))
    assert evenly == [index for index, mistake in choose_samples(actual, actual)]
    assert not set(evenly) & set(mistakes)
    assert all(actual[index] != predicted[index] for index in mistakes)
    wrong = sum(actual[index] != predicted[index] for index in range(len(pairs)) if index not in evenly)
    assert len(mistakes) == min(MISTAKE_SAMPLES, wrong)


def test_copies_are_small_and_hold_no_metadata(tmp_path: Path) -> None:
    turned = Image.new("RGB", (900, 600), "orange")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "somebody's camera"
    turned.save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGBA", (40, 30), (0, 255, 0, 80)).save(tmp_path / "b.png")
    (tmp_path / "c.jpg").write_text("no picture")
    images = ImageSet(
        name="two",
        classes=("pizza", "sushi"),
        train=(),
        test=tuple(LabelledImage(tmp_path / name, 0) for name in ("a.jpg", "b.png", "c.jpg")),
        provenance=Provenance("two", "here"),
        examined=3,
    )
    record = add_sample_images(records.training(1, "createml"), images, [0, 1, 1], tmp_path / "run")
    assert isinstance(record.outcome, Trained)
    assert record.outcome.samples == ()  # the run's folder is not there: the run is not lost for it
    (tmp_path / "run").mkdir()
    record = add_sample_images(record, images, [0, 1, 1], tmp_path / "run")
    assert isinstance(record.outcome, Trained)
    assert [(sample.actual, sample.predicted) for sample in record.outcome.samples] == [
        ("pizza", "pizza"),
        ("pizza", "sushi"),
    ]
    with Image.open(tmp_path / "run" / record.outcome.samples[0].path) as copy:
        assert copy.size == (107, 160)
        assert not copy.getexif()
    with Image.open(tmp_path / "run" / record.outcome.samples[1].path) as copy:
        assert (copy.format, copy.size) == ("JPEG", (40, 30))
