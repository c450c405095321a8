"""Images are read from every form in which people have them, and never unpickled."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ecnas.errors import CorruptFileError
from ecnas.network.images import load_images

RNG = np.random.default_rng(0)
BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
IMAGES = {name: RNG.integers(0, 256, (20, 32, 32, 3), np.uint8) for name in BATCHES}
LABELS = {name: RNG.integers(0, 10, 20) for name in BATCHES}
PLANES = {name: images.transpose(0, 3, 1, 2).reshape(20, 3072) for name, images in IMAGES.items()}


def write_binary(folder):
    folder.mkdir(parents=True)
    for name in BATCHES:
        rows = np.concatenate([LABELS[name][:, None].astype(np.uint8), PLANES[name]], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


def python2_pickle(name: str) -> bytes:
    """A batch as Python 2 pickled it: texts are byte strings, and labels come in portions."""

    def text(value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + len(value).to_bytes(4, "little") + value

    def count(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")

    labels = LABELS[name].tolist()
    portions = b"".join(b"(" + b"".join(map(count, part)) + b"e" for part in (labels[:13], labels[13:]))
    pixels = PLANES[name].tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x04(cnumpy\nndarray\nq\x05K\x00\x85" + text(b"b") + b"tR"
        b"(K\x01" + count(20) + count(3072) + b"\x86cnumpy\ndtype\nq\x06(" + text(b"u1") + b"K\x00K\x01tR"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + text(pixels) + b"tb"
    )
    pairs = [
        text(b"batch_label") + text(b"training batch 1 of 5"),
        text(b"labels") + b"q\x02]q\x03" + portions,
        text(b"data") + array,
        text(b"filenames") + b"](" + text(b"leptodactylus_s_000001.png") + b"e",
    ]
    return b"\x80\x02}q\x01(" + b"".join(pairs) + b"u."


def write_python2(folder):
    folder.mkdir(parents=True)
    for name in BATCHES:
        (folder / name).write_bytes(python2_pickle(name))


def write_python3(folder):
    folder.mkdir(parents=True)
    for name in BATCHES:
        values = {"batch_label": "one", "labels": LABELS[name].tolist(), "data": PLANES[name].tobytes()}
        (folder / name).write_bytes(pickle.dumps(values, protocol=4))


def expect_all(images):
    whole = np.concatenate([IMAGES[name] for name in BATCHES[:5]])
    labels = np.concatenate([LABELS[name] for name in BATCHES[:5]])
    assert (len(images.train), len(images.validation), len(images.test)) == (80, 20, 20)  # the fifth batch validates
    np.testing.assert_array_equal(np.concatenate([images.train.images, images.validation.images]), whole)
    np.testing.assert_array_equal(np.concatenate([images.train.labels, images.validation.labels]), labels)
    np.testing.assert_array_equal(images.test.images, IMAGES["test_batch"])
    np.testing.assert_array_equal(images.test.labels, LABELS["test_batch"])
    assert images.num_classes == 10
    assert images.image_size == 32


@pytest.mark.parametrize("write", [write_binary, write_python2, write_python3])
def test_a_folder_of_cifar10(tmp_path, write):
    write(tmp_path / "cifar")
    expect_all(load_images(tmp_path / "cifar"))


@pytest.mark.parametrize("inside", ["cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"])
def test_keras_cache(tmp_path, monkeypatch, inside):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="cifar10.load_data"):
        load_images("cifar10")
    write_python2(tmp_path / "datasets" / inside)
    expect_all(load_images("cifar10"))


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    write_python3(tmp_path / "cifar")
    values = {"labels": LABELS["test_batch"].tolist(), "data": PLANES["test_batch"].tobytes(), "trap": Trap()}
    (tmp_path / "cifar" / "test_batch").write_bytes(pickle.dumps(values))
    expect_all(load_images(tmp_path / "cifar"))
    assert not (tmp_path / "sprung").exists()


def test_an_npz(tmp_path):
    arrays = {"x_train": IMAGES["data_batch_1"], "y_train": LABELS["data_batch_1"][:, None]}
    arrays |= {"x_test": IMAGES["test_batch"], "y_test": LABELS["test_batch"]}
    np.savez(tmp_path / "split.npz", **arrays)
    images = load_images(tmp_path / "split.npz")
    assert (len(images.train), len(images.validation), len(images.test)) == (16, 4, 20)
    np.savez(tmp_path / "given.npz", **arrays, x_val=IMAGES["data_batch_2"], y_val=LABELS["data_batch_2"])
    given = load_images(tmp_path / "given.npz")
    np.testing.assert_array_equal(given.validation.images, IMAGES["data_batch_2"])
    assert len(given.train) == 20
    assert given.digest != images.digest


def test_scaling_is_that_of_the_training_images(tmp_path):
    write_binary(tmp_path / "cifar")
    images = load_images(tmp_path / "cifar")
    scaled = images.scaled(images.train.images)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": IMAGES["test_batch"] / 255}, "training images must be uint8 .* got float64"),
        ({"x_test": IMAGES["test_batch"][:, :16]}, "must all be square and of one size"),
        ({"y_test": LABELS["test_batch"][:3]}, "test images must have one label each"),
        ({"y_train": LABELS["test_batch"] / 1}, "y_train must be integers, got float64"),
        ({"x_val": IMAGES["test_batch"]}, "may have x_val and y_val"),
    ],
)
def test_arrays_that_are_no_labelled_images(tmp_path, change, message):
    part = {"x_train": IMAGES["test_batch"], "y_train": LABELS["test_batch"]}
    part |= {"x_test": IMAGES["test_batch"], "y_test": LABELS["test_batch"]}
    np.savez(tmp_path / "odd.npz", **(part | change))
    with pytest.raises(ValueError, match=message):
        load_images(tmp_path / "odd.npz")


def test_objects_in_an_npz_are_refused(tmp_path):
    np.savez(tmp_path / "odd.npz", x_train=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CorruptFileError, match=r"odd\.npz"):
        load_images(tmp_path / "odd.npz")


def test_damaged_files(tmp_path):
    write_binary(tmp_path / "cifar")
    with (tmp_path / "cifar" / "data_batch_3.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CorruptFileError, match=r"data_batch_3\.bin.*3073 bytes an image"):
        load_images(tmp_path / "cifar")
    write_python2(tmp_path / "other")
    whole = (tmp_path / "other" / "test_batch").read_bytes()
    (tmp_path / "other" / "test_batch").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match="test_batch"):
        load_images(tmp_path / "other")


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder 'nowhere'"):
        load_images("nowhere")
    with pytest.raises(FileNotFoundError, match="no batches of CIFAR-10"):
        load_images(tmp_path)
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"an \.npz file, got"):
        load_images(tmp_path / "a.pkl")
