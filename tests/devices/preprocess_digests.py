"""Prints what fer_edge.preprocess makes of seeded random pixels, as JSON: {"machine": …, "digests": {case: sha256}}.

It runs on both machines of test_emulation_root.py, so it needs no more than numpy, OpenCV and fer_edge.
"""

import hashlib
import json
import platform
import sys

import cv2
import numpy as np

from fer_edge.detector.crops import square_crops
from fer_edge.detector.pyramid import plan_pyramid
from fer_edge.preprocess import PixelCoding, crop_square, face_pixels, gray_image, halve, resize_exact

# Source and target (width, height): enlarging, shrinking by less and by more than 2, odd and prime sides, thin strips.
RESIZES = [
    ((640, 480), (48, 48)),
    ((640, 480), (292, 144)),
    ((641, 479), (48, 48)),
    ((1280, 720), (453, 255)),
    ((320, 240), (227, 170)),
    ((161, 161), (160, 160)),
    ((127, 131), (64, 64)),
    ((100, 100), (48, 48)),
    ((97, 89), (48, 48)),
    ((95, 95), (48, 48)),
    ((60, 75), (64, 64)),
    ((47, 53), (48, 48)),
    ((48, 48), (48, 48)),
    ((31, 17), (112, 112)),
    ((24, 24), (48, 48)),
    ((12, 12), (112, 112)),
    ((9, 200), (48, 48)),
    ((200, 9), (48, 48)),
    ((3, 2), (7, 11)),
    ((1, 1), (5, 5)),
]
CODINGS = {
    "float32 of -1..1": PixelCoding(mean=127.5, std=127.5),
    "float32 of 0..1": PixelCoding(mean=0.0, std=255.0),
    "float32 of a data set": PixelCoding(mean=123.675, std=58.395),
    "uint8 as it is": PixelCoding(mean=128.0, std=128.0, dtype="uint8", scale=1 / 128, zero_point=128),
    "int8 less 128": PixelCoding(mean=128.0, std=128.0, dtype="int8", scale=1 / 128, zero_point=0),
    "int8 of an odd scale": PixelCoding(mean=123.675, std=58.395, dtype="int8", scale=0.0186584, zero_point=-14),
}


def digest(*arrays):
    """SHA-256 of shapes, dtypes and bytes."""
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(f"{array.shape} {array.dtype}".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def digests():
    random = np.random.default_rng(20240229)
    found = {}

    def pixels(*shape):
        return random.integers(0, 256, shape, dtype=np.uint8)

    for (width, height), size_wh in RESIZES:
        gray, color = pixels(height, width), pixels(height, width, 3)
        name = f"{width} x {height} to {size_wh[0]} x {size_wh[1]}"
        found[f"pixels of {name}"] = digest(gray, color)
        found[f"resize_exact {name}"] = digest(
            resize_exact(gray, size_wh), resize_exact(gray[..., None], size_wh), resize_exact(color, size_wh)
        )
        found[f"face_pixels {name}"] = digest(
            *(face_pixels(face, size_wh, channels) for face in (gray, color) for channels in (1, 3))
        )
    # Vector code has a body and a tail: every width from 2 to 80 meets each tail, a column of a frame each alignment.
    frame = pixels(40, 100, 3)
    columns = [frame[:, start : start + width] for width in range(2, 81) for start in (0, width % 20)]
    found["halve every width"] = digest(*(halve(image) for image in columns))
    found["halve every gray width"] = digest(*(halve(image[..., 1]) for image in columns))
    found["gray_image every width"] = digest(*(gray_image(image) for image in columns))
    found["resize_exact every width"] = digest(*(resize_exact(image, (48, 48)) for image in columns))
    for i in range(12):
        left, top = random.uniform(-60, 100, 2)
        width, height = random.uniform(3, 90, 2)
        box_xyxy = np.array([left, top, left + width, top + height], dtype=np.float32)
        found[f"crop_square {i}"] = digest(box_xyxy, crop_square(frame, box_xyxy, (0.0, 0.1, 0.3)[i % 3]))
    for (width, height), min_face_px in (((640, 480), 40), ((641, 479), 20), ((333, 251), 33)):
        pyramid = plan_pyramid((width, height), min_face_px, 0.709)
        octaves = pyramid.draw(pixels(height, width, 3))
        name = f"{width} x {height} from {min_face_px} px"
        found[f"octaves of {name}"] = digest(*octaves)
        found[f"pyramid of {name}"] = digest(*pyramid.tiles())
        found[f"boxes of {name}"] = digest(pyramid.boxes_of_cells(np.flatnonzero(pyramid.cell_level >= 0)))
    corners = random.integers(-60, 300, (200, 2)).astype(np.float32)
    boxes = np.hstack([corners, corners + random.integers(8, 200, (200, 1)).astype(np.float32)])
    for side in (24, 48):
        crops = square_crops([pixels(251, 333, 3)], boxes, side)
        found[f"square_crops of {side} px"] = digest(crops)
    for name, coding in CODINGS.items():
        found[f"encode {name}"] = digest(coding.encode(frame), coding.table())
    # Proves that the comparison can fail: this interpolation is known to differ between the two architectures.
    found["control INTER_LINEAR"] = digest(cv2.resize(pixels(480, 640), (292, 144), interpolation=cv2.INTER_LINEAR))
    return found


if __name__ == "__main__":
    json.dump({"machine": platform.machine(), "digests": digests()}, sys.stdout, indent=1)
