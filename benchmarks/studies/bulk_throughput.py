"""How near `fer-edge bulk` comes to what the engine alone can do, and what its workers' memory adds up to.

    python benchmarks/studies/bulk_throughput.py faces [--engine NAME] [--workers N] [--batch-size N] [--copies N]
    python benchmarks/studies/bulk_throughput.py photos [--engine NAME] [--workers N] [--photos N]
    python benchmarks/studies/bulk_throughput.py memory [--workers N]

- faces: FER-2013's PublicTest (`fer2013/fer2013.csv.gz` below $FER_EDGE_DATA), several times over, as a csv of pixel
  text and as PNG files. Engine alone: as many processes call sessions of the same batch size on inputs that lie ready
  in memory, nothing else.
- photos: the first photos of `wider_face/images`. Engine alone: as many processes call the whole pipeline on pictures
  that lie decoded in memory, in the order in which workers get them.
- memory: the proportional set size (each page divided by the number of processes that have it) of a pool and of as many
  processes that know nothing of each other, all having run one batch.

Rounds are interleaved: each measures the engine alone, then bulk, and is divided by itself: by the clock, and by the
processor time of all processes, which tells the same where they keep every core busy, and holds where the machine has
other work too. docs/bulk.md has what the memory came to.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.bulk.inputs import Item, open_inputs
from fer_edge.bulk.job import FACES_A_TASK, PHOTOS_A_TASK, run_bulk
from fer_edge.bulk.pixel_text import parse_pixels
from fer_edge.bulk.predictor import BulkPredictor
from fer_edge.bulk.rows import JsonEncoder
from fer_edge.bulk.workers import Task, WorkerPool
from fer_edge.bundle import Bundle
from fer_edge.engines import ENGINE_NAMES, EngineOptions, load_engine
from fer_edge.images import read_image
from fer_edge.machine import available_cores, cpu_model
from fer_edge.pipeline import EmotionPipeline
from fer_edge.stage import choose_variant

DATA = Path(os.environ.get("FER_EDGE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
PART = "PublicTest"

Pixels = npt.NDArray[np.uint8]
Prepare = Callable[[], Callable[[], None]]  # what a process does before the clock starts, and what is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds by the clock, and of processor time in this process and those it started."""

    elapsed_s: float
    cpu_s: float


def cpu_s() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)


def in_processes(prepare: Sequence[Prepare]) -> Spent:
    """Return what is spent from when all processes are prepared until the last has done its work.

    Processor time is all that they use: making a session is in bulk's too.
    """
    cpu_before_s = cpu_s()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(prepare) + 1)

    def work(one: Prepare) -> None:
        run = one()
        barrier.wait()
        run()

    processes = [context.Process(target=work, args=(one,)) for one in prepare]
    for process in processes:
        process.start()
    barrier.wait()
    started_s = time.monotonic()
    for process in processes:
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"a process that runs the engine alone ended with {process.exitcode}")
    return Spent(elapsed_s=time.monotonic() - started_s, cpu_s=cpu_s() - cpu_before_s)


def engine_alone(engine: str, faces: Pixels, n_faces: int, batch_size: int, n_processes: int) -> Spent:
    """Return what is spent for `n_faces` inputs that lie ready, in whole batches shared among the processes."""
    bundle = Bundle.open()
    spec = bundle.manifest.stages["classifier"]
    variant = choose_variant(spec, engine)
    encoded = spec.coding(variant).encode(faces[..., np.newaxis])
    batches = [encoded[i : i + batch_size] for i in range(0, len(encoded) - batch_size + 1, batch_size)]
    runner = load_engine(engine)
    model = bundle.read(variant.model)
    weights = bundle.read(variant.weights) if variant.weights else None
    n_batches = n_faces // batch_size

    def prepare(first: int) -> Prepare:
        def prepared() -> Callable[[], None]:
            session = runner.load(model, EngineOptions(threads=1, input_shapes=(batches[0].shape,)), weights=weights)
            session.run(batches[0])

            def run() -> None:
                for number in range(first, n_batches, n_processes):
                    session.run(batches[number % len(batches)])

            return run

        return prepared

    spent = in_processes([prepare(first) for first in range(n_processes)])
    share = n_batches * batch_size / n_faces
    return Spent(elapsed_s=spent.elapsed_s / share, cpu_s=spent.cpu_s / share)


def pipeline_alone(engine: str, photos: Sequence[Pixels], n_processes: int) -> Spent:
    pipeline = EmotionPipeline(engine=engine)

    def prepare(first: int) -> Prepare:
        def prepared() -> Callable[[], None]:
            pipeline.analyse(photos[0])

            def run() -> None:
                for start in range(first * PHOTOS_A_TASK, len(photos), n_processes * PHOTOS_A_TASK):
                    for photo in photos[start : start + PHOTOS_A_TASK]:
                        pipeline.analyse(photo)

            return run

        return prepared

    return in_processes([prepare(first) for first in range(n_processes)])


def bulk(source: Path, folder: Path, predictor: BulkPredictor, n_workers: int) -> Spent:
    """Return what is spent from the first task to the result in its place."""
    before_s = cpu_s()
    summary = run_bulk(
        source,
        folder / "out.jsonl",
        predictor,
        kind="jsonl",
        n_workers=n_workers,
        progress_stream=sys.stdout,
        force=True,
    )
    if summary.n_errors:
        raise SystemExit(f"{source}: expected no errors, found {summary.n_errors}")
    return Spent(elapsed_s=summary.elapsed_s, cpu_s=cpu_s() - before_s)


def compare(rounds: int, n_inputs: int, alone: Callable[[], Spent], others: dict[str, Callable[[], Spent]]) -> None:
    """Print rates of each round, then the quotients' medians."""
    by_clock: dict[str, list[float]] = {name: [] for name in others}
    by_cpu: dict[str, list[float]] = {name: [] for name in others}
    for number in range(1, rounds + 1):
        reference = alone()
        parts = [f"engine alone {n_inputs / reference.elapsed_s:.1f}/s, {1000 * reference.cpu_s / n_inputs:.3f} ms"]
        for name, run in others.items():
            spent = run()
            by_clock[name].append(100 * reference.elapsed_s / spent.elapsed_s)
            by_cpu[name].append(100 * reference.cpu_s / spent.cpu_s)
            parts.append(
                f"{name} {n_inputs / spent.elapsed_s:.1f}/s ({by_clock[name][-1]:.1f} %), "
                f"{1000 * spent.cpu_s / n_inputs:.3f} ms ({by_cpu[name][-1]:.1f} %)"
            )
        print(f"round {number}: {'; '.join(parts)}", flush=True)
    for name in others:
        print(f"{name}, by the clock: {spread(by_clock[name])} of the engine alone")
        print(f"{name}, by processor time: {spread(by_cpu[name])} of the engine alone")


def spread(percent: list[float]) -> str:
    return f"median {statistics.median(percent):.1f} % ({min(percent):.1f} to {max(percent):.1f})"


def study_faces(engine: str, n_workers: int, batch_size: int, copies: int, rounds: int) -> None:
    path = DATA / "fer2013" / "fer2013.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Usage"] == PART] * copies
    faces = np.stack([parse_pixels(row["pixels"].encode()) for row in rows[: len(rows) // copies]])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "faces.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["emotion", "pixels", "Usage"])
            writer.writeheader()
            writer.writerows(rows)
        pictures = folder / "png"
        pictures.mkdir()
        for index in range(len(rows)):
            import_cv2().imwrite(str(pictures / f"{index:06d}.png"), faces[index % len(faces)])
        predictor = BulkPredictor(faces=True, engine=engine, batch_size=batch_size)
        print(f"{len(rows)} faces, {predictor.load().engine_version} {predictor.load().precision}, batch {batch_size}")
        compare(
            rounds,
            len(rows),
            lambda: engine_alone(engine, faces, len(rows), batch_size, n_workers),
            {
                "csv": lambda: bulk(folder / "faces.csv", folder, predictor, n_workers),
                "png": lambda: bulk(pictures, folder, predictor, n_workers),
            },
        )


def study_photos(engine: str, n_workers: int, n_photos: int, rounds: int) -> None:
    folder = DATA / "wider_face" / "images"
    paths = [Path(item.source) for item, _ in zip(open_inputs(folder), range(n_photos), strict=False)]
    started_s = time.monotonic()
    photos = [read_image(path) for path in paths]
    decode_ms = 1000 * (time.monotonic() - started_s) / len(photos)
    with tempfile.TemporaryDirectory() as name:
        listing = Path(name) / "photos.csv"
        with listing.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["path"], *([str(path.absolute())] for path in paths)])
        predictor = BulkPredictor(engine=engine)
        print(f"{len(paths)} photos, {predictor.load().engine_version}; reading and decoding {decode_ms:.1f} ms each")
        compare(
            rounds,
            len(paths),
            lambda: pipeline_alone(engine, photos, n_workers),
            {"files": lambda: bulk(listing, Path(name), predictor, n_workers)},
        )


def pss_mb(process_id: int) -> float:
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("expected Pss in smaps_rollup, found none")


def a_batch(*, faces: bool) -> list[Item]:
    if faces:
        text = " ".join(["128"] * 48 * 48).encode()
        return [Item(source="gray", pixel_text=text)] * FACES_A_TASK
    from fer_edge.assets import demo_photo_path

    return [Item(source="demo", path=str(demo_photo_path()))]


def _stranger(connection: Any, engine: str, faces: bool) -> None:
    """A process that shares nothing but what the system shares by itself."""
    import_cv2().setNumThreads(1)
    BulkPredictor(faces=faces, engine=engine).analyse(a_batch(faces=faces))
    connection.send(True)
    connection.recv()


def strangers_mb(engine: str, n: int, *, faces: bool) -> float:
    context = multiprocessing.get_context("spawn")
    ends = []
    processes = []
    for _ in range(n):
        ours, theirs = context.Pipe()
        process = context.Process(target=_stranger, args=(theirs, engine, faces))
        process.start()
        ends.append(ours)
        processes.append(process)
    for end in ends:
        end.recv()
    total = sum(pss_mb(process.pid) for process in processes if process.pid is not None)
    for end, process in zip(ends, processes, strict=True):
        end.send(True)
        process.join()
    return total


def _pool(connection: Any, engine: str, n: int, faces: bool) -> None:
    with WorkerPool(BulkPredictor(faces=faces, engine=engine), JsonEncoder(), n) as pool:
        # Two tasks wait for each worker, so each has run one.
        for _ in pool.run(Task(number, 0, a_batch(faces=faces)) for number in range(4 * n)):
            pass
        connection.send([pss_mb(os.getpid()), *(pss_mb(process_id) for process_id in pool.process_ids)])


def pool_mb(engine: str, n: int, *, faces: bool) -> list[float]:
    """Return the parent's and each worker's, measured in a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_pool, args=(theirs, engine, n, faces))
    process.start()
    found: list[float] = ours.recv()
    process.join()
    return found


def study_memory(n_workers: int) -> None:
    print(f"proportional set size in MB, {n_workers} processes")
    print("pictures  engine    one   as many strangers   pool: parent + workers = sum")
    for faces in (True, False):
        for engine in ENGINE_NAMES:
            one = strangers_mb(engine, 1, faces=faces)
            many = strangers_mb(engine, n_workers, faces=faces)
            parent, *workers = pool_mb(engine, n_workers, faces=faces)
            print(
                f"{'faces' if faces else 'photos':<9} {engine:<9} {one:<6.0f}{many:<20.0f}"
                f"{parent:.0f} + {' + '.join(f'{worker:.0f}' for worker in workers)} = {parent + sum(workers):.0f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("faces", "photos", "memory"))
    parser.add_argument("--engine", choices=ENGINE_NAMES, default="onnx")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--copies", type=int, default=12, help=f"of {PART}'s 3,589 faces")
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{cpu_model()}, {available_cores()} cores, {arguments.workers} processes")
    import_cv2().setNumThreads(1)
    if arguments.study == "faces":
        study_faces(arguments.engine, arguments.workers, arguments.batch_size, arguments.copies, arguments.rounds)
    elif arguments.study == "photos":
        study_photos(arguments.engine, arguments.workers, arguments.photos, arguments.rounds)
    else:
        study_memory(arguments.workers)


if __name__ == "__main__":
    main()
