# The tunnel: its interface with peers and addresses, and networkd, which takes it over. At the end `activate`, the order of all changes.
# Touches: the interface; networkd and /run/systemd/network; routing rules of others, where networkd drops them.

put_tunnel() { # TO FROM
  local wg
  if ! has_tunnel "$1"; then
    [ -z "$2" ] || leave_tunnel "$2"
    return 0
  fi
  wg=$(header "$1" interface)
  [ -z "$(missing_keys "$1")" ] || return 1
  # the port can be only one's
  if has_tunnel "$2" && ! same_interface "$1" "$2"; then drop_tunnel "$2"; fi
  [ -e "/sys/class/net/$wg" ] || make_tunnel "$1"
  wg_config "$1" | put_peers "$wg"
  # in a VRF its packets would bear another name than the rules judge
  [ ! -e "/sys/class/net/$wg/master" ] || ip link set "$wg" nomaster
  ip link set "$wg" mtu "$(network_values "$1" Link MTUBytes)"
  put_addresses "$wg" "$(network_values "$1" Network Address)"
  ip link set "$wg" up
}

# Only what is not so yet. `wg syncconf` writes every peer anew, for a moment without its addresses, and a packet that comes then is lost.
# Nobody goes before the new ones are there, since an address may pass from one to the other.
put_peers() { # INTERFACE; a configuration in the words of wg(8) on stdin
  local config running key
  config=$(cat)
  running=$(wg show "$1" dump)
  wg addconf "$1" <(less_unchanged <(printf '%s\n' "$running") <(printf '%s\n' "$config"))
  awk 'NR == FNR { if ($1 == "PublicKey") wanted[$3]; next } FNR > 1 && !($1 in wanted) { print $1 }' \
    <(printf '%s\n' "$config") <(printf '%s\n' "$running") | while read -r key; do wg set "$1" peer "$key" remove; done
}

less_unchanged() { # DUMP CONFIGURATION: without those whose addresses, secret, keepalive and endpoint, where one is named, are the same
  awk "$sorted_in_awk"'
    function end_block() {
      if (!(key in has) || has[key] != psk " " keepalive " " sorted(ips) || (endpoint != "" && endpoint != at[key])) printf "%s", block
      key = endpoint = ips = block = ""
    }
    NR == FNR {
      if (FNR > 1) has[$1] = ($2 == "(none)" ? "'"$no_secret"'" : $2) " " ($8 == "off" ? 0 : $8) " " sorted($4 == "(none)" ? "" : $4)
      at[$1] = $3
      next
    }
    $1 == "[Peer]" { end_block() }
    { block = block $0 "\n" }
    $1 == "PublicKey" { key = $3 }
    $1 == "PresharedKey" { psk = $3 }
    $1 == "PersistentKeepalive" { keepalive = $3 }
    $1 == "Endpoint" { endpoint = $3 }
    $1 == "AllowedIPs" { ips = ips (ips == "" ? "" : ",") $3 }
    END { end_block() }
  ' "$1" "$2"
}

# These and no others. Without that setting the kernel takes the others of its subnet away along with one that goes, and with the last one all
# routes of the interface.
put_addresses() { # INTERFACE ADDRESSES
  local address promotes=/proc/sys/net/ipv4/conf/$1/promote_secondaries was
  for address in $2; do ip address replace "$address" dev "$1"; done
  was=$(<"$promotes")
  echo 1 >"$promotes"
  addresses_on "$1" | while read -r address; do
    has_line "$2" "$address" || ip address del "$address" dev "$1"
  done
  echo "$was" >"$promotes"
}

drop_tunnel() { # FROM
  local wg
  has_tunnel "$1" || return 0
  wg=$(header "$1" interface)
  rm -f "/run/systemd/network/50-$wg.netdev" "/run/systemd/network/50-$wg.network"
  # Somebody else may be quicker.
  if [ -e "/sys/class/net/$wg" ]; then ip link del "$wg" || [ ! -e "/sys/class/net/$wg" ]; fi
}

# A new tunnel is made by networkd itself. One that it finds made already is configured by it later, at the next event of the link,
# with the peers of that time, and all sessions end.
make_tunnel() { # GEN
  local wg
  wg=$(header "$1" interface)
  # one that was found made, and is gone
  rm -f "$run/found-tunnel"
  networkd_has "$wg" || hand_to_networkd "$1"
  [ -e "/sys/class/net/$wg" ] || ip link add "$wg" type wireguard
}

# networkd takes over a tunnel it does not know yet.
adopt() { # GEN
  local wg
  has_tunnel "$1" || return 0
  wg=$(header "$1" interface)
  if as_found "$wg"; then return 0; fi
  case $(networkd_state "$wg") in configured | configuring | pending | initialized) ;; *) hand_to_networkd "$1" ;; esac
}

# From files in /run until the commit, so that a reboot before it forgets them. Configuring a link makes networkd drop foreign `ip rule`s
# where its drop-in was not read at its start: those are put back.
hand_to_networkd() { # GEN
  local wg family rules rule
  wg=$(header "$1" interface)
  rules=$(for family in $(families); do rules_of "$family" | sed "s/^/$family /"; done)
  networkd_has "$wg" || give_to_networkd "$1"
  if systemctl -q is-active systemd-networkd; then networkctl reload; else systemctl start systemd-networkd; fi
  await 60 networkd_holds "$wg" || die "$rejected" "systemd-networkd did not take over $wg: see 'networkctl status $wg'"
  printf '%s\n' "$rules" | while read -r family rule; do
    restore_rule "$family" "$rule"
  done
  older "$1" || put_prohibition "$1"
}

# Of the generation in force by links, as the boot unit makes them: also where a roll-back makes the interface of another name anew.
give_to_networkd() { # GEN
  local wg kind
  wg=$(header "$1" interface)
  mkdir -p /run/systemd/network
  if [ "$(current_gen)" = "$1" ] && ! older "$1"; then
    for kind in network netdev; do link "/run/systemd/network/50-$wg.$kind"; done
  else
    install -m 0644 "$(netdev_of "$1")" "$(network_of "$1")" /run/systemd/network/
  fi
}

# The links, by which it finds the generation in force; not the files of a change that was never confirmed.
networkd_has() { [ -L "/run/systemd/network/50-$1.netdev" ] || [ -e "/etc/systemd/network/50-$1.netdev" ]; } # INTERFACE

# As `ip rule add` takes them: what `ip rule show` says of an interface or a place that is not there (yet), it does not.
rules_of() { # FAMILY: "PRIORITY: SELECTOR" lines
  ip "$1" rule show | sed -E 's/ \[(detached|unresolved)\]//g; s/lookup \[l3mdev-table\]/l3mdev/; s/ *$//'
}

restore_rule() { # FAMILY "PRIORITY: SELECTOR"
  local priority=${2%%:*} selector=${2#*:}
  case $selector in '' | *"fwmark 0/"*prohibit*) return 0 ;; esac
  grep -qxF "$2" < <(rules_of "$1") && return 0
  # shellcheck disable=SC2086
  ip "$1" rule add priority "$priority" $selector || echo "wg-office: note: systemd-networkd took this host's routing rule '$2' away, and it could not be put back: set it again ('ip $1 rule add')" >&2
}

networkd_state() { networkctl --no-legend list "$1" 2>/dev/null | awk '{print $NF}'; }

networkd_holds() { [ "$(networkd_state "$1")" = configured ]; }

await() { # SECONDS COMMAND...: poll until it holds
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# The running system becomes what TO says ("" for nothing); FROM is what ran before. The rules come first and
# go last, so that nothing is open in between. Idempotent: also the roll-back, with the two exchanged.
activate() { # TO FROM
  mkdir -p "$etc/before"
  remember_tables
  remember_routes "$1" "$2"
  if [ -n "$1" ]; then firewall_load "$1" "$2"; fi
  put_sysctl "$1" "$2"
  put_tunnel "$1" "$2"
  put_routes "$1" "$2"
  if [ -n "$2" ]; then firewall_drop "$2" "$1"; fi
  if [ -n "$1" ]; then
    if older "$1"; then by_older "$1" firewall_record "$1"; fi
    adopt "$1"
    if older "$1"; then by_older "$1" end_flows "$1" "$2"; fi
  fi
}
