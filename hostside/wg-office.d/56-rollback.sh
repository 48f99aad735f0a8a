# Back to the generation in force, and what could not be undone.
# Touches: `rolled-back`; before/, where nothing of ours is left; the unit of a change; networkd, as it was. All else by `activate`.

verb_rollback() { # UNIT
  [ "$(armed_unit)" = "$1" ] || return 0
  end_apply
  take_lock_by_force
  if [ "$(armed_unit)" = "$1" ]; then undo for-good; fi
  [ -z "$left" ] || exit "$went_back_but"
}

end_apply() { systemctl stop "$apply_unit.service" 2>/dev/null || true; }

# Back to the generation in force, under the lock. What is not as it was then stands in `left`, and the timer tries once more; unless this
# is the last attempt.
left=
undo() { # [for-good]
  local gen old
  gen=$etc/gen/$(armed_digest)
  old=$(current_gen)
  end_apply
  if [ "$old" = "$gen" ]; then
    finish "$gen" || true
  else
    go_back "$gen" "$old"
    if [ -n "$left" ] && [ -z "${1:-}" ] && armed; then
      rm -f "$run/pending"
      return 0
    fi
    [ -z "${1:+$left}" ] || printf 'wg-office: after going back, %s\n' "$left" >&2
    forget_change "$gen" "$old"
  fi
  disarm
}

undo_and_tell() { # REASON
  undo
  [ -n "$left" ] || die "$rejected" "$1; the host holds its old state"
  [ ! -e "$run/armed" ] || left+=". The timer tries once more to undo it, within $(header "$etc/gen/$(armed_digest)" rollback-after) seconds"
  die "$went_back_but" "$1; the host went back, but $left"
}

# `||` so that one step that cannot be undone does not keep the others from being undone.
go_back() { # FROM TO
  activate "$2" "$1" || true
  drop_dead_links || true
  left=$(not_undone "$1" "$2" 2>&1 | awk 'NR > 1 {printf "; "} {printf "%s", $0}') || true
  printf '%s %s %s\n' "${1##*/}" "$SECONDS_SINCE_BOOT" "$left" >"$run/rolled-back" || true
  echo "rolled back to ${2##*/}: the change ${1##*/} was not confirmed${left:+; but $left}" | systemd-cat -t wg-office -p warning || true
}

# What a roll-back left: differences from the old generation, and of the new one what that does not know.
not_undone() { # FROM TO
  local wg
  if [ -n "$2" ]; then differences "$2"; elif [ -e "$1/files/flows" ]; then rules_left; fi
  if has_tunnel "$1" && ! same_interface "$1" "$2"; then
    wg=$(header "$1" interface)
    [ ! -e "/sys/class/net/$wg" ] || [ -e "$etc/before/tunnel" ] || echo "interface $wg is still there"
  fi
  if ! has_tunnel "$2" && [ -e "$etc/before/tunnel" ]; then tunnel_left; fi
  [ ! -e "$etc/before/routes" ] || routes_left "$2"
  [ ! -e "$etc/before/sysctl" ] || settings_left "$2"
}

settings_left() { # TO
  local key value now wanted=''
  [ -z "$1" ] || wanted=$(sysctl_settings "$1")
  while read -r key value; do
    if has_line_with "$wanted" "$key"; then continue; fi
    now=$(sysctl -n "$key")
    [ "$now" = "$value" ] || echo "sysctl $key is $now, not $value"
  done <"$etc/before/sysctl"
}

same_interface() { [ -n "$2" ] && [ "$(header "$1" interface)" = "$(header "$2" interface)" ]; } # GEN GEN

routes_left() { # TO
  local dest was wanted=''
  [ -z "$1" ] || wanted=$(wanted_routes "$1")
  while read -r dest was; do
    # Where the disk takes nothing the line stays, though the route was given back.
    has_line_with "$wanted" "$dest" || [ "$(way_to "$dest")" = "$was" ] || echo "route $dest is not as it was"
  done <"$etc/before/routes"
}

rules_left() { [ -z "$(firewall_listing)" ] || echo "firewall rules of the change are still there"; }

# With this nothing is left that could undo it again.
forget_change() { # FROM TO
  if [ -z "$2" ]; then
    release_networkd "$1" || true
    rm -rf "$etc/before"
    forget_tunnel
  else
    disable_wg_quick "$2" || true
  fi
  discard "$1"
}

release_networkd() { # GEN: nothing of ours stays with networkd
  if [ -e "$etc/before/wait-online-was-on" ]; then systemctl -q enable systemd-networkd-wait-online; fi
  if [ -e "$etc/before/networkd-was-off" ] && ! others_need_networkd; then
    systemctl -q disable --now systemd-networkd
  else
    forget_tunnel_files "$1"
  fi
}

# Somebody has given it a link since. Those that it would take of its own accord are in /usr/lib.
others_need_networkd() { grep -qE 'Network File: /(etc|run)/' < <(networkctl status --all 2>/dev/null); }

forget_tunnel_files() { # GEN
  has_tunnel "$1" || return 0
  if systemctl -q is-active systemd-networkd; then networkctl reload; fi
}
