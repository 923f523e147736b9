"""One class that analyses batches of pictures, in a worker process of ours as in an engine for clusters."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bulk.inputs import Item, read_pixel_texts
from fer_edge.bulk.models import BulkModel, PhotoModel, open_classifier
from fer_edge.bulk.pixel_text import parse_pixels, parse_pixels_of_many
from fer_edge.errors import InputError, UsageError
from fer_edge.images import decode_image, read_image
from fer_edge.pipeline import EmotionPipeline

__all__ = ["BulkPredictor"]

Pixels = npt.NDArray[np.uint8]

_SMALL_FILE_BYTES = 1 << 20
_MAX_BATCH = 1024  # a session's memory grows with it; speed does not from 32 on


class BulkPredictor:
    """Finds and classifies faces in batches of photos, or classifies batches of faces that are cut already.

    Its arguments are plain values and nothing is loaded before it is needed, so it can be made in one process and used
    in another. Called with columns it is a class for `map_batches` of Ray Data (docs/bulk.md).

    Attributes:
        faces: whether the pictures are faces.
        batch_size: how many faces the classifier runs at once.
    """

    def __init__(
        self,
        *,
        faces: bool = False,
        bundle: str | Path | None = None,
        engine: str | None = None,
        precision: str | None = None,
        min_face_px: float = 40.0,
        batch_size: int = 32,
        threads: int = 1,
    ) -> None:
        """Remember the arguments.

        Args:
            faces: the pictures are faces; otherwise photos in which faces are looked for.
            bundle: folder or .zip; None for the one that is installed with fer-edge.
            engine: "litert", "onnx" or "openvino"; None for the first that is installed and in the bundle.
            precision: of the classifier; None for the bundle's preferred one.
            min_face_px: smallest face looked for in photos, in pixels.
            batch_size: how many faces the classifier runs at once; a photo's faces are run one by one.
            threads: that the engine may use; more processes use a machine better than more threads.

        Raises:
            UsageError: `batch_size` is out of range.
        """
        if not 1 <= batch_size <= _MAX_BATCH:
            raise UsageError(f"batch size: expected a whole number from 1 to {_MAX_BATCH}, found {batch_size}")
        self.faces = faces
        self.batch_size = batch_size
        self._bundle = None if bundle is None else str(bundle)
        self._engine = engine
        self._precision = precision
        self._min_face_px = min_face_px
        self._threads = threads
        self._model: BulkModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the arguments alone: an engine does not go from process to process."""
        return {**self.__dict__, "_model": None}

    def load(self) -> BulkModel:
        """Load the engine's library and read the models' bytes, once; the first batch makes the engine's sessions.

        A process that is forked between the two shares library and bytes with the others and has its own sessions.

        Raises:
            InputError: there is no bundle.
            IntegrityError: the bundle is damaged.
            MissingExtraError: the engine is not installed, or the bundle has nothing for it in that precision.
            UsageError: an option has no valid value.
        """
        if self._model is None:
            if self.faces:
                self._model = open_classifier(
                    self._bundle, self._engine, self._precision, threads=self._threads, batch_size=self.batch_size
                )
            else:
                pipeline = EmotionPipeline(
                    self._bundle,
                    engine=self._engine,
                    precision=self._precision,
                    min_face_px=self._min_face_px,
                    threads=self._threads,
                )
                self._model = PhotoModel(pipeline)
        return self._model

    def identity(self) -> dict[str, str]:
        """Return by name what the answers depend on."""
        model = self.load()
        identity = {
            "kind": "faces" if self.faces else "photos",
            "engine": model.engine_version,
            "precision": model.precision,
            "bundle_sha256": model.bundle_sha256,
        }
        return identity if self.faces else identity | {"min_face_px": str(float(self._min_face_px))}

    def analyse(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Return for each item what is known about it: JSON types under the model's `keys`.

        Raises:
            EngineError: the engine fails.
        """
        model = self.load()
        if all(_has_text(item) for item in items):
            return model.answer(parse_pixels_of_many(read_pixel_texts(items)), _or_raise)
        return model.answer(items, _read_item)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Analyse a batch of columns; the column with the pictures goes, the others stay, the answers are added.

        Args:
            batch: columns of one length. Pictures are in the first there is of `image` (uint8 arrays, (h, w),
                (h, w, 1) or (h, w, 3) in R, G, B, as Ray reads them), `bytes` (contents of picture files), `pixels`
                (square gray faces as text) and `path` (of files to read; this one stays).

        Returns:
            `error` as text or None, and of faces `emotion` (text or None) and `probs`, float32 (n, labels), NaN where
            there is an error; of photos `size_wh` and `faces`, lists as in the JSON that `fer-edge bulk` writes.

        Raises:
            InputError: no column holds pictures, or one has the name of an answer.
            EngineError: the engine fails.
        """
        name = next((name for name in _READERS if name in batch), None)
        if name is None:
            raise InputError(f"expected a column {', '.join(_READERS)}, found {', '.join(batch)}")
        model = self.load()
        taken = sorted(set(model.keys) & set(batch))
        if taken:
            raise InputError(f"the column {taken[0]} is one that is to be added; rename it before")
        answers = model.answer(batch[name], _READERS[name])
        columns = {key: values for key, values in batch.items() if key != name or name == "path"}
        for key in model.keys:
            columns[key] = _column([answer[key] for answer in answers])
        if self.faces:
            unknown = dict.fromkeys(model.labels, np.nan)
            rows = [list((answer["probs"] or unknown).values()) for answer in answers]
            columns["probs"] = np.array(rows, np.float32).reshape(len(answers), len(model.labels))
        return columns


def _read_item(item: Item) -> Pixels:
    if item.problem is not None:
        raise InputError(item.problem)
    if _has_text(item) or item.path is None:
        return parse_pixels(read_pixel_texts([item])[0])
    return _read_path(item.path)


def _has_text(item: Item) -> bool:
    return item.span is not None or item.pixel_text is not None


def _or_raise(found: Pixels | InputError) -> Pixels:
    if isinstance(found, InputError):
        raise found
    return found


def _read_rgb(image: Pixels) -> Pixels:
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels


def _read_bytes(data: bytes) -> Pixels:
    return decode_image(bytes(data), "picture")


def _read_text(text: str | bytes) -> Pixels:
    return parse_pixels(text.encode(errors="replace") if isinstance(text, str) else bytes(text))


def _read_path(path: str) -> Pixels:
    if "\0" in path:
        raise InputError(f"{path!r}: expected a path, found one with a zero byte in it")
    data = _contents_if_small(path)
    return read_image(Path(path)) if data is None else decode_image(data, path)


def _contents_if_small(path: str) -> bytes | None:
    """Return what is in a plain small file; None for anything else, for which `read_image` knows what to say.

    Of a face of 48 x 48 pixels, looking at the file with pathlib would take as long as decoding it.
    """
    try:
        # Opening a pipe must not wait for a writer.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _SMALL_FILE_BYTES:
            return None
        data = os.read(file, status.st_size)
        return data if len(data) == status.st_size else None
    except OSError:
        return None
    finally:
        os.close(file)


_READERS: dict[str, Callable[[Any], Pixels]] = {
    "image": _read_rgb,
    "bytes": _read_bytes,
    "pixels": _read_text,
    "path": _read_path,
}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    """Return an array of objects: numpy would make one of more dimensions of lists of one length."""
    column = np.empty(len(values), object)
    column[:] = values
    return column
