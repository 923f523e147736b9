"""Faces as TFRecord shards: `train-00000-of-00004.tfrecord` and the like, and faces.json, which says what is in them.

Each record is a tf.train.Example with the names that TensorFlow's own tools use: image/encoded (PNG, or raw R, G, B or
gray bytes), image/format, image/height, image/width, image/channels, image/class/label, image/class/text; and row,
subject and source, where the faces have them. faces.json counts the records: a shard that ends early between two
records looks whole otherwise.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge.files import check_folder_target, replace_folder, write_text
from fer_edge.images import decode_image
from fer_edge.preprocess import face_pixels
from fer_edge_train.datasets.arrays import FaceSet, pixel_digests
from fer_edge_train.datasets.labels import CONTEMPT
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped
from fer_edge_train.datasets.tfrecord.example import Feature, decode_example, encode_example
from fer_edge_train.datasets.tfrecord.framing import DamagedRecordError, read_records, write_records

__all__ = ["ENCODINGS", "KIND", "MANIFEST_NAME", "SCHEMA", "read_tfrecords", "write_tfrecords"]

Pixels = npt.NDArray[np.uint8]

SCHEMA = "fer-edge/face-records/1"
MANIFEST_NAME = "faces.json"
ENCODINGS = ("png", "raw")
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)


class _FaceRecord(NamedTuple):
    image: Pixels
    label_index: int
    row: int
    subject: str | None
    source: str | None


def write_tfrecords(
    splits: Mapping[str, FaceSet],
    out: Path,
    *,
    encoding: str = "png",
    records_per_shard: int = 8192,
    force: bool = False,
) -> None:
    """Write a folder of shards; it appears when it is complete.

    Unfinished work is kept in `out` + ".partial": the same call goes on after the last shard that was complete.

    Args:
        splits: by name, with the same labels and size of image.
        out: the folder to make.
        encoding: "png", which has no loss, or "raw".
        records_per_shard: at most this many in one file.
        force: replace such a folder where it exists.

    Raises:
        InputError: labels or sizes of the splits differ.
        OutputError: the folder cannot be written.
        UsageError: `out` exists without `force`, or an argument is out of range.
    """
    if encoding not in ENCODINGS:
        raise UsageError(f"encoding: expected one of {', '.join(ENCODINGS)}, found {encoding!r}")
    if records_per_shard < 1:
        raise UsageError(f"records_per_shard: expected at least 1, found {records_per_shard}")
    check_folder_target(out, force=force, marker=MANIFEST_NAME)
    manifest = _manifest(splits, encoding, records_per_shard)
    text = json.dumps(manifest, indent=1) + "\n"
    staging = out.with_name(f"{out.name}.partial")
    try:
        if _read_text(staging / MANIFEST_NAME) != text:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            write_text(staging / MANIFEST_NAME, text)
        # A process that was killed leaves a shard that is not whole, under a hidden name.
        for leftover in staging.glob(".*"):
            leftover.unlink()
        for name, faces in splits.items():
            start = 0
            for shard in manifest["splits"][name]["shards"]:
                path, end = staging / shard["file"], start + shard["records"]
                if not path.exists():
                    write_records(path, (_encode_face(faces, i, encoding) for i in range(start, end)))
                start = end
        replace_folder(staging, out)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error


def read_tfrecords(folder: Path, skipped: Skipped | None = None) -> dict[str, FaceSet]:
    """Read the faces of each split as they were written.

    Args:
        folder: made by `write_tfrecords`.
        skipped: where records that cannot be used are counted; None stops at the first.

    Raises:
        InputError: the folder, a shard or a record is damaged; the message names the record.
    """
    skipped = skipped or Skipped(skip_bad=False)
    manifest = _read_manifest(folder)
    sets = {}
    for name, split in manifest["splits"].items():
        n_bad = skipped.n_bad
        records = [
            record
            for shard in split["shards"]
            for record in _read_shard(folder / shard["file"], shard["records"], manifest, skipped)
        ]
        faces = _to_set(records, manifest)
        if skipped.n_bad == n_bad and faces.digest() != split["digest"]:
            raise InputError(
                f"{folder}: expected {name} with the digest {split['digest'][:16]}…, found {faces.digest()[:16]}…; "
                "shards of another writing are among them, write it again"
            )
        sets[name] = faces
    return sets


def _manifest(splits: Mapping[str, FaceSet], encoding: str, records_per_shard: int) -> dict[str, Any]:
    if not splits:
        raise InputError("expected at least one split to write, found none")
    first_name, first = next(iter(splits.items()))
    described = {}
    for name, faces in splits.items():
        if not _SPLIT_NAME.fullmatch(name):
            raise UsageError(f"split: expected a name of letters, digits and underscores, found {name!r}")
        if faces.labels != first.labels or faces.images.shape[1:] != first.images.shape[1:]:
            raise InputError(
                f"{name}: expected labels and size of {first_name}, {first.labels} and {first.images.shape[1:]}, "
                f"found {faces.labels} and {faces.images.shape[1:]}"
            )
        n_shards = -(-len(faces) // records_per_shard)
        described[name] = {
            "records": len(faces),
            "digest": faces.digest(),
            "origin_digest": _origin_digest(faces),
            "shards": [
                {
                    "file": f"{name}-{i:05d}-of-{n_shards:05d}.tfrecord",
                    "records": min(records_per_shard, len(faces) - i * records_per_shard),
                }
                for i in range(n_shards)
            ],
        }
    return {
        "schema": SCHEMA,
        "labels": list(first.labels),
        "image_shape_hwc": list(first.images.shape[1:]),
        "encoding": encoding,
        "splits": described,
    }


def _origin_digest(faces: FaceSet) -> str:
    """Return a digest of rows, subjects and sources: with `digest()` it decides what is in the shards."""
    texts = [None if array is None else array.tolist() for array in (faces.rows, faces.subjects, faces.sources)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _read_text(path: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return None


def _encode_face(faces: FaceSet, index: int, encoding: str) -> bytes:
    image, label = faces.images[index], int(faces.label_indices[index])
    height, width, channels = image.shape
    features: dict[str, Feature] = {
        "image/encoded": [_encode_image(image, encoding)],
        "image/format": [encoding.encode()],
        "image/height": [height],
        "image/width": [width],
        "image/channels": [channels],
        "image/class/label": [label],
        "image/class/text": [faces.labels[label].encode()],
        "row": [int(faces.rows[index])],
    }
    for name, texts in (("subject", faces.subjects), ("source", faces.sources)):
        if texts is not None:
            features[name] = [str(texts[index]).encode()]
    return encode_example(features)


def _encode_image(image: Pixels, encoding: str) -> bytes:
    if encoding == "raw":
        # TensorFlow's decoders give R, G, B: raw bytes are in the same order.
        return np.ascontiguousarray(image[..., ::-1]).tobytes()
    _, encoded = import_cv2().imencode(".png", image)
    data: bytes = encoded.tobytes()
    return data


def _read_shard(path: Path, n_records: int, manifest: dict[str, Any], skipped: Skipped) -> Iterator[_FaceRecord]:
    """Yield each record that can be used."""
    n_seen = 0
    try:
        for record in read_records(path):
            n_seen += 1
            try:
                yield _decode_face(record, f"{path}: record {n_seen}", manifest)
            except InputError as error:
                skipped.bad(error)
    except InputError as error:
        # What comes after this record cannot be found any more.
        skipped.bad(error, max(n_records - n_seen, 1))
        return
    if n_seen != n_records:
        skipped.bad(
            InputError(f"{path}: expected {n_records} records as {MANIFEST_NAME} says, found {n_seen}"),
            abs(n_records - n_seen),
        )


def _decode_face(record: bytes | DamagedRecordError, where: str, manifest: dict[str, Any]) -> _FaceRecord:
    if isinstance(record, DamagedRecordError):
        raise record
    try:
        features = decode_example(record)
        shape = tuple(_integer(features, f"image/{name}") for name in ("height", "width", "channels"))
        label, row = _integer(features, "image/class/label"), _integer(features, "row")
        encoding, text = _text(features, "image/format"), _text(features, "image/class/text")
        encoded = features["image/encoded"][0]
        subject, source = (_text(features, name) if name in features else None for name in ("subject", "source"))
    except KeyError as error:
        raise InputError(f"{where}: expected a face's features, found none named {error.args[0]}") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"{where}: expected a tf.train.Example of a face, found other contents ({error})") from error
    if list(shape) != manifest["image_shape_hwc"] or not isinstance(encoded, bytes):
        raise InputError(f"{where}: expected an image of {manifest['image_shape_hwc']}, found {list(shape)}")
    labels = manifest["labels"]
    if not 0 <= label < len(labels) or labels[label] != text:
        raise InputError(f"{where}: expected a label of {', '.join(labels)}, found {label} named {text!r}")
    return _FaceRecord(
        image=_decode_pixels(encoded, encoding, shape, where),
        label_index=label,
        row=row,
        subject=subject,
        source=source,
    )


def _integer(features: Mapping[str, Feature], name: str) -> int:
    value = features[name][0]
    if not isinstance(value, int):
        raise ValueError(f"{name} is no integer")
    return value


def _text(features: Mapping[str, Feature], name: str) -> str:
    value = features[name][0]
    if not isinstance(value, bytes):
        raise ValueError(f"{name} is no text")
    return value.decode()


def _decode_pixels(encoded: bytes, encoding: str, shape: tuple[int, ...], where: str) -> Pixels:
    if encoding == "raw":
        pixels = np.frombuffer(encoded, dtype=np.uint8)
        if pixels.size != np.prod(shape):
            raise InputError(f"{where}: expected {int(np.prod(shape))} bytes of pixels, found {pixels.size}")
        return pixels.reshape(shape)[..., ::-1]
    image = decode_image(encoded, where)
    if image.shape[:2] != shape[:2]:
        raise InputError(f"{where}: expected a picture of {shape[1]} x {shape[0]}, found {image.shape[1::-1]}")
    # A gray picture is decoded to three equal channels.
    return image[..., : shape[2]]


def _to_set(records: list[_FaceRecord], manifest: dict[str, Any]) -> FaceSet:
    shape = (len(records), *manifest["image_shape_hwc"])
    return FaceSet(
        images=np.array([record.image for record in records], dtype=np.uint8).reshape(shape),
        label_indices=np.array([record.label_index for record in records], dtype=np.int64),
        labels=tuple(manifest["labels"]),
        rows=np.array([record.row for record in records], dtype=np.int64),
        subjects=_texts([record.subject for record in records]),
        sources=_texts([record.source for record in records]),
    )


def _texts(texts: list[str | None]) -> npt.NDArray[np.str_] | None:
    if all(text is None for text in texts):
        return None
    return np.array([text or "" for text in texts], dtype=np.str_)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        schema = manifest["schema"]
        shape, labels = manifest["image_shape_hwc"], manifest["labels"]
        well_formed = (
            len(shape) == 3
            and all(isinstance(side, int) and 0 < side <= 4096 for side in shape)
            and shape[2] in (1, 3)
            and all(isinstance(label, str) for label in labels)
            and all(
                isinstance(split["digest"], str)
                and all(
                    isinstance(shard["records"], int) and Path(shard["file"]).name == shard["file"]
                    for shard in split["shards"]
                )
                for split in manifest["splits"].values()
            )
        )
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; expected faces as TFRecords") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected the description of face records, found other contents") from error
    if schema != SCHEMA:
        raise InputError(f"{path}: expected the schema {SCHEMA}, found {str(schema)[:60]!r}")
    if not well_formed:
        raise InputError(f"{path}: expected the description of face records, found other contents")
    found: dict[str, Any] = manifest
    return found


def _read(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the splits and bring their faces to the size, colour and labels asked for."""
    sets = {}
    for name, faces in read_tfrecords(folder, skipped).items():
        foreign = [label for label in faces.labels if label not in (*options.labels, CONTEMPT)]
        if foreign:
            raise InputError(f"{folder}: expected labels of {', '.join(options.labels)}, found {', '.join(foreign)}")
        keep = np.array([faces.labels[i] in options.labels for i in faces.label_indices], dtype=np.bool_)
        skipped.leave_out(f"faces of {CONTEMPT}", int((~keep).sum()))
        kept = faces.take(keep)
        position = {label: i for i, label in enumerate(options.labels)}
        size_wh = (options.size_px, options.size_px)
        images = [face_pixels(image, size_wh, options.channels) for image in kept.images]
        sets[name] = replace(
            kept,
            images=np.array(images, dtype=np.uint8).reshape(len(kept), *size_wh, options.channels),
            label_indices=np.array([position[kept.labels[i]] for i in kept.label_indices], dtype=np.int64),
            labels=options.labels,
            originals=pixel_digests(kept.images),
        )
    return sets


def _recognise(path: Path) -> bool:
    return path.is_dir() and (path / MANIFEST_NAME).is_file()


KIND = DatasetKind(
    title="faces as TFRecords",
    licence="that of the data sets they were made of",
    layout=f"{MANIFEST_NAME} and *.tfrecord",
    recognise=_recognise,
    read=_read,
)
