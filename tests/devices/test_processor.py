"""The processor of each recorded device, and of systems that tell little."""

import pytest
from devices.recorded_trees import recorded, write_tree

from fer_edge_devices.processor import Processor, parse_cpu_list, parse_cpuinfo, read_processor


def processor(model, architecture, cores, features=()):
    return Processor(
        model=model,
        architecture=architecture,
        cores_total=cores,
        cores_online=cores,
        core_parts=(model,),
        features=features,
    )


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("raspberry-pi-zero-2", processor("Cortex-A53", "arm", 4)),
        ("raspberry-pi-3", processor("Cortex-A53", "aarch64", 4)),
        ("raspberry-pi-4", processor("Cortex-A72", "aarch64", 4)),
        ("raspberry-pi-5", processor("Cortex-A76", "aarch64", 4, ("asimddp",))),
        ("jetson-nano", processor("Cortex-A57", "aarch64", 4)),
        ("jetson-orin-nano", processor("Cortex-A78AE", "aarch64", 6, ("asimddp",))),
        ("x86-pc", processor("11th Gen Intel(R) Core(TM) i7-11800H @ 2.30GHz", "x86_64", 4, ("avx2", "avx512_vnni"))),
        ("container", processor("AMD EPYC", "x86_64", 2, ("avx2",))),
    ],
)
def test_recorded(device, expected):
    assert read_processor(recorded(device)) == expected


def core(number, part, features, implementer="0x41"):
    return (
        f"processor\t: {number}\nFeatures\t: {features}\nCPU implementer\t: {implementer}\n"
        f"CPU architecture: 8\nCPU part\t: {part}\n\n"
    )


def test_two_kinds_of_cores_have_in_common_what_each_has(tmp_path):
    cpuinfo = (
        core(0, "0xd46", "asimd asimddp i8mm")
        + core(1, "0xd47", "asimd asimddp i8mm")
        + core(2, "0xd41", "asimd asimddp")
    )
    found = read_processor(write_tree(tmp_path, {"/proc/cpuinfo": cpuinfo}))
    assert found.core_parts == ("Cortex-A510", "Cortex-A710", "Cortex-A78")
    assert found.model == "Cortex-A510 + Cortex-A710 + Cortex-A78"
    assert found.features == ("asimddp",)


def test_cores_switched_off(tmp_path):
    tree = write_tree(
        tmp_path,
        {
            "/proc/cpuinfo": core(0, "0xd42", "asimd") + core(3, "0xd42", "asimd"),
            "/sys/devices/system/cpu/present": "0-5\n",
            "/sys/devices/system/cpu/online": "0,3\n",
        },
    )
    found = read_processor(tree)
    assert (found.cores_total, found.cores_online) == (6, 2)


@pytest.mark.parametrize(
    ("cpuinfo", "model", "architecture", "cores"),
    [
        pytest.param(core(0, "0xfff", "asimd"), "0x41:0xfff", "aarch64", 1, id="an unknown part"),
        pytest.param(core(0, "what", "asimd"), "0x41:what", "aarch64", 1, id="no number"),
        pytest.param("processor: 0\nflags: fpu sse2\nmodel name: Old\n", "Old", "i686", 1, id="x86 with 32 bits"),
        pytest.param(
            "processor: 0\nisa: rv64imafdc\nuarch: sifive,u74-mc\n", "sifive,u74-mc", "riscv64", 1, id="RISC-V"
        ),
        pytest.param(
            "Processor\t: AArch64 Processor rev 4 (aarch64)\n" + core(0, "0xd03", "asimd"),
            "Cortex-A53",
            "aarch64",
            1,
            id="a line before the first core",
        ),
        pytest.param("processor: 0\n\nprocessor: 1\n", "unknown", "unknown", 2, id="cores without a word"),
        pytest.param("N/A\n", "unknown", "unknown", 1, id="nonsense"),
        pytest.param("", "unknown", "unknown", 1, id="empty"),
        pytest.param(None, "unknown", "unknown", 1, id="no file"),
    ],
)
def test_little_told(tmp_path, cpuinfo, model, architecture, cores):
    tree = write_tree(tmp_path, {} if cpuinfo is None else {"/proc/cpuinfo": cpuinfo})
    found = read_processor(tree)
    assert (found.model, found.architecture, found.cores_total, found.features) == (model, architecture, cores, ())


def test_blocks():
    text = "processor : 0\nflags: a\nflags: b\nnonsense\n \t\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi: 4\n\n\n"
    assert parse_cpuinfo(text) == (
        {"processor": "0", "flags": "a"},
        {"Hardware": "BCM2835", "Model": "Raspberry Pi: 4"},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("0", (0,)),
        ("0-1,4,6-7", (0, 1, 4, 6, 7)),
        ("4 5\n", (4, 5)),
        ("2,1,1-2", (1, 2)),
        ("", ()),
        ("N/A", ()),
        ("3-1", ()),
        ("-1", ()),
        ("0-99999999", ()),
        ("8190-9999", (8190, 8191)),
    ],
)
def test_list_of_processors(text, expected):
    assert parse_cpu_list(text) == expected
