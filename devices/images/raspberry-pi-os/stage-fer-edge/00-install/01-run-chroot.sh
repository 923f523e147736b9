#!/bin/bash -e

sh /var/tmp/fer-edge/install.sh
rm -rf /var/tmp/fer-edge
