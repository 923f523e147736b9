SUMMARY = "LiteRT (TensorFlow Lite) interpreter for Python"
DESCRIPTION = "The wheel that LiteRT's authors publish for aarch64 and glibc: there is no recipe that builds it."
HOMEPAGE = "https://ai.google.dev/edge/litert"
SECTION = "devel/python"
LICENSE = "Apache-2.0"
# The wheel's own copy is inside the wheel.
# nooelint: oelint.var.licenseremotefile
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

SRC_URI = "file://${PREBUILT_WHEEL}"

inherit prebuilt_wheel

# Python 3.12 is scarthgap's.
PREBUILT_WHEEL = "ai_edge_litert-${PV}-cp312-cp312-manylinux_2_27_aarch64.whl"
PREBUILT_WHEEL_SHA256 = "9891611b23a87cc2ace60e4b5ee9a2ee6f0fb7f395f009470961ae6e6310e1b8"

COMPATIBLE_HOST = "aarch64.*-linux"
COMPATIBLE_HOST:libc-musl = "null"

do_install:append() {
    # 23 MB for GPUs and for another interface, which the interpreter does not load.
    rm "${D}${PYTHON_SITEPACKAGES_DIR}"/ai_edge_litert/libLiteRt*.so
}

RDEPENDS:${PN} += "\
    python3-ctypes \
    python3-numpy \
"

# They come stripped.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "already-stripped"
