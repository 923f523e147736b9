SUMMARY = "Faces and their apparent expression from a camera"
DESCRIPTION = "Finds faces and their apparent expression on the device, as a Python library and as a service of systemd."
SECTION = "multimedia"
LICENSE = "Apache-2.0 & MIT"
LIC_FILES_CHKSUM = "\
    file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
    file://NOTICE;md5=ae15b9b4313be705cb7a73a9abbc18d3 \
"

inherit prebuilt_wheel systemd features_check

PREBUILT_WHEEL = "fer_edge-${PV}-py3-none-any.whl"
SRC_URI = "\
    file://${PREBUILT_WHEEL} \
    file://LICENSE \
    file://NOTICE \
    file://fer-edge.service \
    file://fer-edge.toml \
"

REQUIRED_DISTRO_FEATURES = "systemd"
SYSTEMD_SERVICE:${PN} = "fer-edge.service"

do_install:append() {
    install -D -m 0644 "${WORKDIR}/fer-edge.service" "${D}${systemd_system_unitdir}/fer-edge.service"
    install -D -m 0644 "${WORKDIR}/fer-edge.toml" "${D}${sysconfdir}/fer-edge/fer-edge.toml"
}

CONFFILES:${PN} = "${sysconfdir}/fer-edge/fer-edge.toml"

RDEPENDS:${PN} += "\
    python3-ai-edge-litert \
    python3-modules \
    python3-numpy \
    python3-opencv \
"
