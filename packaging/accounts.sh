#!/bin/sh
# Make the groups and folders of an installation at PREFIX: packaging/accounts.sh PREFIX. What is there stays as it is.
set -eu
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$1/lib/sysusers.d/labsched.conf"
else
    for group in labsched labsched-admin; do
        getent group "$group" >/dev/null || groupadd --system "$group"
    done
fi
if command -v systemd-tmpfiles >/dev/null; then
    systemd-tmpfiles --create "$1/lib/tmpfiles.d/labsched.conf"
else
    [ -d /var/lib/labsched ] || install -d -m 0711 /var/lib/labsched
    [ -d /run/labsched ] || install -d -m 0755 /run/labsched
fi
