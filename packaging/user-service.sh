#!/bin/sh
# Install the unit of one person's own daemon: packaging/user-service.sh PROGRAM. Nothing is started.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
mkdir -p "$folder"
# In a unit, % begins a specifier, and a blank ends a word.
program=$(printf %s "$1" | sed 's/%/%%/g; s/[&|\\]/\\&/g')
sed "s|^\(Exec[A-Z][a-z]*\)=%h/.local/bin/labsched|\1=\"$program\"|" "$here/../systemd/labsched-user.service" \
    >"$folder/labsched.service.new"
mv "$folder/labsched.service.new" "$folder/labsched.service"
if command -v systemctl >/dev/null; then systemctl --user daemon-reload 2>/dev/null || true; fi
cat <<END
$folder/labsched.service is there. Next:
  systemctl --user enable --now labsched
  loginctl enable-linger          # so that it stays when you log out
Where the machine has a daemon for all, too, talk to yours with:
  export LABSCHED_SOCKET=\$XDG_RUNTIME_DIR/labsched/labsched.sock
END
