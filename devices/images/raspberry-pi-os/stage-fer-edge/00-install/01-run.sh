#!/bin/bash -e
# Not into /tmp, which pi-gen hides under one of its own in the chroot.

rm -rf "${ROOTFS_DIR}/var/tmp/fer-edge"
cp -r files/fer-edge "${ROOTFS_DIR}/var/tmp/fer-edge"
