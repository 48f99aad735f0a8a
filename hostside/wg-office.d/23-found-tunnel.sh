# A tunnel that somebody made with wg-quick, where the description asks for it: taken over as it runs, and given back in the end.
# Touches: that interface; before/tunnel, which remembers it; whether wg-quick@ is enabled. networkd hears of it at the next boot.

wg_quick() { printf 'wg-quick@%s.service\n' "$1"; } # INTERFACE

# Asked for, and wg-quick's. Not where all of the host's traffic goes into it: wg-quick keeps its own packets out by their mark. Nor where we
# could not give it back: out of a VRF, or where before/ and a roll-back know a tunnel by another name.
takes_over() { # GEN
  local wg
  [ "$(header "$1" takes-over)" = wg-quick ] || return 1
  wg=$(header "$1" interface)
  [ -e "/etc/wireguard/$wg.conf" ] && [ ! -e "/sys/class/net/$wg/master" ] && is_only_tunnel "$1" && ! networkd_holds "$wg" \
    && wg show "$wg" dump 2>/dev/null | awk -F'\t' 'NR == 1 { unmarked = $4 == "off" } END { exit !unmarked }'
}

is_only_tunnel() { # GEN
  local gen
  gen=$(current_gen)
  ! has_tunnel "$gen" 2>/dev/null || same_interface "$1" "$gen"
}

# Once, and before a change is armed, since what is armed is undone by this alone. It holds the private key that the host had there before,
# so it is root's alone. The mark in /run is gone after a boot, when networkd makes the tunnel like any other: of one that it finds made
# already it would end all sessions.
remember_tunnel() { # GEN
  local wg found=$etc/before/tunnel
  has_tunnel "$1" || return 0
  wg=$(header "$1" interface)
  if as_found "$wg" || is_our_interface "$wg" || ! takes_over "$1"; then return 0; fi
  rm -rf "$found" "$found.new"
  mkdir -p "$etc/before"
  (
    umask 077
    mkdir "$found.new"
    cd "$found.new"
    printf '%s\n' "$wg" >interface
    config_of "$wg" >config
    addresses_on "$wg" >addresses
    cat "/sys/class/net/$wg/mtu" >mtu
    if systemctl -q is-enabled "$(wg_quick "$wg")" 2>/dev/null; then : >enabled; fi
    # wg-quick would write ours into it when it stops
    if grep -qiE '^[[:space:]]*SaveConfig[[:space:]]*=[[:space:]]*true' "/etc/wireguard/$wg.conf"; then cp -p "/etc/wireguard/$wg.conf" file; fi
  )
  mv "$found.new" "$found"
  write "$run/found-tunnel" "$wg"
  say_who_is_cut_off "$1" "$wg"
}

say_who_is_cut_off() { # GEN INTERFACE
  local lost
  lost=$(wg show "$2" dump | awk -F'\t' 'NR > 1 { print $1 }' | grep -vxF -f <(sed -n 's/^PublicKey=//p' "$(netdev_of "$1")") | paste -sd' ') || true
  [ -z "$lost" ] || echo "wg-office: note: $2 has peers that are not in the file, and they are cut off: $lost" >&2
}

forget_tunnel() { rm -rf "$etc"/before/tunnel{,.new} "$run/found-tunnel"; }

# Omitted values are written out, as in wg_config.
config_of() { # INTERFACE
  wg showconf "$1" | awk '
    function end_peer() {
      if (in_peer && !psk) print "PresharedKey = '"$no_secret"'"
      if (in_peer && !keepalive) print "PersistentKeepalive = 0"
      in_peer = psk = keepalive = 0
    }
    !NF { next }
    $1 == "[Peer]" { end_peer(); in_peer = 1 }
    $1 == "PresharedKey" { psk = 1 }
    $1 == "PersistentKeepalive" { keepalive = 1 }
    { gsub(/, /, ","); print }
    $1 == "[Interface]" { print "FwMark = 0" }
    END { end_peer() }'
}

addresses_on() { # INTERFACE
  ip -o address show dev "$1" scope global | while read -r _ _ _ address _; do printf '%s\n' "$address"; done
}

# Whether it runs as it was found, so that networkd is not to know it before the next boot.
as_found() { [ -e "/sys/class/net/$1" ] && [ -e "$etc/before/tunnel" ] && [ "$(cat "$run/found-tunnel" 2>/dev/null)" = "$1" ]; } # INTERFACE

waits_for_boot() { # PATH
  case $1 in /run/systemd/network/50-*) ;; *) return 1 ;; esac
  as_found "$(cat "$run/found-tunnel" 2>/dev/null)"
}

# Once a generation is in force that makes the tunnel at a boot; and the other way round before it goes. In between a boot finds both, where
# networkd is first, and wg-quick says that the interface is there already; it never finds none. Without a tunnel nothing is left to give back.
disable_wg_quick() { # GEN
  local found=$etc/before/tunnel
  if ! has_tunnel "$1"; then forget_tunnel
  elif [ -e "$found/enabled" ]; then systemctl -q disable "$(wg_quick "$(<"$found/interface")")"; fi
}

enable_wg_quick() {
  local found=$etc/before/tunnel unit
  [ -e "$found/enabled" ] || return 0
  unit=$(wg_quick "$(<"$found/interface")")
  systemctl -q enable "$unit" || echo "wg-office: note: $unit could not be enabled again: see 'systemctl status $unit'" >&2
}

# Nothing of ours takes its place: by its old configuration where it still runs, and else as wg-quick makes it.
leave_tunnel() { # FROM
  local found=$etc/before/tunnel wg
  if [ ! -e "$found/interface" ]; then
    drop_tunnel "$1"
    return 0
  fi
  wg=$(<"$found/interface")
  give_back_file "$found/file" "/etc/wireguard/$wg.conf"
  enable_wg_quick
  if as_found "$wg"; then
    as_it_was "$1" "$wg" "$found"
  else
    drop_tunnel "$1"
    if systemctl -q is-active systemd-networkd; then networkctl reload; fi
    systemctl restart "$(wg_quick "$wg")" || echo "wg-office: note: wg-quick could not make $wg again: see 'systemctl status $(wg_quick "$wg")'" >&2
  fi
}

# Whole or not at all, and not where it is the same: the disk may be full.
give_back_file() { # KEPT PATH
  if [ ! -e "$1" ] || cmp -s "$1" "$2"; then return 0; fi
  [ -d "${2%/*}" ] || install -d -m 0700 "${2%/*}"
  cp -p "$1" "$2.new"
  mv "$2.new" "$2"
}

as_it_was() { # FROM INTERFACE FOUND
  local stays=''
  # it was in force, and where its peers are now is true; what was found may be weeks old
  if [ "$(current_gen)" = "$1" ]; then stays=$(wg show "$2" endpoints); fi
  rm -f "/run/systemd/network/50-$2.netdev" "/run/systemd/network/50-$2.network"
  less_endpoints "$stays" <"$3/config" | put_peers "$2"
  ip link set "$2" mtu "$(<"$3/mtu")"
  put_addresses "$2" "$(<"$3/addresses")"
}

less_endpoints() { # "KEY ENDPOINT" lines of those who stay where they are
  awk 'NR == FNR { if ($2 ~ /:/) stays[$1]; next } $1 == "PublicKey" { key = $3 } !($1 == "Endpoint" && key in stays)' <(printf '%s\n' "$1") -
}

# What was to be given back, and is not.
tunnel_left() {
  local found=$etc/before/tunnel wg
  wg=$(<"$found/interface")
  if [ ! -e "/sys/class/net/$wg" ]; then echo "interface $wg is missing: see 'systemctl status $(wg_quick "$wg")'"
  elif as_found "$wg" && ! is_as_it_was "$wg" "$found"; then echo "interface $wg is not as it was found: 'systemctl restart $(wg_quick "$wg")' makes it anew"; fi
}

is_as_it_was() { # INTERFACE FOUND
  [ -z "$(peer_differences "$1" wanted <(canonical_config <"$2/config") running <(wg show "$1" dump | canonical_dump))" ] \
    && [ "$(<"/sys/class/net/$1/mtu")" = "$(<"$2/mtu")" ] && cmp -s <(addresses_on "$1" | sort) <(sort "$2/addresses")
}
