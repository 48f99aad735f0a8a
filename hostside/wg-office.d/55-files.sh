# Names in /etc and /run that lead through `current`, what others had there, and what is tidied when a change is in force.
# Touches: those names; before/, which remembers; old generations, unused keys; whether networkd and its wait-online are enabled.

# Constant names that always lead through `current`. Before the rename new ones lead nowhere, and do nothing; what others have put there
# stays until then. But firewalld would mind a link that leads nowhere, and its directory is still covered by the trial's; and systemd says
# of networkd that it knows no such unit, while a drop-in of it leads nowhere.
put_links() { # GEN
  local path
  missing_links "$1" | while read -r path; do
    case $path in /etc/firewalld/* | /run/*) continue ;; esac
    if foreign "$path"; then keep "$path"; elif [ "$path" != "$networkd_drop_in" ]; then link "$path"; fi
  done
  # what `systemctl enable` does, which needs the file
  mkdir -p /etc/systemd/system/multi-user.target.wants
  ln -sfn "$current/files$boot_unit" "/etc/systemd/system/multi-user.target.wants/${boot_unit##*/}"
}

linked_paths() { section_files "$1/description" | awk '/^\//{print $1}'; } # GEN

missing_links() { # GEN: the names that do not lead to its files yet
  comm -23 <(linked_paths "$1" | sort) <(our_links | awk -v files="$current/files" '$2 == files $1 {print $1}' | sort)
}

foreign() { # PATH: whether somebody else's file or link is there
  [ -e "$1" ] || [ -L "$1" ] || return 1
  case $(readlink "$1") in "$current"/*) return 1 ;; esac
}

dead() { [ -L "$1" ] && [ ! -e "$1" ]; } # PATH: whether a link leads nowhere

link() { # PATH
  local target="$current/files$1"
  [ "$(readlink "$1" 2>/dev/null)" != "$target" ] || return 0
  mkdir -p "$(dirname "$1")"
  ln -sfn "$target" "$1"
}

# A file of somebody else's is kept for the removal, before it gives its place to ours. What stands where the generation in force has a
# file of its own was put there by somebody since, and is not.
keep() { # PATH
  local kept=$etc/before/files$1
  [ ! -e "$current/files$1" ] || return 0
  mkdir -p "$(dirname "$kept")"
  cp -a "$1" "$kept.new"
  mv "$kept.new" "$kept"
}

give_back() { # PATH: takes our link away, and puts what was there before
  local kept=$etc/before/files$1
  case $1 in *.timer) systemctl stop "${1##*/}" 2>/dev/null || true ;; esac
  rm -f "$1"
  if [ -e "$kept" ] || [ -L "$kept" ]; then mv "$kept" "$1"; fi
  case $1 in /etc/systemd/*.d/*) rmdir "$(dirname "$1")" 2>/dev/null || true ;; esac
}

# After the rename nothing refers to old generations, to links that lead nowhere, or to keys that are not used.
tidy() {
  local kept key wg used unused=()
  kept=$(current_gen)
  drop_dead_links
  find "$etc/gen" -mindepth 1 -maxdepth 1 ! -path "${kept:-none}" -exec rm -rf {} +
  if [ -n "$kept" ] && has_tunnel "$kept"; then
    wg=$(header "$kept" interface)
    if older "$kept"; then rm -f "/run/systemd/network/50-$wg.netdev" "/run/systemd/network/50-$wg.network"; fi
    used=$(used_keys "$kept")
    for key in "$etc"/keys/*; do
      has_line "$used" "$key" || unused+=("$key")
    done
    if [ "${#unused[@]}" != 0 ] && tells_keys "$kept"; then rm -f "${unused[@]}"; fi
  fi
}

# By its description, since a file of its own may be lost.
used_keys() { # GEN
  local netdev
  netdev=$(netdev_of "$1")
  wanted_file "$1" "${netdev#"$1/files"}" | sed -n 's/^[A-Za-z]*KeyFile=//p'
}

# No key is taken away where nobody can tell whether it is in use: the description in force, or the link to it, was lost or changed.
tells_keys() { # GEN
  if [ -n "$1" ]; then [ "$(digest_of "$1/description")" = "${1##*/}" ]; else [ -z "$(our_links)" ]; fi
}

digest_of() { sha256sum "$1" 2>/dev/null | cut -c1-16; } # DESCRIPTION

our_links() { find /etc/systemd /etc/sysctl.d /etc/firewalld /run/systemd/network /run/sysctl.d -type l -lname "$current/*" -printf '%p %l\n' 2>/dev/null || true; } # "NAME TARGET"

# What the description in force names is only damaged; status says so, and a repair finds it in its place.
drop_dead_links() {
  local path target
  [ ! -e "$current" ] || [ -s "$current/description" ] || return 0
  our_links | while read -r path target; do
    [ -e "$path" ] || grep -qsF -- "---- file ${target#"$current/files"} " "$current/description" || give_back "$path"
  done
}

verb_booted() {
  open_lock
  flock -w 10 9 || return 0
  hold_lock
  drop_dead_links
  # were it cut short
  if [ -d "$revoked" ]; then enforce_revoked; fi
}

# Before the rename: without a file of ours networkd manages nothing of ours.
keep_networkd() { # GEN
  # its file was lost, and `finish` links it again
  if dead "$networkd_drop_in"; then rm "$networkd_drop_in"; fi
  if has_tunnel "$1" && ! systemctl -q is-enabled systemd-networkd; then
    touch "$etc/before/networkd-was-off"
    if systemctl -q is-enabled systemd-networkd-wait-online; then touch "$etc/before/wait-online-was-on"; fi
    systemctl -q enable systemd-networkd
    # where wg0 is networkd's only link, this would hold up the boot for two minutes
    systemctl -q disable systemd-networkd-wait-online
  fi
}

reload_units() { # GEN: where systemd has not read what now stands there
  local units
  units=$(linked_paths "$1" | sed -n 's|^/etc/systemd/system/\([^/]*\.\(service\|timer\)\)\(\.d/.*\)\{0,1\}$|\1|p')
  # shellcheck disable=SC2086 # several words
  if [ "$(systemctl show -p LoadState --value "${boot_unit##*/}")" != loaded ] || grep -q yes < <(systemctl show -p NeedDaemonReload --value $units); then
    systemctl daemon-reload
  fi
}

discard() { # GEN
  # Where the disk takes nothing any more it stays, and nobody reads it; `tidy` takes it away.
  [ "$(current_gen)" = "$1" ] || rm -rf "$1" 2>/dev/null || true
  rmdir "$etc/gen" 2>/dev/null || true
}
