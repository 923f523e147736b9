"""How much memory a process takes that looks at frames and does nothing else: step by step, and at its peak.

    python benchmarks/studies/peak_memory.py [--engine NAME] [--size 640x480] [--frames 30]

A fresh process imports the runtime, loads the installed bundle and analyses the demo photo at the size, without reading
anything but the photo. Prints what /proc/self/status calls VmRSS after each step and VmHWM at the end, in MB (10^6
bytes). Linux alone.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path


def memory_mb(name: str) -> float:
    """Return a figure of this process's status in MB: VmRSS now, VmHWM at the most."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"/proc/self/status: expected {name}, found none; this study needs Linux")
    return int(found[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the memory of a process that analyses frames.")
    parser.add_argument("--engine", help="litert, onnx, openvino (the first that is installed)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of the frames (640x480)")
    parser.add_argument("--frames", type=int, default=30, metavar="N", help="to analyse (30)")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    steps = {"python": memory_mb("VmRSS")}

    from fer_edge._cv2 import import_cv2
    from fer_edge.assets import demo_photo_path
    from fer_edge.images import read_image

    cv2 = import_cv2()
    cv2.setNumThreads(1)
    steps["numpy and OpenCV"] = memory_mb("VmRSS")
    frame = cv2.resize(read_image(demo_photo_path()), (width, height))
    steps["the photo"] = memory_mb("VmRSS")

    from fer_edge import EmotionPipeline

    pipeline = EmotionPipeline(engine=arguments.engine)
    steps["the pipeline"] = memory_mb("VmRSS")
    pipeline.analyse(frame)
    steps["the first frame"] = memory_mb("VmRSS")
    for _ in range(arguments.frames - 1):
        pipeline.analyse(frame)
    steps[f"{arguments.frames} frames"] = memory_mb("VmRSS")
    steps["all, at the peak"] = memory_mb("VmHWM")
    print(f"| after | MB, {pipeline.engine_version} |\n| --- | ---: |")
    for step, resident_mb in steps.items():
        print(f"| {step} | {resident_mb:.1f} |")


if __name__ == "__main__":
    main()
