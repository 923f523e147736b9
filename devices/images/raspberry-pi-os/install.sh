#!/bin/sh
# Installs fer-edge as a service from the folder that holds this file, without a network. Run as root: at the first boot
# by cloud-init (user-data), or while the image is built by pi-gen (stage-fer-edge), where no systemd runs.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
place=/opt/fer-edge
config=/etc/fer-edge/fer-edge.toml

# The system's packages too: picamera2 is one of them.
python3 -m venv --system-site-packages "$place"
"$place/bin/python3" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" \
    "fer-edge[litert]"

mkdir -p /etc/fer-edge
[ -e "$config" ] || install -m 644 "$here/fer-edge.toml" "$config"

# The engine's answers on this processor, before anything depends on them.
"$place/bin/fer-edge" bundle verify --golden
"$place/bin/fer-edge" service check "$config"
if [ -d /run/systemd/system ]; then
    "$place/bin/fer-edge" service install "$config"
else
    mkdir -p /etc/systemd/system
    "$place/bin/fer-edge" service install --print "$config" >/etc/systemd/system/fer-edge.service
    systemctl enable fer-edge.service
fi
