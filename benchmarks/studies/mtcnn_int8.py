"""What does int8 cost MTCNN, stage by stage and engine by engine, and what makes the naive way collapse?

    python benchmarks/studies/mtcnn_int8.py margins|tensors|weights|causes|engines|speed [--every N] [--output FILE]

- margins: what quantization adds to log-odds near a stage's threshold, for several draws of calibration photos.
- tensors: what quantization leaves of each stage's outputs and inner tensors, on stage inputs that calibrated nothing.
- weights: what rounding nothing but weights leaves of the outputs.
- causes: average precision of the cascade with one stage quantized in naive and in better ways for one engine, the
  others in float.
- engines: the same for what fer_edge_convert.detector_recipe ships, each stage alone and all together.
- speed: ms of one photo of 640 x 480 by stage, in turns within one process, and bytes of the files.

Calibration photos are ExpW's part "fit" ($FER_EDGE_DATA/expw_dev), those for `tensors` its part "held-out"; average
precision is measured on $FER_EDGE_DATA/wider_face, on every N-th photo, and on two halves of them: where ways are
chosen by it, they are chosen on "fit". One thread. docs/mtcnn-int8.md has the results.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.bundle import Bundle, Manifest, StageSpec
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.engines import load_engine
from fer_edge.images import read_image
from fer_edge.preprocess import resize_exact
from fer_edge.stage import Stage
from fer_edge_bench.detection_metrics import Detections, evaluate_detections
from fer_edge_bench.wider import WiderPhoto, read_wider
from fer_edge_convert.detector_calibration import (
    TILE_PX,
    CalibrationLimits,
    DetectorCalibration,
    calibration_of_detector,
)
from fer_edge_convert.detector_recipe import DETECTOR_RECIPES, PRELU_FORMS, DetectorNetwork, PreluForm, StageRecipe
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.source_models import read_detector
from fer_edge_convert.variants import describe_variant
from fer_edge_train.labelled_photos import part_of_photo, photos_of_part, read_labelled_photos

Pixels = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FER_EDGE_DATA", ROOT.parent / "shared" / "data"))
ENGINES = ("litert", "onnx", "openvino")
OUTPUT_NAMES = {"pnet": ("logit", "offsets"), "rnet": ("logit", "offsets"), "onet": ("logit", "offsets", "landmarks")}
OUTPUT_LENGTHS = {"logit": 1, "offsets": 4, "landmarks": 10}
SEED = 2013
N_PHOTOS = 75  # that calibrate
OPTIONS = DetectorOptions(min_face_px=20.0)
LEAST_SIDES_PX = (50, 30, 10)
NEAR = 3.0  # log-odds from the threshold, either way
N_ROUNDS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to make one stage's files.

    Attributes:
        name: in tables.
        calibration: "noise", "crops", "cascade" (what the float cascade gave the stage, as often as it came) or "half
            faces" (the same, half of it let pass by the stage).
        recipe: precision and, for int8, ranges and float layers.
        float_heads: the last layers stay in float32.
        prelu: in the .onnx; None for what the engine likes best.
    """

    name: str
    calibration: str = "cascade"
    recipe: StageRecipe = field(default_factory=lambda: StageRecipe(precision="int8"))
    float_heads: bool = False
    prelu: PreluForm | None = None


def with_method(name: str, method: str, *, corrected: bool = False, **changes: object) -> Way:
    quantization = VariantRecipe(method=method, bias_correction=corrected)  # type: ignore[arg-type]
    recipe = StageRecipe(precision="int8", quantization=quantization)
    return replace(Way(name=name, recipe=recipe), **changes)  # type: ignore[arg-type]


def in_precision(precision: str) -> Way:
    return Way(name=precision, recipe=StageRecipe(precision=precision))


FLOAT = in_precision("float32")
NAIVE = (
    with_method("noise, min-max", "min-max", calibration="noise"),
    with_method("random crops, min-max", "min-max", calibration="crops"),
)
METHODS = tuple(with_method(f"cascade, {method}", method) for method in ("min-max", "percentile", "mse", "entropy"))


def ways_of(engine: str) -> tuple[Way, ...]:
    """Return what `tensors` compares: the calibration on LiteRT, the forms of PReLU where the .onnx has them."""
    if engine == "litert":
        return (
            *NAIVE,
            *METHODS,
            with_method("half faces, mse", "mse", calibration="half faces"),
            with_method("cascade, mse, float heads", "mse", float_heads=True),
            in_precision("dynamic-int8"),
            in_precision("float16"),
        )
    methods = ("percentile", "mse") if engine == "onnx" else ("mse",)
    return (
        NAIVE[0],
        *((replace(NAIVE[0], name="noise, min-max, float heads", float_heads=True),) if engine == "onnx" else ()),
        *(
            with_method(f"cascade, {method}, PReLU as {form}", method, prelu=form)
            for form in get_args(PreluForm)
            for method in methods
        ),
        in_precision("float16"),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A stage that runs, and how long its files are."""

    key: str
    stage: Stage
    n_bytes: int


class Workshop:
    """Makes stages in all ways, each once.

    Args:
        folder: empty, for the files.
        draw: seed of the calibration photos and of what is drawn from them; None for the study's own.
    """

    def __init__(self, folder: Path, draw: int | None = None) -> None:
        import keras

        self._folder, self._draw = folder, draw
        paths = read_detector(ROOT / "models" / "mtcnn").paths
        self.networks = {name: keras.saving.load_model(paths[name], compile=False) for name in NETWORKS}
        self._calibrated: dict[tuple[str, str, str], CalibratedModel] = {}
        self._made: dict[tuple[str, str, Way], Made] = {}
        self._calibration: DetectorCalibration | None = None

    def make(self, name: str, engine: str, way: Way) -> Made:
        """Return the stage `name` as it comes out of a way."""
        key = (name, engine, way)
        if key not in self._made:
            precision, recipe = way.recipe.precision, self.recipe(name, engine, way)
            model = self.calibrated(name, engine, way)
            converted = quantizer_for(engine, model).convert(precision, recipe)
            lengths = [OUTPUT_LENGTHS[output] for output in OUTPUT_NAMES[name]]
            made = describe_variant(name, engine, precision, converted, model.model, lengths, recipe)
            folder = self._folder / str(len(self._made))
            folder.mkdir()
            for entry, content in zip(made.variant.files(), made.contents, strict=True):
                (folder / entry.file).write_bytes(content)
            stage = StageSpec(
                name=name, colour="bgr", pixel_mean=0.0, pixel_std=1.0, layout="NHWC", variants=(made.variant,)
            )
            manifest = Manifest(
                name="study",
                version="1",
                licence="MIT",
                labels=("face",),
                stages={name: stage},
                provenance={},
                calibration={},
                attribution=(),
            )
            (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
            self._made[key] = Made(
                key=f"{name} {engine} {way.name}",
                stage=_stage(Bundle.open(folder), name, engine),
                n_bytes=sum(len(content) for content in made.contents),
            )
        return self._made[key]

    def recipe(self, name: str, engine: str, way: Way) -> VariantRecipe:
        """Return what the quantizer is told."""
        if not way.float_heads:
            return way.recipe.quantization
        layers = quantizer_for(engine, self.calibrated(name, engine, way)).layers
        heads = tuple(layer.label for layer in layers[-len(OUTPUT_NAMES[name]) :])
        return replace(way.recipe.quantization, float_layers=heads)

    def calibrated(self, name: str, engine: str, way: Way) -> CalibratedModel:
        """Return a network in a way's form, with its calibration images."""
        key = (name, way.calibration, way.prelu or PRELU_FORMS[engine])
        if key not in self._calibrated:
            network = DetectorNetwork(self.networks[name], prelu=way.prelu or PRELU_FORMS[engine])
            images = self._images(name, way.calibration)
            self._calibrated[key] = CalibratedModel(network, images.astype(np.float32), (0.0, 255.0))
        return self._calibrated[key]

    def calibration(self) -> DetectorCalibration:
        """Return what the float cascade's stages are given on the calibration photos."""
        if self._calibration is None:
            photos = calibration_photos("fit", self._draw)
            seed = SEED if self._draw is None else self._draw
            self._calibration = calibration_of_detector(photos, Bundle.open(None), OPTIONS, seed=seed)
        return self._calibration

    def _images(self, name: str, kind: str) -> Pixels:
        found = self.calibration().of(name)
        n = len(found)
        rng = np.random.default_rng(SEED)
        if kind == "noise":
            return rng.integers(0, 256, (n, *found.shape[1:]), np.uint8)
        if kind == "crops":
            return np.stack([random_crop(name, photo, rng) for photo in calibration_photos("fit") for _ in range(2)])[
                :n
            ]
        if kind == "half faces":
            limits = CalibrationLimits(pnet_tiles=4 * n, rnet_crops=8 * n, onet_crops=4 * n)
            more = calibration_of_detector(
                calibration_photos("fit"), Bundle.open(None), OPTIONS, seed=SEED, limits=limits
            )
            passes = face_logits(name, more.of(name)) > 0
            halves = [np.flatnonzero(passes)[: n // 2], np.flatnonzero(~passes)[: n // 2]]
            return more.of(name)[np.concatenate(halves)]
        return found


def _stage(bundle: Bundle, name: str, engine: str) -> Stage:
    return Stage(bundle, name, load_engine(engine), batch_sizes=(1, 8) if name == "rnet" else (1,))


@cache
def float_detector() -> FaceDetector:
    bundle = Bundle.open(None)
    pnet, rnet, onet = (
        Stage(bundle, name, load_engine("litert"), precision="float32", batch_sizes=(1, 8) if name == "rnet" else (1,))
        for name in NETWORKS
    )
    return FaceDetector(pnet, rnet, onet, OPTIONS)


def face_logits(name: str, images: Pixels) -> npt.NDArray[np.float32]:
    """Return the float network's log-odds for each image; for P-Net the largest of its map."""
    return float_detector().stages[name].run(images)[0].reshape(len(images), -1).max(axis=1)


def calibration_photos(part: str, draw: int | None = None) -> Iterator[Pixels]:
    photos = list(photos_of_part(read_labelled_photos(DATA / "expw_dev"), part))
    if draw is not None:
        np.random.default_rng(draw).shuffle(photos)  # type: ignore[arg-type]
    return (read_image(photo.path) for photo in photos[:N_PHOTOS])


def random_crop(name: str, photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut a square from anywhere in a photo: for P-Net of its size, else of any size, brought to the network's."""
    height, width = photo.shape[:2]
    target = {"pnet": TILE_PX, "rnet": 24, "onet": 48}[name]
    shorter = min(height, width)
    side = min(target, shorter) if name == "pnet" else int(rng.integers(min(target, shorter), shorter + 1))
    top, left = (int(rng.integers(length - side + 1)) for length in (height, width))
    return resize_exact(photo[top : top + side, left : left + side], (target, target))


def unseen() -> DetectorCalibration:
    """Return stage inputs of photos that calibrated nothing."""
    limits = CalibrationLimits(pnet_tiles=100)
    return calibration_of_detector(calibration_photos("held-out"), Bundle.open(None), OPTIONS, seed=SEED, limits=limits)


def threshold_logit(name: str) -> float:
    threshold = {"pnet": OPTIONS.pnet_threshold, "rnet": OPTIONS.rnet_threshold, "onet": OPTIONS.onet_threshold}[name]
    return float(np.log(threshold / (1 - threshold)))


def margins(stages: Sequence[str], n_draws: int) -> Iterator[str]:
    """Compare what a stage says near its threshold with what it says in float32, draw by draw."""
    seen = unseen()
    methods = [
        with_method(f"int8, {method}{', biases corrected' if corrected else ''}", method, corrected=corrected)
        for method in ("min-max", "percentile", "mse")
        for corrected in (False, True)
    ]
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for draw in range(n_draws):
        with tempfile.TemporaryDirectory() as folder:
            shop = Workshop(Path(folder), draw)
            for name in stages:
                images, limit = seen.of(name), threshold_logit(name)
                expected = shop.make(name, "litert", FLOAT).stage.run(images)[0]
                near, passes = np.abs(expected - limit) < NEAR, expected > limit
                for engine in ENGINES:
                    free = ("float16", "dynamic-int8") if engine == "litert" else ("float16",)
                    for way in (*map(in_precision, free), *methods):
                        answers = shop.make(name, engine, way).stage.run(images)[0]
                        error = float(np.sqrt(np.mean(np.square(answers - expected)[near])))
                        kept, new = (answers > limit)[passes].mean(), (~passes)[answers > limit].mean()
                        found.setdefault((name, engine, way.name), []).append((error, kept, new))
    yield f"| stage | engine | way | error near the threshold, {n_draws} draws | kept | of what passes, new |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for (name, engine, way_name), figures in found.items():
        errors, kept_shares, new_shares = zip(*figures, strict=True)
        yield (
            f"| {name} | {engine} | {way_name} | {min(errors):.3f} to {max(errors):.3f} | "
            f"{100 * min(kept_shares):.1f} to {100 * max(kept_shares):.1f} % | "
            f"{100 * min(new_shares):.1f} to {100 * max(new_shares):.1f} % |"
        )


def tensors(shop: Workshop) -> Iterator[str]:
    seen = unseen()
    yield "| stage | engine | way | logit | offsets | landmarks | largest logit | faces kept |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for name in NETWORKS:
        images = seen.of(name)
        logit = threshold_logit(name)
        for engine in ENGINES:
            expected = shop.make(name, engine, FLOAT).stage.run(images)
            passes = expected[0] > logit
            for way in ways_of(engine):
                found = shop.make(name, engine, way).stage.run(images)
                ratios = [f"{sqnr_db(a, b):.1f}" for a, b in zip(expected, found, strict=True)]
                yield (
                    f"| {name} | {engine} | {way.name} | {' | '.join([*ratios, ''][:3])} | {found[0].max():.1f} | "
                    f"{100 * (found[0][passes] > logit).mean():.1f} % |"
                )
    yield ""
    yield "| stage | engine | inner tensors with cascade, mse: dB |"
    yield "| --- | --- | --- |"
    for name in NETWORKS:
        images = seen.of(name)[:100].astype(np.float32)
        for engine in ("litert", "onnx"):
            way = METHODS[2]
            errors = quantizer_for(engine, shop.calibrated(name, engine, way)).int8_errors(
                way.recipe.quantization, images
            )
            inner = [(error.name.split("/")[1].removesuffix("_1"), error) for error in errors if "/" in error.name]
            layers: dict[str, float] = {}
            for layer, error in inner:
                layers[layer] = error.sqnr_db  # of several tensors of a layer its last
            yield f"| {name} | {engine} | {', '.join(f'{layer} {value:.1f}' for layer, value in layers.items())} |"


def weights(shop: Workshop) -> Iterator[str]:
    """Round nothing but weights of the float networks to 255 steps."""
    import keras

    every = ("conv", "dense", *OUTPUT_NAMES["onet"])
    cases = (
        ("all, by tensor", every, False, False),
        ("all, by output channel", every, True, False),
        ("all but the first layer's, by channel", ("conv1", "conv2", "conv3", *every[1:]), True, False),
        ("the first layer's, by channel", ("conv0",), True, False),
        ("the first layer's, by channel, bias corrected for gray", ("conv0",), True, True),
    )
    yield "| stage | weights rounded | logit | offsets | landmarks |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for name in NETWORKS:
        images = shop.calibration().of(name)[:200].astype(np.float32)
        expected = shop.networks[name].predict(images, verbose=0)
        for label, layers, by_channel, corrected in cases:
            model = keras.models.clone_model(shop.networks[name])
            model.set_weights(shop.networks[name].get_weights())
            for layer in (layer for layer in model.layers if layer.name.startswith(layers)):
                kernel, bias = layer.get_weights()
                axes = tuple(range(kernel.ndim - 1)) if by_channel else None
                step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
                rounded = np.rint(kernel / step) * step
                # Pixels of 0 to 255 add up what rounding did to the sum of a kernel.
                shift = 127.5 * (kernel - rounded).sum(axis=axes) if corrected else 0.0
                layer.set_weights([rounded, bias + shift])
            found = model.predict(images, verbose=0)
            ratios = [f"{sqnr_db(expected[output], found[output]):.1f}" for output in OUTPUT_NAMES[name]]
            yield f"| {name} | {label} | {' | '.join([*ratios, ''][:3])} |"


def sqnr_db(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    noise = np.square(expected - found, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / noise)) if noise else np.inf


Chain = tuple[Made, Made, Made]


def accuracy(chains: Mapping[str, Chain], every: int) -> Iterator[str]:
    """Compare each chain with the first."""
    photos = read_wider(DATA / "wider_face" / "wider_face_val_subset_bbx_gt.txt")[::every]
    found: dict[str, dict[str, Detections]] = {name: {} for name in chains}
    for photo in photos:
        for name, detections in run_chains(photo, chains).items():
            found[name][photo.name] = detections
    parts = {part: [photo for photo in photos if part_of_photo(photo.name) == part] for part in ("fit", "held-out")}
    sides = " | ".join(f"AP >= {side} px" for side in LEAST_SIDES_PX)
    lost = " | ".join(f"lost >= {side} px" for side in LEAST_SIDES_PX)
    yield f"{len(photos)} photos; of them {len(parts['fit'])} are fit"
    yield ""
    yield f"| quantized | {sides} | {lost} | lost, fit | lost, held-out | bytes |"
    yield "| --- |" + " ---: |" * (2 * len(LEAST_SIDES_PX) + 3)
    reference: list[float] = []
    for name, chain in chains.items():
        whole = [average_precision(found[name], photos, side) for side in LEAST_SIDES_PX]
        values = [*whole, *(mean_precision(found[name], part) for part in parts.values())]
        reference = reference or values
        cells = [f"{value:.2f}" for value in whole]
        cells += [f"{before - value:+.2f}" for before, value in zip(reference, values, strict=True)]
        yield f"| {name} | {' | '.join(cells)} | {sum(made.n_bytes for made in chain):,} |"


def average_precision(found: Mapping[str, Detections], photos: Sequence[WiderPhoto], side_px: int) -> float:
    return 100 * evaluate_detections(found, photos, min_side_px=side_px).average_precision


def mean_precision(found: Mapping[str, Detections], photos: Sequence[WiderPhoto]) -> float:
    """Return the mean of the average precisions from each size on: what methods are chosen by."""
    return float(np.mean([average_precision(found, photos, side) for side in LEAST_SIDES_PX]))


def run_chains(photo: WiderPhoto, chains: Mapping[str, Chain]) -> dict[str, Detections]:
    """Run one photo through all chains; what two have in common from the beginning on runs once."""
    frame = read_image(DATA / "wider_face" / "images" / photo.name)
    height, width = frame.shape[:2]
    octaves = [frame]
    proposals: dict[str, npt.NDArray[np.float32]] = {}
    survivors: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
    found = {}
    for name, (pnet, rnet, onet) in chains.items():
        detector = FaceDetector(pnet.stage, rnet.stage, onet.stage, OPTIONS)
        if pnet.key not in proposals:
            pyramid = detector._pyramid_for((width, height))
            pyramid.draw(frame)
            proposals[pnet.key] = detector._propose(pyramid, [pnet.stage.run(tile) for tile in pyramid.tiles()])
            pnet.stage.forget_sessions()
        if (pnet.key, rnet.key) not in survivors:
            survivors[pnet.key, rnet.key] = detector._reject(octaves, proposals[pnet.key])
        faces = detector._finish(octaves, survivors[pnet.key, rnet.key])
        boxes = np.array([face.box_xyxy for face in faces], dtype=np.float32).reshape(-1, 4)
        found[name] = Detections(
            # The labelled boxes end at the photo's border.
            boxes_xyxy=np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32)),
            scores=np.array([face.detection_score for face in faces], dtype=np.float32),
        )
    return found


def one_stage(shop: Workshop, name: str, made: Made) -> Chain:
    """Return a chain with one stage as given, the others LiteRT's in float32: all engines' agree there."""
    pnet, rnet, onet = (made if other == name else shop.make(other, "litert", FLOAT) for other in NETWORKS)
    return pnet, rnet, onet


def all_stages(shop: Workshop, engine: str, way: Way) -> Chain:
    """Return a chain of one engine, all made in one way."""
    pnet, rnet, onet = (shop.make(name, engine, way) for name in NETWORKS)
    return pnet, rnet, onet


def causes(shop: Workshop, engine: str, stages: Sequence[str]) -> dict[str, Chain]:
    chains = {"nothing": all_stages(shop, "litert", FLOAT)}
    float_heads = [
        with_method(f"cascade, {method}, float heads", method, float_heads=True) for method in ("min-max", "mse")
    ]
    for name in stages:
        for way in (*NAIVE, *METHODS[:3], *(float_heads if engine != "litert" else ())):
            chains[f"{name}: {way.name}"] = one_stage(shop, name, shop.make(name, engine, way))
    return chains


def engines(shop: Workshop) -> dict[str, Chain]:
    chains = {"nothing": all_stages(shop, "litert", FLOAT)}
    for engine in ENGINES:
        int8 = {name: shop.make(name, engine, int8_of(engine, name)) for name in NETWORKS}
        chains |= {f"{engine} {name} int8": one_stage(shop, name, int8[name]) for name in NETWORKS}
        chains[f"{engine}, all int8"] = (int8["pnet"], int8["rnet"], int8["onet"])
        for name in NETWORKS:
            recipe = DETECTOR_RECIPES[engine, name]
            if recipe.precision not in ("int8", "float32"):
                made = shop.make(name, engine, in_precision(recipe.precision))
                chains[f"{engine} {name} {recipe.precision}"] = one_stage(shop, name, made)
        chains[f"{engine}, as shipped"] = tuple(
            int8[name] if recipe.precision == "int8" else shop.make(name, engine, in_precision(recipe.precision))
            for name in NETWORKS
            for recipe in (DETECTOR_RECIPES[engine, name],)
        )  # type: ignore[assignment]
    return chains


def int8_of(engine: str, name: str) -> Way:
    """Return int8 as the engine's recipe makes it, or LiteRT's where the engine has none, or the default."""
    recipes = [DETECTOR_RECIPES[other, name] for other in (engine, "litert")]
    recipe = next((found for found in recipes if found.precision == "int8"), StageRecipe(precision="int8"))
    return Way(name="int8", recipe=recipe)


def speed(shop: Workshop) -> Iterator[str]:
    photo = import_cv2().resize(read_image(DATA / "photos" / "multi_face.jpg"), (640, 480))
    options = DetectorOptions(min_face_px=40.0)
    detector = FaceDetector(*(shop.make(name, "litert", FLOAT).stage for name in NETWORKS), options)
    limits = CalibrationLimits(tiles_per_photo=1)
    seen = calibration_of_detector([photo], Bundle.open(None), options, seed=SEED, limits=limits)
    tiles = [np.ascontiguousarray(tile) for tile in detector._pyramid_for((640, 480)).tiles()]
    inputs = {"pnet": tiles[0], "rnet": seen.rnet, "onet": seen.onet}
    yield (
        f"One photo of 640 x 480, faces of 40 px and more: one of {len(tiles)} tiles, of "
        f"{tiles[0].shape[2]} x {tiles[0].shape[1]}, {len(seen.rnet)} crops for R-Net, {len(seen.onet)} for O-Net; "
        f"median of {N_ROUNDS} rounds."
    )
    yield ""
    yield "| stage | engine | precision | PReLU | bytes | ms | times float32's |"
    yield "| --- | --- | --- | --- | ---: | ---: | ---: |"
    for name in NETWORKS:
        cases: dict[tuple[str, str, str], Made] = {}
        for engine in ENGINES:
            forms: Iterable[PreluForm] = ("one node",) if engine == "litert" else ("five nodes", "one node")
            for form in forms:
                extra = ("dynamic-int8",) if engine == "litert" else ()
                for precision in ("float32", "float16", *extra, "int8"):
                    way = replace(in_precision(precision), prelu=form, name=f"{precision} {form}")
                    cases[engine, precision, form] = shop.make(name, engine, way)
        times = time_in_turns([made.stage for made in cases.values()], inputs[name])
        for (engine, precision, form), column in zip(cases, times.T, strict=True):
            base = times[:, list(cases).index((engine, "float32", PRELU_FORMS[engine]))]
            yield (
                f"| {name} | {engine} | {precision} | {form} | {cases[engine, precision, form].n_bytes:,} | "
                f"{np.median(column):.2f} | {np.median(column / base):.2f} |"
            )


def time_in_turns(stages: Sequence[Stage], pixels: Pixels) -> npt.NDArray[np.float64]:
    """Return ms float64 (rounds, stages): in each round every stage runs once."""
    for stage in stages:
        stage.run(pixels)
    times = np.empty((N_ROUNDS, len(stages)))
    for row in times:
        for position, stage in enumerate(stages):
            started = time.perf_counter()
            stage.run(pixels)
            row[position] = 1000 * (time.perf_counter() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("margins", "tensors", "weights", "causes", "engines", "speed"))
    parser.add_argument("--engine", choices=ENGINES, default="litert", help="of causes")
    parser.add_argument("--stages", nargs="+", choices=NETWORKS, default=NETWORKS, help="of causes and margins")
    parser.add_argument("--draws", type=int, default=3, metavar="N", help="of margins")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        if arguments.part == "margins":
            lines = margins(arguments.stages, arguments.draws)
        elif arguments.part in ("causes", "engines"):
            chains = causes(shop, arguments.engine, arguments.stages) if arguments.part == "causes" else engines(shop)
            lines = accuracy(chains, arguments.every)
        else:
            lines = {"tensors": tensors, "weights": weights, "speed": speed}[arguments.part](shop)
        text = []
        for line in lines:
            print(line, flush=True)
            text.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
