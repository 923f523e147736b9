"""Boards by what a device tree, cpuinfo, a vendor's file or a PC's firmware says."""

import pytest
from devices.recorded_trees import recorded, write_tree

from fer_edge_devices.board import FAMILIES, SLUGS, Board, recognise_board


@pytest.mark.parametrize(
    ("device", "model", "family"),
    [
        ("raspberry-pi-zero-2", "Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi"),
        ("raspberry-pi-3", "Raspberry Pi 3 Model B Plus Rev 1.3", "Raspberry Pi"),
        ("raspberry-pi-4", "Raspberry Pi 4 Model B Rev 1.5", "Raspberry Pi"),
        ("raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi"),
        ("jetson-nano", "NVIDIA Jetson Nano Developer Kit", "Jetson"),
        ("jetson-orin-nano", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "Jetson"),
    ],
)
def test_recorded_board(device, model, family):
    assert recognise_board(recorded(device)) == Board(slug=device, model=model, family=family)


@pytest.mark.parametrize(("device", "model"), [("x86-pc", "LENOVO 20XW0026GE"), ("container", "AMD EPYC")])
def test_recorded_machine_that_is_no_board(device, model):
    assert recognise_board(recorded(device)) == Board(slug="generic", model=model, family="PC")


MODELS = [
    ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2", "Raspberry Pi"),
    ("Raspberry Pi 3 Model B Rev 1.2", "raspberry-pi-3", "Raspberry Pi"),
    ("Raspberry Pi 3 Model A Plus Rev 1.0", "raspberry-pi-3", "Raspberry Pi"),
    ("Raspberry Pi Compute Module 3 Plus Rev 1.0", "raspberry-pi-3", "Raspberry Pi"),
    ("Raspberry Pi 400 Rev 1.0", "raspberry-pi-4", "Raspberry Pi"),
    ("Raspberry Pi Compute Module 4S Rev 1.0", "raspberry-pi-4", "Raspberry Pi"),
    ("Raspberry Pi 500 Rev 1.0", "raspberry-pi-5", "Raspberry Pi"),
    ("Raspberry Pi Compute Module 5 Rev 1.0", "raspberry-pi-5", "Raspberry Pi"),
    ("Raspberry Pi Zero W Rev 1.1", "generic", "Raspberry Pi"),
    ("Raspberry Pi 2 Model B Rev 1.1", "generic", "Raspberry Pi"),
    ("Raspberry Pi Model B Plus Rev 1.2", "generic", "Raspberry Pi"),
    ("NVIDIA Jetson Nano Developer Kit", "jetson-nano", "Jetson"),
    ("NVIDIA Jetson Nano 2GB Developer Kit", "jetson-nano", "Jetson"),
    ("NVIDIA Orin Nano Developer Kit", "jetson-orin-nano", "Jetson"),
    ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "jetson-orin-nx", "Jetson"),
    ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-agx-orin", "Jetson"),
    ("NVIDIA Jetson Xavier NX Developer Kit", "generic", "Jetson"),
    ("Radxa ROCK 5B", "generic", "other"),
    ("Orange Pi 5", "generic", "other"),
]


@pytest.mark.parametrize(("model", "slug", "family"), MODELS)
def test_name_in_the_device_tree(tmp_path, model, slug, family):
    tree = write_tree(tmp_path, {"/proc/device-tree/model": f"{model}\0"})
    assert recognise_board(tree) == Board(slug=slug, model=model, family=family)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/sys/firmware/devicetree/base/model", id="the device tree elsewhere"),
        pytest.param("/proc/cpuinfo", id="cpuinfo"),
    ],
)
def test_name_elsewhere(tmp_path, path):
    name = "Raspberry Pi 4 Model B Rev 1.4"
    content = f"processor\t: 0\n\nHardware\t: BCM2711\nModel\t\t: {name}\n" if path == "/proc/cpuinfo" else f"{name}\0"
    expected = Board(slug="raspberry-pi-4", model=name, family="Raspberry Pi")
    assert recognise_board(write_tree(tmp_path, {path: content})) == expected


@pytest.mark.parametrize(
    ("compatible", "slug", "family"),
    [
        ("raspberrypi,model-zero-2-w\0brcm,bcm2837\0", "raspberry-pi-zero-2", "Raspberry Pi"),
        ("raspberrypi,3-compute-module\0brcm,bcm2837\0", "raspberry-pi-3", "Raspberry Pi"),
        ("raspberrypi,400\0brcm,bcm2711\0", "raspberry-pi-4", "Raspberry Pi"),
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", "raspberry-pi-5", "Raspberry Pi"),
        ("raspberrypi,model-b\0brcm,bcm2835\0", "generic", "Raspberry Pi"),
        ("nvidia,p3450-0000\0nvidia,tegra210\0", "jetson-nano", "Jetson"),
        ("nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210\0", "jetson-nano", "Jetson"),
        ("nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0", "jetson-orin-nx", "Jetson"),
        ("nvidia,p3768-0000+p3767-0003\0nvidia,p3767-0003\0nvidia,tegra234\0", "jetson-orin-nano", "Jetson"),
        ("nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0", "jetson-agx-orin", "Jetson"),
        ("nvidia,p2972-0000\0nvidia,tegra194\0", "generic", "Jetson"),
        ("radxa,rock-5b\0rockchip,rk3588\0", "generic", "other"),
    ],
)
@pytest.mark.parametrize(
    "model", [pytest.param("Carrier X", id="a maker's own name"), pytest.param(None, id="no name")]
)
def test_compatible(tmp_path, compatible, slug, family, model):
    files = {"/proc/device-tree/compatible": compatible} | ({"/proc/device-tree/model": f"{model}\0"} if model else {})
    expected = Board(slug=slug, model=model or compatible.split("\0")[0], family=family)
    assert recognise_board(write_tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (
            "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n",
            "Linux for Tegra R32.7.1, t210ref",
        ),
        ("N/A\n", "Linux for Tegra"),
    ],
)
def test_release_of_nvidia_alone(tmp_path, text, model):
    expected = Board(slug="generic", model=model, family="Jetson")
    assert recognise_board(write_tree(tmp_path, {"/etc/nv_tegra_release": text})) == expected


CPUINFO = "processor : 0\nflags : lm\nmodel name : AMD Ryzen 7 7840U\n"


@pytest.mark.parametrize(
    ("vendor", "product", "model"),
    [
        ("Dell Inc.\n", "OptiPlex 7050\n", "Dell Inc. OptiPlex 7050"),
        ("QEMU\n", "Standard PC (Q35 + ICH9, 2009)\n", "QEMU Standard PC (Q35 + ICH9, 2009)"),
        ("ASUS\n", "System Product Name\n", "ASUS"),
        ("System manufacturer\n", "System Product Name\n", "AMD Ryzen 7 7840U"),
        ("To Be Filled By O.E.M.\n", "To be filled by O.E.M.\n", "AMD Ryzen 7 7840U"),
        ("Default string\n", "\n", "AMD Ryzen 7 7840U"),
        (None, None, "AMD Ryzen 7 7840U"),
    ],
)
def test_names_of_a_pc(tmp_path, vendor, product, model):
    files = {
        "/sys/class/dmi/id/sys_vendor": vendor,
        "/sys/class/dmi/id/product_name": product,
        "/proc/cpuinfo": CPUINFO,
    }
    tree = write_tree(tmp_path, {path: text for path, text in files.items() if text is not None})
    assert recognise_board(tree) == Board(slug="generic", model=model, family="PC")


@pytest.mark.parametrize("files", [{}, {"/proc/device-tree/model": b"\0", "/proc/device-tree/compatible": b"\0\0"}])
def test_nothing_told(tmp_path, files):
    assert recognise_board(write_tree(tmp_path, files)) == Board(slug="generic", model="unknown", family="other")


def test_names_are_of_the_lists():
    assert {slug for _, slug, _ in MODELS} == set(SLUGS)
    assert {family for _, _, family in MODELS} | {"PC"} == set(FAMILIES)
