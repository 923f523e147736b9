"""What a user gets: the wheel's contents, and an environment with nothing but the wheel and the extra `device`."""

import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fer_edge import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_WHEEL_BYTES = 8_000_000
MAX_ENVIRONMENT_BYTES = 350_000_000
# The face in the demo photo, as a person would mark it: left, top, right, bottom in pixels.
DEMO_FACE_XYXY = (177, 65, 272, 188)

pytestmark = pytest.mark.slow


def run(*words, **options):
    # Neither this test's module path nor the environment it runs in may lend the new one anything.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=900, env=kept, check=False, **options
    )


def ensure_environment(*words):
    """Call the shell function by which ./demo and ./test make their environments."""
    script = '. scripts/environment.sh; ensure_environment "$@"'
    done = run("sh", "-euc", script, "sh", *words, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'fer-edge[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def lean_python(wheel, tmp_path_factory):
    """Python of a new environment with the wheel and its extra `device`."""
    folder = tmp_path_factory.mktemp("lean")
    downloaded = run(sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder / "probe", "ai-edge-litert")
    if downloaded.returncode != 0:
        pytest.skip(f"no package index can be reached: {downloaded.stderr.strip().splitlines()[-1]}")
    ensure_environment(folder / "env", "pyproject.toml", "--no-compile", f"{wheel}[device]")
    return folder / "env" / "bin" / "python"


def test_wheel_is_small(wheel):
    assert wheel.name == f"fer_edge-{__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_wheel_holds_the_packages_and_nothing_beside_them(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"fer_edge", "fer_edge_bench", "fer_edge_convert", "fer_edge_devices", "fer_edge_train"}
    assert {name.split("/")[0] for name in names} == packages | {f"fer_edge-{__version__}.dist-info"}
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    needed = {
        "fer_edge/assets/astronaut.png",
        "fer_edge/models/peak/record.json",
        "fer_edge/preview/page.html",
        "fer_edge_bench/claims.toml",
        "fer_edge_bench/report/style.css",
        "fer_edge_devices/profiles/generic.toml",
    }
    assert needed <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".part", ".keras"))]


def test_wheel_holds_every_file_of_the_default_bundle(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = "fer_edge/models/default/"
    manifest = json.loads(archive.read(folder + "manifest.json"))
    entries = [
        variant[key]
        for stage in manifest["stages"].values()
        for variant in stage["variants"]
        for key in ("model", "weights")
        if variant[key] is not None
    ]
    entries.append(manifest["golden"])
    expected = {folder + entry["file"]: entry["bytes"] for entry in entries}
    found = {info.filename: info.file_size for info in archive.infolist() if info.filename.startswith(folder)}
    del found[folder + "manifest.json"]
    assert found == expected


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_wheel_carries_the_licences(wheel, name):
    packed = zipfile.ZipFile(wheel).read(f"fer_edge-{__version__}.dist-info/licenses/{name}")
    assert packed == (REPOSITORY / name).read_bytes()


def test_notice_holds_the_licence_text_of_the_detector():
    notice, licence = (
        " ".join((REPOSITORY / path).read_text(encoding="utf-8").split()) for path in ("NOTICE", "models/mtcnn/LICENSE")
    )
    assert licence in notice


def test_the_demo_refuses_what_it_would_not_look_at(tmp_path):
    done = subprocess.run([REPOSITORY / "demo", "mine.jpg"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    instead = ".venv-demo/bin/fer-edge run PHOTO --text"
    assert done.stderr == f"demo: expected no argument, found mine.jpg; for a photo of your own: {instead}\n"


def test_metadata_names_every_command():
    points = importlib.metadata.entry_points(group="fer_edge.commands")
    assert {point.name for point in points} >= {"run", "train", "evaluate", "convert", "bench", "doctor", "bundle"}
    for point in points:
        assert point.load().summary, point.name


def test_environment_is_made_again_only_when_an_input_changes(wheel, tmp_path):
    (tmp_path / "input.txt").write_text("one")
    call = [tmp_path / "env", tmp_path / "input.txt", "--no-deps", "--no-index", wheel]
    assert "installing" in ensure_environment(*call)
    assert ensure_environment(*call) == ""
    (tmp_path / "input.txt").write_text("two")
    assert "installing" in ensure_environment(*call)
    assert ensure_environment(*call) == ""
    # As after the system's Python was replaced by a newer one: nothing that was installed can be found.
    (python,) = (tmp_path / "env" / "lib").iterdir()
    python.rename(python.with_name("python2.7"))
    (tmp_path / "env" / "made-of").unlink()
    assert "installing" in ensure_environment(*call)
    assert run(tmp_path / "env" / "bin" / "fer-edge", "--version").stdout == f"fer-edge {__version__}\n"


def test_lean_environment_is_small(lean_python):
    folder = lean_python.parents[1]
    files = [path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(512 * status.st_blocks for status in files) < MAX_ENVIRONMENT_BYTES


def test_lean_environment_has_no_host_package(lean_python):
    listed = run(lean_python, "-m", "pip", "list", "--format", "json")
    names = {item["name"].lower() for item in json.loads(listed.stdout)}
    assert {"fer-edge", "numpy", "opencv-python-headless", "ai-edge-litert"} <= names
    host = {"tensorflow", "torch", "jax", "keras", "onnx", "onnxruntime", "openvino", "nncf", "tf2onnx", "matplotlib"}
    assert not names & host


def test_lean_environment_runs_the_demo(lean_python, tmp_path):
    code = "from fer_edge.assets import demo_photo_path; print(demo_photo_path())"
    located = run(lean_python, "-c", code, cwd=tmp_path)
    photo = Path(located.stdout.strip())
    assert photo.is_relative_to(lean_python.parents[1]), "the environment sees the source tree"
    done = run(lean_python.with_name("fer-edge"), "run", photo, "--annotate", tmp_path / "demo.jpg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    (face,) = json.loads(done.stdout)["faces"]
    assert _overlap(face["box_xyxy"], DEMO_FACE_XYXY) > 0.5
    assert face["probs"][face["emotion"]] == max(face["probs"].values())
    assert (tmp_path / "demo.jpg").read_bytes().startswith(b"\xff\xd8\xff")


def test_lean_environment_measures_and_shows(lean_python, tmp_path):
    """Neither rich nor a host package is there: the tables are plain, the page and the claims are whole."""
    words = ["bench", "--runs", "8", "--rounds", "1", "--record", "record.json", "--report", "page.html", "--claims"]
    done = run(lean_python.with_name("fer-edge"), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "litert int8" in done.stdout
    assert "not checkable here" in done.stdout
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert {case["engine"] for case in record["cases"]} == {"litert"}
    assert (tmp_path / "page.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_lean_environment_names_the_extra_that_training_needs(lean_python, tmp_path):
    words = ["train", "mini_xception", "--data", "none.csv", "--out", "model"]
    done = run(lean_python.with_name("fer-edge"), *words, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("fer-edge: error: ")
    assert 'pip install "fer-edge[' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _overlap(a_xyxy, b_xyxy):
    """Intersection over union of two boxes."""
    width = min(a_xyxy[2], b_xyxy[2]) - max(a_xyxy[0], b_xyxy[0])
    height = min(a_xyxy[3], b_xyxy[3]) - max(a_xyxy[1], b_xyxy[1])
    intersection = max(width, 0) * max(height, 0)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (a_xyxy, b_xyxy)]
    return intersection / (sum(areas) - intersection)
