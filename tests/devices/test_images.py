"""System images: no unit but the rendered one, digests that are the index's, recipes that their own tools accept."""

import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fer_edge import __version__
from fer_edge.cli import main as fer_edge_main
from fer_edge_devices.profile import profile_slugs
from fer_edge_devices.service.config import read_config

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY / "devices" / "images"
PI = IMAGES / "raspberry-pi-os"
STAGE = PI / "stage-fer-edge"
BUILDROOT = IMAGES / "buildroot"
LAYER = IMAGES / "yocto" / "meta-fer-edge"
WHEEL = f"fer_edge-{__version__}-py3-none-any.whl"


def load_prepare():
    specification = importlib.util.spec_from_file_location("prepare_images", IMAGES / "prepare.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


prepare = load_prepare()
LITERT_VERSION = prepare.LITERT.partition("==")[2]
OURS = [path for path in IMAGES.rglob("*") if path.is_file() and "files" not in path.relative_to(IMAGES).parts[:-1]]
SCRIPTS = [path for path in OURS if path.suffix == ".sh"]


def run(*words, **options):
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=120, check=False, **options
    )


def tool(name, how):
    # Beside this Python where pip installed it, else the system's.
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed: {how}")
    return found


def wheel_of_litert(version):
    tag = f"cp{version.replace('.', '')}"
    return f"ai_edge_litert-{LITERT_VERSION}-{tag}-{tag}-manylinux_2_27_aarch64.whl"


def make_wheel(path, files):
    """Write a wheel small enough for a test, with the given files and what a wheel must have."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    contents = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in contents.items():
            archive.writestr(member, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{member},,\n" for member in contents))


@pytest.fixture
def index(monkeypatch):
    """Take pip's place; returns the command lines it was given."""
    calls = []

    def pip(*words):
        calls.append(words)
        if words[0] == "wheel":
            make_wheel(Path(words[words.index("--wheel-dir") + 1], WHEEL), {"fer_edge/__init__.py": ""})
            return
        folder = Path(words[words.index("--dest") + 1])
        python = words[words.index("--python-version") + 1]
        make_wheel(
            folder / wheel_of_litert(python),
            {
                "ai_edge_litert/__init__.py": "",
                "ai_edge_litert/libpywrap_litert_common.so": "",
                "ai_edge_litert/libLiteRt.so": "",
                "ai_edge_litert/libLiteRtWebGpuAccelerator.so": "",
            },
        )

    monkeypatch.setattr(prepare, "_pip", pip)
    return calls


def prepared(image, folder, *words):
    assert prepare.main([image, str(folder), *map(str, words)]) == 0
    return folder


CONFIGS = {
    "camera": '[source]\nspec = "0"\n[pipeline]\nengine = "litert"\n',
    "stream": '[source]\nspec = "rtsp://192.168.1.20/x"\n[service]\ngroup = "video"\n',
    "page": '[source]\nspec = "0"\n[preview]\naddress = "0.0.0.0:8080"\n',
}


@pytest.mark.parametrize("image", ["buildroot", "yocto"])
@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_unit_is_the_one_that_service_install_prints(image, text, index, tmp_path, monkeypatch, capsys):
    config = tmp_path / "mine.toml"
    config.write_text(text, encoding="utf-8")
    folder = prepared(image, tmp_path / "made", "--config", config)
    capsys.readouterr()
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert fer_edge_main(["service", "install", "--print", str(config)]) == 0
    printed = capsys.readouterr().out.replace(str(config), "/etc/fer-edge/fer-edge.toml")
    assert (folder / "fer-edge.service").read_text(encoding="utf-8") == printed
    assert (folder / "fer-edge.toml").read_text(encoding="utf-8") == text


def test_no_unit_is_kept():
    assert [path.name for path in OURS if path.suffix == ".service"] == []


def test_first_configuration_is_the_one_that_service_config_prints(index, tmp_path, capsys):
    folder = prepared("yocto", tmp_path / "made", "--device", "raspberry-pi-4")
    capsys.readouterr()
    assert fer_edge_main(["service", "config", "--device", "raspberry-pi-4"]) == 0
    assert (folder / "fer-edge.toml").read_text(encoding="utf-8") == capsys.readouterr().out


FILES = {
    "raspberry-pi-os": ["fer-edge.toml", "install.sh", "wheels"],
    "buildroot": ["LICENSE", "NOTICE", "fer-edge.service", "fer-edge.toml", "wheels"],
    "yocto": ["LICENSE", "NOTICE", "fer-edge.service", "fer-edge.toml", "wheels"],
}


@pytest.mark.parametrize("image", FILES)
def test_prepared_folder(image, index, tmp_path):
    python = prepare.IMAGES[image].pythons[-1]
    folder = prepared(image, tmp_path / "made", "--python", python)
    assert sorted(path.name for path in folder.iterdir()) == FILES[image]
    assert sorted(path.name for path in (folder / "wheels").iterdir()) == [wheel_of_litert(python), WHEEL]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    download = index[1]
    assert download[0] == "download"
    # Only pip on a Debian installs numpy and OpenCV; the recipes of the others build them.
    assert ("--no-deps" in download) == (image != "raspberry-pi-os")
    assert prepare.LITERT in download


def test_prepared_folder_is_replaced_by_force_alone(index, tmp_path, capsys):
    folder = prepared("yocto", tmp_path / "made")
    assert prepare.main(["yocto", str(folder)]) == 2
    assert "--force" in capsys.readouterr().err
    (folder / "old").touch()
    prepared("yocto", folder, "--force")
    assert not (folder / "old").exists()


@pytest.mark.parametrize("device", profile_slugs())
def test_first_configuration_names_the_engine_that_the_image_has(device, index, tmp_path):
    folder = prepared("buildroot", tmp_path / "made", "--device", device)
    config = read_config(folder / "fer-edge.toml")
    assert config.pipeline.engine == "litert"


def test_a_folder_that_cannot_be_written(index, tmp_path, monkeypatch, capsys):
    def closed(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(prepare.tempfile, "TemporaryDirectory", closed)
        assert prepare.main(["yocto", str(tmp_path / "made")]) == 1
    assert capsys.readouterr().err == f"prepare.py: error: cannot write {tmp_path / 'made'}: Permission denied\n"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare.shutil, "copy", full)
    assert prepare.main(["yocto", str(tmp_path / "made")]) == 1
    assert capsys.readouterr().err.endswith("made: No space left on device\n")
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "another python": (
        ["--python", "3.10"],
        2,
        "--python: expected one of 3.11, 3.12, 3.13, 3.14 for this image, found 3.10",
    ),
    "no python": (["--python", "cp312"], 2, "for this image, found cp312"),
    "no such device": (["--device", "raspberry-pi-55"], 2, "there is no profile"),
    "no such configuration": (["--config", "nowhere.toml"], 1, "cannot read nowhere.toml"),
    "wrong configuration": (["--config", "wrong.toml"], 1, "did you mean source?"),
}


@pytest.mark.parametrize(("words", "code", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_leaves_nothing(words, code, message, index, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("wrong.toml").write_text('[sourc]\nspec = "0"\n', encoding="utf-8")
    assert prepare.main(["buildroot", "made", *words]) == code
    assert message in capsys.readouterr().err
    assert not Path("made").exists()


def test_pip_that_fails_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert prepare.main(["buildroot", str(tmp_path / "made")]) == 1
    assert "pip wheel ended with status 1: it wrote nothing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_of_yocto_has_one_python(index, tmp_path, capsys):
    assert prepare.main(["yocto", str(tmp_path / "made"), "--python", "3.13"]) == 2
    assert "--python: expected one of 3.12 for this image, found 3.13" in capsys.readouterr().err


def digests_of_buildroot():
    lines = (BUILDROOT / "package/python-ai-edge-litert/python-ai-edge-litert.hash").read_text(encoding="utf-8")
    # check-package: three fields with two spaces between them.
    entries = [line.split("  ") for line in lines.splitlines() if not line.startswith("#")]
    assert all(len(entry) == 3 and entry[0] == "sha256" for entry in entries)
    return {name: digest for _, digest, name in entries}


def variable(path, name):
    (value,) = re.findall(rf'^{re.escape(name)} [?:]?= "?([^"\n]*)"?$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return value


def test_versions_are_this_repository_s():
    litert = LAYER / f"recipes-fer-edge/python3-ai-edge-litert/python3-ai-edge-litert_{LITERT_VERSION}.bb"
    own = LAYER / f"recipes-fer-edge/fer-edge/fer-edge_{__version__}.bb"
    assert sorted(LAYER.glob("recipes-*/*/*.bb")) == [own, litert]
    package = BUILDROOT / "package"
    assert variable(package / "python-fer-edge/python-fer-edge.mk", "PYTHON_FER_EDGE_VERSION") == __version__
    file = package / "python-ai-edge-litert/python-ai-edge-litert.mk"
    assert variable(file, "PYTHON_AI_EDGE_LITERT_VERSION") == LITERT_VERSION
    # The wheel of scarthgap's Python is one of those whose digests Buildroot's package has.
    wheel = variable(litert, "PREBUILT_WHEEL").replace("${PV}", LITERT_VERSION)
    assert variable(litert, "PREBUILT_WHEEL_SHA256") == digests_of_buildroot()[wheel]
    assert (wheel,) == tuple(map(wheel_of_litert, prepare.IMAGES["yocto"].pythons))
    assert set(map(wheel_of_litert, prepare.IMAGES["buildroot"].pythons)) <= set(digests_of_buildroot())


def test_licence_digests():
    text = (LAYER / f"recipes-fer-edge/fer-edge/fer-edge_{__version__}.bb").read_text(encoding="utf-8")
    stated = dict(re.findall(r"file://(\w+);md5=(\w+)", text))
    assert stated == {
        name: hashlib.md5((REPOSITORY / name).read_bytes()).hexdigest()
        for name in ("LICENSE", "NOTICE")
    }  # fmt: skip


PYTHONS = [
    pytest.param(each, marks=() if each == "3.12" else pytest.mark.slow) for each in ("3.11", "3.12", "3.13", "3.14")
]


@pytest.mark.parametrize("python", PYTHONS)
def test_digest_is_the_package_index_s(python, tmp_path):
    platform = ["--python-version", python, "--platform", "manylinux_2_27_aarch64"]
    done = run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps",
        "--only-binary=:all:", *platform, "--target", tmp_path, "--report", "-", prepare.LITERT,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    (found,) = json.loads(done.stdout)["install"]
    name = found["download_info"]["url"].rpartition("/")[2]
    digest = found["download_info"]["archive_info"]["hashes"]["sha256"]
    assert (name, digest) == (wheel_of_litert(python), digests_of_buildroot()[name])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(IMAGES)))
def test_shellcheck_accepts(script):
    done = run(tool("shellcheck", "apt-get install shellcheck"), script)
    assert (done.returncode, done.stdout) == (0, "")
    # pi-gen passes over a script that may not be executed.
    assert os.access(script, os.X_OK)


def test_cloud_init_accepts_user_data():
    done = run(tool("cloud-init", "apt-get install cloud-init"), "schema", "--config-file", PI / "user-data")
    assert done.returncode == 0, done.stderr


def test_user_data_runs_the_script_that_is_prepared(index, tmp_path):
    text = (PI / "user-data").read_text(encoding="utf-8")
    assert text.startswith("#cloud-config\n")
    (script,) = re.findall(r"\[sh, /boot/firmware/(\S+)\]", text)
    folder = prepare.IMAGES["raspberry-pi-os"].folder.name
    assert (prepared("raspberry-pi-os", tmp_path / folder).parent / script).is_file()


def test_script_installs_what_prepare_writes():
    script = (PI / "install.sh").read_text(encoding="utf-8")
    assert f"config={prepare.PROGRAM.config}\n" in script
    assert prepare.Program(python=Path("/opt/fer-edge/bin/python3"), config=prepare.PROGRAM.config).is_in_home is False


def test_stage_puts_the_files_into_the_image(index, tmp_path):
    stage = shutil.copytree(STAGE, tmp_path / "stage", ignore=shutil.ignore_patterns("files"))
    place = stage / "00-install" / "files"
    place.mkdir()
    # The recipes look where prepare.py writes unless it is told otherwise.
    assert prepare.IMAGES["raspberry-pi-os"].folder == STAGE / "00-install/files/fer-edge"
    prepared("raspberry-pi-os", place / "fer-edge")
    root = tmp_path / "rootfs"
    (root / "var/tmp").mkdir(parents=True)
    for _ in range(2):  # as pi-gen does with CONTINUE=1
        done = run("./01-run.sh", cwd=stage / "00-install", env=os.environ | {"ROOTFS_DIR": str(root)})
        assert (done.returncode, done.stderr) == (0, "")
    script = (stage / "00-install/01-run-chroot.sh").read_text(encoding="utf-8")
    (called,) = re.findall(r"^sh (\S+)$", script, re.MULTILINE)
    assert (root / called.removeprefix("/")).read_bytes() == (PI / "install.sh").read_bytes()
    assert not list((root / "var/tmp/fer-edge").glob("fer-edge"))


MAKEFILE = """\
qstrip = $(strip $(subst ",,$(1)))
UNZIP = unzip -q
INSTALL = install
python-package =
PYTHON3_VERSION_MAJOR = 3.12
BR2_EXTERNAL_FER_EDGE_PATH = {tree}
BR2_FER_EDGE_FILES = "{files}"
TARGET_DIR = {folder}/target
PYTHON_AI_EDGE_LITERT_DL_DIR = {files}/wheels
include {tree}/external.mk
define newline


endef
{folder}/build-%/done:
\tmkdir -p $(@D)
\t$(if $(filter local,$(PYTHON_$*_SITE_METHOD)),cp -r $(PYTHON_$*_SITE)/. $(@D))
\t$(PYTHON_$*_EXTRACT_CMDS)
\t$(PYTHON_$*_BUILD_CMDS)
\tmkdir -p $(TARGET_DIR)/usr/lib/python3.12/site-packages
\tunzip -qo $(@D)/dist/*.whl -d $(TARGET_DIR)/usr/lib/python3.12/site-packages
\t$(foreach hook,$(PYTHON_$*_POST_INSTALL_TARGET_HOOKS),$(call $(hook))$(newline))
\t$(PYTHON_$*_INSTALL_INIT_SYSTEMD)
"""


def test_buildroot_s_make_installs(index, tmp_path):
    """GNU make runs the packages' commands; what Buildroot's own files do between them is stood in for."""
    for name in ("make", "unzip"):
        tool(name, f"apt-get install {name}")
    files = prepared("buildroot", tmp_path / "files")
    makefile = tmp_path / "Makefile"
    makefile.write_text(MAKEFILE.format(tree=BUILDROOT, files=files, folder=tmp_path), encoding="utf-8")
    (tmp_path / "target").mkdir()
    goals = [tmp_path / f"build-{name}" / "done" for name in ("AI_EDGE_LITERT", "FER_EDGE")]
    done = run("make", "-f", makefile, *goals)
    assert (done.returncode, done.stderr) == (0, "")
    packages = tmp_path / "target/usr/lib/python3.12/site-packages"
    assert sorted(path.name for path in packages.glob("ai_edge_litert/*")) == [
        "__init__.py",
        "libpywrap_litert_common.so",
    ]
    assert (packages / "fer_edge/__init__.py").is_file()
    target = tmp_path / "target"
    for name, place in {"fer-edge.toml": "etc/fer-edge", "fer-edge.service": "usr/lib/systemd/system"}.items():
        assert (target / place / name).read_bytes() == (files / name).read_bytes()
        assert (target / place / name).stat().st_mode & 0o777 == 0o644


def test_buildroot_finds_every_file():
    text = (BUILDROOT / "Config.in").read_text(encoding="utf-8")
    sourced = re.findall(r'^source "\$BR2_EXTERNAL_FER_EDGE_PATH/(\S+)"$', text, re.MULTILINE)
    packages = sorted(path.parent.name for path in BUILDROOT.glob("package/*/*.mk"))
    assert sourced == [f"package/{name}/Config.in" for name in packages]
    assert [name for name in sourced if not (BUILDROOT / name).is_file()] == []
    assert "name: FER_EDGE\n" in (BUILDROOT / "external.desc").read_text(encoding="utf-8")
    assert prepare.IMAGES["buildroot"].folder == BUILDROOT / "files"


KCONFIGS = sorted(BUILDROOT.rglob("Config.in"))


@pytest.mark.parametrize("path", KCONFIGS, ids=lambda path: path.parent.name)
def test_buildroot_s_help_is_as_check_package_wants_it(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line for line in lines if line.startswith(" ")] == []
    # Help begins with a tab and two spaces, and is 72 columns wide with tabs of 8.
    assert [line for line in lines if line.startswith("\t  ") and len(line.expandtabs(8)) > 72] == []
    assert "\thelp" in lines


def test_oelint_accepts_the_layer():
    linter = tool("oelint-adv", "pip install oelint-adv")
    paths = [path for suffix in ("*.bb", "*.bbclass", "*.conf") for path in LAYER.rglob(suffix)]
    assert len(paths) == 4
    # There is no page of the project yet, and no network to ask for others.
    unasked = ["--suppress", "oelint.var.mandatoryvar.HOMEPAGE", "--suppress", "oelint.vars.homepageping"]
    done = run(linter, "--release", "scarthgap", "--hide", "info", "--quiet", *unasked, *paths)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_yocto_finds_every_file(index, tmp_path):
    files = prepared("yocto", tmp_path / "files")
    text = "".join(path.read_text(encoding="utf-8") for path in LAYER.glob("recipes-*/*/*.bb"))
    named = set(re.findall(r"file://([\w.-]+) \\", text))
    assert named == {"LICENSE", "NOTICE", "fer-edge.service", "fer-edge.toml"}
    assert [name for name in named if not (files / name).is_file()] == []
    # Where the class looks, from a recipe's folder.
    recipe = LAYER / "recipes-fer-edge" / "fer-edge"
    place = variable(LAYER / "classes-recipe/prebuilt_wheel.bbclass", "FER_EDGE_FILES").removeprefix("${THISDIR}/")
    assert (recipe / place).resolve() == prepare.IMAGES["yocto"].folder


DIGESTS = {"none": ("", 0), "right": (hashlib.sha256(b"wheel").hexdigest(), 0), "wrong": (64 * "0", 1)}


@pytest.mark.parametrize(("digest", "code"), DIGESTS.values(), ids=DIGESTS)
def test_layer_takes_a_wheel_of_its_digest_alone(digest, code, tmp_path):
    """The class's own shell, its variables given by the environment: BitBake compares no digest of a local file."""
    text = (LAYER / "classes-recipe/prebuilt_wheel.bbclass").read_text(encoding="utf-8")
    (body,) = re.findall(r"^do_compile\(\) \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "dist").mkdir()
    (tmp_path / "one.whl").write_bytes(b"wheel")
    variables = {
        "WORKDIR": str(tmp_path),
        "PEP517_WHEEL_PATH": str(tmp_path / "dist"),
        "PREBUILT_WHEEL": "one.whl",
        "PREBUILT_WHEEL_SHA256": digest,
    }
    done = run("sh", "-euc", body, env=os.environ | variables)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "dist/one.whl").exists() == (code == 0)


def test_kconfig_reads_the_tree(tmp_path, monkeypatch):
    """The options of Buildroot that the packages name are stood in for; the fragment's choices take fer-edge in."""
    kconfiglib = pytest.importorskip("kconfiglib", reason="kconfiglib is not installed: pip install kconfiglib")
    named = set(re.findall(r"BR2_\w+", "".join(path.read_text(encoding="utf-8") for path in KCONFIGS)))
    named.remove("BR2_EXTERNAL_FER_EDGE_PATH")  # Buildroot sets it in the environment
    ours = {name for name in named if re.search("FER_EDGE|LITERT", name)}
    stand_ins = "".join(f'config {name}\n\tbool "{name}"\n' for name in sorted(named - ours))
    (tmp_path / "Config.in").write_text(f'{stand_ins}source "{BUILDROOT}/Config.in"\n', encoding="utf-8")
    monkeypatch.setenv("BR2_EXTERNAL_FER_EDGE_PATH", str(BUILDROOT))
    tree = kconfiglib.Kconfig(str(tmp_path / "Config.in"), warn_to_stderr=False)
    for name in ("BR2_aarch64", "BR2_TOOLCHAIN_USES_GLIBC", "BR2_INSTALL_LIBSTDCPP", "BR2_USE_WCHAR"):
        tree.syms[name].set_value("y")
    fragment = (BUILDROOT / "configs/fer_edge.fragment").read_text(encoding="utf-8")
    for name, value in re.findall(r"^(BR2_\w+)=(.+)$", fragment, re.MULTILINE):
        if name in named:
            tree.syms[name].set_value(value)
    taken = {name for name in named if tree.syms[name].str_value == "y"}
    assert ours - taken == {"BR2_FER_EDGE_FILES"}
    assert tree.syms["BR2_FER_EDGE_FILES"].str_value == str(BUILDROOT / "files")
    assert {"BR2_PACKAGE_OPENCV4_LIB_PYTHON", "BR2_PACKAGE_PYTHON_NUMPY", "BR2_PACKAGE_PYTHON3_ZLIB"} <= taken
    assert tree.warnings == []
    tree.syms["BR2_TOOLCHAIN_USES_GLIBC"].set_value("n")
    assert tree.syms["BR2_PACKAGE_PYTHON_FER_EDGE"].str_value == "n"
