# What differs from a generation: settings, tunnel, routes, files, keys and units, a line for each thing.
# Touches: nothing.

# --- does the running system hold what a generation says? --------------------------------------------

# One line per difference; nothing when all is as it should be. Shows no secret key.
differences() { # GEN
  local key value dest rest
  sysctl_settings "$1" | while read -r key value; do
    sysctl_is "$key" "$value" 2>/dev/null || echo "sysctl $key is $(sysctl -n "$key" 2>&1), not $value"
  done
  if has_tunnel "$1"; then tunnel_differences "$1" "$(header "$1" interface)"; fi
  wanted_routes "$1" | while read -r dest rest; do
    has_route "$dest" "$rest" || echo "route $dest $rest is missing"
  done
  firewall_differences "$1"
  lan_differences "$1"
}

holds() { [ -z "$(differences "$1" 2>&1)" ]; }

tunnel_differences() { # GEN INTERFACE
  local wg=$2 address mtu lost wanted found
  [ -e "/sys/class/net/$wg" ] || { echo "interface $wg is missing"; return 0; }
  [ ! -e "/sys/class/net/$wg/master" ] || echo "interface $wg is in another one (a VRF?), under whose name the rules do not judge it"
  lost=$(missing_keys "$1")
  if [ -n "$lost" ]; then echo "$lost"; else
    peer_differences "$wg" wanted <(wg_config "$1" | canonical_config) running <(wg show "$wg" dump | canonical_dump)
  fi
  wanted=$(network_values "$1" Network Address)
  found=$(addresses_on "$wg")
  while read -r address; do
    has_line "$found" "$address" || echo "address $address is missing on $wg"
  done <<<"$wanted"
  while read -r address; do
    [ -z "$address" ] || has_line "$wanted" "$address" || echo "address $address on $wg is not ours"
  done <<<"$found"
  mtu=$(<"/sys/class/net/$wg/mtu")
  [ "$mtu" = "$(network_values "$1" Link MTUBytes)" ] || echo "mtu of $wg is $mtu, not $(network_values "$1" Link MTUBytes)"
  [ -n "$(ip -o link show dev "$wg" up)" ] || echo "interface $wg is down"
}

# Private and preshared keys are compared here, and not shown.
peer_differences() { # INTERFACE wanted CANONICAL running CANONICAL
  awk -v wg="$1" "$sorted_in_awk"'
    function compare(what, name, is, want) { if (is != want) print what " " name " is " is ", not " want }
    $1 == "interface" && side == "wanted" { private = $2; port = $3 }
    $1 == "interface" && side == "running" {
      if ($2 != private) print "private key of " wg " is another one"
      compare("port of", wg, $3, port)
    }
    $1 == "peer" && side == "wanted" { psk[$2] = $3; keepalive[$2] = $4; ips[$2] = sorted($5); order[++count] = $2 }
    $1 == "peer" && side == "running" {
      if (!($2 in psk)) { print "peer " $2 " on " wg " is unknown"; next }
      seen[$2] = 1
      if ($3 != psk[$2]) print "preshared key of peer " $2 " is another one"
      compare("keepalive of peer", $2, $4, keepalive[$2])
      compare("allowed addresses of peer", $2, sorted($5), ips[$2])
    }
    END { for (i = 1; i <= count; i++) if (!(order[i] in seen)) print "peer " order[i] " is missing on " wg }
  ' side="$2" "$3" side="$4" "$5"
}

# The same lines from the configuration and from the kernel: own key and port, then a line per peer.
canonical_config() {
  awk '
    function flush_peer() { if (peer != "") print "peer", peer, psk, keepalive, ips; peer = "" }
    { name = $1; value = $3 }
    name == "PrivateKey" { private = value } name == "ListenPort" { port = value }
    name == "[Peer]" { flush_peer(); ips = "" }
    name == "PublicKey" { peer = value } name == "PresharedKey" { psk = value } name == "PersistentKeepalive" { keepalive = value }
    name == "AllowedIPs" { ips = ips (ips == "" ? "" : ",") value }
    END { flush_peer(); print "interface", private, port }
  ' | sort
}

canonical_dump() {
  awk -F'\t' '
    NR == 1 { print "interface", $1, $3; next }
    { print "peer", $1, ($2 == "(none)" ? "'"$no_secret"'" : $2), ($8 == "off" ? 0 : $8), ($4 == "(none)" ? "" : $4) }
  ' | sort
}

# One line per file that is not what the description in force says, or that its name does not lead to.
file_differences() { # GEN
  local path mode file
  [ -e "$1/description" ] || { echo "file $1/description is missing"; return 0; }
  [ "$(digest_of "$1/description")" = "${1##*/}" ] || echo "file $1/description was changed"
  [ "$(cat "$etc/deployment" 2>/dev/null)" = "$(header "$1" deployment)" ] || echo "file $etc/deployment does not name the owner"
  cmp -s <(script_of "$1/description") "$1/wg-office" || echo "file $1/wg-office was changed"
  [ ! -e "$1/files/hand-over.rules" ] || cmp -s <(host_rules "$1") "$1/files/host.nft" || echo "file $1/files/host.nft was changed"
  section_files "$1/description" | while read -r path mode; do
    file=$1/files/${path#/}
    if [ ! -e "$file" ]; then echo "file $file is missing"; continue; fi
    cmp -s <(wanted_file "$1" "$path") "$file" || echo "file $file was changed"
    [ "$(stat -c %04a "$file")" = "$mode" ] || echo "file $file has mode $(stat -c %04a "$file"), not $mode"
    case $path in /*) link_difference "$path" ;; esac
  done
  owner_differences "$1"
}

# All of it is root's, and nobody else writes there. Modes of the generation's files are compared above, keys below.
owner_differences() { # GEN
  find "$etc" \( -path "$etc/before/files" -o -path "$etc/before/tunnel/file" -o -path "$etc/keys" \) -prune -o \( ! -user root -o ! -group root \) -printf 'file %p belongs to %u:%g, not root:root\n'
  find "$etc" \( -path "$etc/before/files" -o -path "$etc/before/tunnel/file" -o -path "$etc/keys" -o -path "$1/files" \) -prune -o ! -type l -perm /022 -printf 'file %p has mode 0%m: others may write to it\n'
  [ ! -e "$etc/keys" ] || find "$etc/keys" -maxdepth 0 \( ! -user root -o -perm /027 \) -printf 'file %p is open to others\n'
}

link_difference() { # PATH
  if waits_for_boot "$1"; then return 0; fi
  if in_the_way "$1"; then echo "file $(twin "$1") comes before ours"; fi
  [ "$(readlink "$1" 2>/dev/null)" != "$current/files$1" ] || return 0
  if [ -e "$1" ] || [ -L "$1" ]; then echo "file $1 was replaced"; else echo "file $1 is missing"; fi
}

# networkd and sysctl prefer a file of the same name in /etc.
twin() { printf '/etc/%s\n' "${1#/run/}"; } # PATH

in_the_way() { case $1 in /run/*) foreign "$(twin "$1")" ;; *) return 1 ;; esac; } # PATH

# Key files that the tunnel names: there, and for root and networkd alone.
key_differences() { # GEN
  local file
  sed -n 's/^[A-Za-z]*KeyFile=//p' "$(netdev_of "$1")" | while read -r file; do
    case $(stat -c %04a:%U:%G "$file" 2>/dev/null) in
      0640:root:systemd-network | 0640:root:root | 0600:root:* | 0400:root:*) ;;
      '') echo "key file $file is missing" ;;
      *) echo "key file $file is open to others" ;;
    esac
  done
}

unit_differences() { # GEN
  local wg
  systemctl -q is-enabled wg-office.service 2>/dev/null || echo "unit wg-office.service is not enabled"
  has_tunnel "$1" || return 0
  wg=$(header "$1" interface)
  systemctl -q is-enabled systemd-networkd 2>/dev/null || dead "$networkd_drop_in" || echo "unit systemd-networkd.service is not enabled"
  if brings_firewalld "$1" && firewalld_runs && ! systemctl -q is-active "$watch_unit"; then echo "unit $watch_unit.service does not run"; fi
  if [ -e "$1/files/endpoint" ] && ! systemctl -q is-active "$follow_timer"; then echo "unit $follow_timer does not run"; fi
  if has_ends "$1" && ! systemctl -q is-active "$until_timer"; then echo "unit $until_timer does not run"; fi
  if as_found "$wg"; then return 0; fi
  if ! systemctl -q is-active systemd-networkd; then echo "unit systemd-networkd.service does not run"
  elif [ -e "/sys/class/net/$wg" ] && ! networkd_holds "$wg"; then echo "systemd-networkd does not manage $wg"; fi
}
