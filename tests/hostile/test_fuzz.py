"""A short share of the fuzzing, with fixed seeds, and all inputs that once went wrong."""

import pytest
from flips import KEPT, flips
from fuzzing import CORPUS, READERS, fuzz, outcome

SHORT = 60


@pytest.mark.parametrize("name", READERS)
def test_whatever_the_bytes_a_reader_gives_a_value_or_one_error_of_ours(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    became = fuzz(name, SHORT)
    assert sum(became.values()) == SHORT


@pytest.mark.parametrize("name", READERS)
def test_what_is_spoilt_was_good(name, monkeypatch, tmp_path):
    """Or fuzzing would meet the first line of a reader alone."""
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    for number, good in enumerate(READERS[name].seeds()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / READERS[name].file).write_bytes(good)
        assert outcome(READERS[name], folder / READERS[name].file) == "read"


@pytest.mark.parametrize("name", KEPT)
def test_no_flipped_bit_goes_unnoticed(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    became = flips(name, SHORT // 2)
    assert became["other"] == 0
    assert became["refused"] > SHORT / 4


OF_KIND = {
    "onnx": ("onnx",),
    "curves": ("curves",),
    "toml": ("design", "study", "plan", "cluster", "sheet"),
    "npy": ("npy",),
    "npz": ("npz",),
}


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.*")), ids=lambda path: path.name)
def test_what_once_went_wrong_is_refused(path, tmp_path):
    for name in OF_KIND[path.parent.name]:
        copy = tmp_path / READERS[name].file
        copy.write_bytes(path.read_bytes())
        assert outcome(READERS[name], copy) == "refused"
