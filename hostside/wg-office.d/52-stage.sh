# A description becomes a generation beside the one in force, and is checked.
# Touches: gen/; of before/ what is no longer true; an interface that is thrown away, wgo-probe.

write() { # FILE TEXT: whole or not at all
  printf '%s\n' "$2" >"$1.new"
  mv "$1.new" "$1"
}

# What was remembered for a change that never came into force is no longer true when the next one does.
forget_what_is_not_ours() {
  local gen
  gen=$(current_gen)
  if [ -z "$gen$(our_links)" ]; then rm -f "$etc"/before/{sysctl,routes,tables,links}; forget_tunnel; return 0; fi
  intact "$gen" || return 0
  keep_lines_of "$etc/before/sysctl" "$(sysctl_settings "$gen")"
  keep_lines_of "$etc/before/routes" "$(wanted_routes "$gen")"
}

intact() { # GEN
  local path
  [ -n "$(header "$1" deployment 2>/dev/null)" ] || return 1
  section_files "$1/description" | while read -r path _; do [ -e "$1/files/${path#/}" ] || exit 1; done
}

keep_lines_of() { # FILE LINES: those that begin with the first word of one of LINES
  [ -e "$1" ] || return 0
  awk 'NR == FNR { ours[$1]; next } $1 in ours' <(printf '%s\n' "$2") "$1" >"$1.new"
  mv "$1.new" "$1"
}

stage() { # DESCRIPTION DIGEST
  local gen=$etc/gen/$2 path
  install -d "$etc" "$etc/gen"
  forget_what_is_not_ours
  rm -rf "$etc/gen/"*.new
  mkdir -m 0755 "$gen.new"
  cp "$1" "$gen.new/description"
  chmod 0600 "$gen.new/description"
  unpack "$gen.new/description" "$gen.new"
  if [ -d "$revoked" ]; then leave_out_revoked "$gen.new"; fi
  if [ "$(current_gen)" = "$gen" ]; then
    # in force, and perhaps edited: file by file, so that there is never a moment without it
    (cd "$gen.new" && find . -type f) | while read -r path; do
      mkdir -p "$gen/$(dirname "$path")"
      mv "$gen.new/$path" "$gen/$path"
    done
    rm -rf "$gen.new"
  else
    rm -rf "$gen"
    mv "$gen.new" "$gen"
  fi
  remember_lans "$gen"
  write_host_rules "$gen"
}

# A throw-away interface asks the kernel; nft asks itself. Nothing that runs is touched.
check() { # GEN
  local probe=wgo-probe own lost twice
  leaves_others_alone "$1"
  if has_tunnel "$1"; then
    own=$(own_key_fault "$1")
    [ -z "$own" ] || die "$rejected" "$own; nothing was changed"
    lost=$(missing_keys "$1")
    [ -z "$lost" ] || die "$rejected" "${lost%%$'\n'*}; nothing was changed. Put it back, or have new keys made: raise 'rotation' in the environment file"
    ip link del "$probe" 2>/dev/null || true
    ip link add "$probe" type wireguard || die "$unfit" "this kernel ($(uname -r)) has no WireGuard; $(wireguard_with)"
    if ! wg setconf "$probe" <(wg_config "$1" | grep -v '^ListenPort'); then
      ip link del "$probe"
      die "$rejected" "WireGuard refuses the new configuration; nothing was changed"
    fi
    ip link del "$probe"
    twice=$(keys_twice "$1")
    [ -z "$twice" ] || die "$rejected" "${twice%%$'\n'*}; nothing was changed"
    keeps_this_session "$1"
  fi
  firewall_check "$1" || die "$rejected" "the firewall refuses the new rules; nothing was changed"
}

# A public key is one peer's: of two peers with one key WireGuard keeps the second, with its addresses alone.
keys_twice() { # GEN
  awk -v own="$(wg pubkey <"$(sed -n 's/^PrivateKeyFile=//p' "$(netdev_of "$1")")")" '
    /^# / { title = substr($0, 3) }
    sub(/^PublicKey=/, "") {
      if ($0 == own) print title " has the public key of this host (" $0 "): each machine needs a key of its own"
      else if ($0 in seen) print seen[$0] " and " title " have the same public key (" $0 "): each machine needs a key of its own"
      seen[$0] = title
    }' "$(netdev_of "$1")"
}
