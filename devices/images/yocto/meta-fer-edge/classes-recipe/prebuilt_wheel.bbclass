# Installs a wheel that was made before, PREBUILT_WHEEL, as the Python classes install the one they make.
inherit python_pep517 setuptools3-base

# The folder that prepare.py wrote: wheels, configuration and unit. Both recipes lie two folders below the layer.
FER_EDGE_FILES ?= "${THISDIR}/../../files"
# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext
FILESEXTRAPATHS:prepend := "${FER_EDGE_FILES}:${FER_EDGE_FILES}/wheels:"

S = "${WORKDIR}"

# Empty where the wheel is made from the repository beside this layer.
PREBUILT_WHEEL_SHA256 ?= ""

# BitBake compares no digest of a local file. PEP517_WHEEL_PATH is emptied before, and do_install takes the wheel there.
do_compile() {
    if [ -n "${PREBUILT_WHEEL_SHA256}" ]; then
        echo "${PREBUILT_WHEEL_SHA256}  ${WORKDIR}/${PREBUILT_WHEEL}" | sha256sum --check --quiet -
    fi
    cp "${WORKDIR}/${PREBUILT_WHEEL}" "${PEP517_WHEEL_PATH}/"
}
