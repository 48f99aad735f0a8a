# Refusals: interfaces, ports, networks and routes that are somebody else's, and the session that the operator came by.
# Touches: nothing that packets meet; routes are tried in a table of their own.

# What is somebody else's is not ours to take: all of it is said at once, before anything is changed.
leaves_others_alone() { # GEN
  local said
  said=$(
    if has_tunnel "$1"; then
      interface_of_others "$1"
      port_of_others "$1"
      default_route_by_advertisement "$1"
    fi
    networks_of_this_host "$1"
    routes_of_this_host "$1"
  )
  [ -z "$said" ] || die "$unfit" "${said//$'\n'/; }; nothing was changed"
}

interface_of_others() { # GEN
  local wg
  wg=$(header "$1" interface)
  if [ ! -e "/sys/class/net/$wg" ] || is_our_interface "$wg"; then return 0; fi
  if takes_over "$1"; then
    key_of_another "$1" "$wg"
    return 0
  fi
  case $(sed -n 's/^DEVTYPE=//p' "/sys/class/net/$wg/uevent") in
    wireguard) others_tunnel "$1" "$wg" ;;
    *) echo "$wg is there already, and not ours: name another interface (network.interface)" ;;
  esac
}

# All sessions would end, and nobody's file would be good any more.
key_of_another() { # GEN INTERFACE
  local file
  file=$(sed -n 's/^PrivateKeyFile=//p' "$(netdev_of "$1")")
  [ ! -e "$file" ] || [ "$(wg show "$2" dump | awk -F'\t' 'NR == 1 { print $1 }')" = "$(<"$file")" ] \
    || echo "$2 runs with another key than the file gives this host: keep it (adopt_key: true, and privateKeys in the stack's secret configuration), or stop that tunnel ('systemctl disable --now wg-quick@$2')"
}

others_tunnel() { # GEN INTERFACE
  local way="stop and disable it ('systemctl disable --now wg-quick@$2'), or name another interface (network.interface)"
  if [ "$(header "$1" takes-over)" = wg-quick ]; then echo "$2 is there already, and not wg-quick's, which takes_over asks for (no /etc/wireguard/$2.conf, or systemd-networkd manages it), or has a FwMark, by which all traffic of this host goes into it, or is in a VRF, or beside a tunnel of ours by another name: $way"
  else echo "$2 is there already (wg-quick@$2?): have it taken over as it runs (takes_over: wg-quick on this host), $way"; fi
}

# A generation in force names it, or did, where somebody has taken its files away since.
is_our_interface() { # INTERFACE
  local gen
  gen=$(current_gen)
  as_found "$1" || { [ -n "$gen" ] && [ -e "$gen/description" ] && [ "$(header "$gen" interface)" = "$1" ]; } \
    || case $(readlink "/run/systemd/network/50-$1.netdev" || readlink "/etc/systemd/network/50-$1.netdev") in "$current"/*) ;; *) return 1 ;; esac
}

port_of_others() { # GEN
  local port inode remedy='give the gateway another one (listen_port)'
  port=$(sed -n 's/^ListenPort=//p' "$(netdev_of "$1")")
  [ "$port" != "$(our_port "$1")" ] || return 0
  inode=$({ cat /proc/net/udp /proc/net/udp6 2>/dev/null || true; } | awk -v port="$(printf %04X "$port")" '
    split($2, own, ":") && own[2] == port { inode = $10 } END { print inode }')
  [ "$(header "$1" role)" != hub ] || remedy='give the hub another one (hub.endpoint, hub.listen_port)'
  [ -z "$inode" ] || echo "UDP port $port is in use by $(owner_of "$inode"): stop that, or $remedy"
}

owner_of() { # INODE of a socket
  local file
  file=$(find /proc/[0-9]*/fd -lname "socket:\[$1\]" -print -quit 2>/dev/null) || true
  if [ -n "$file" ]; then cat "${file%/fd/*}/comm"; else echo "the kernel (another WireGuard?)"; fi
}

# A network that the host is itself in, and for whose addresses (all or some) our route would win. A wider one of ours does no harm.
networks_of_this_host() { # GEN
  local dest way gen ours=''
  gen=$(current_gen)
  if [ -e "$gen/description" ]; then ours=$(our_prefixes "$gen"); fi
  our_prefixes "$1" | while read -r dest way; do
    # what is in force already is not taken from anybody
    has_line_with "$ours" "$dest" || own_networks "$dest" "$(header "$1" interface)" "$(header "$gen" interface 2>/dev/null)" "$way"
  done
}

# Its own routes are given back in the end, which has to be possible.
routes_of_this_host() { # GEN
  local dest way remedy gen ours=''
  gen=$(current_gen)
  if [ -e "$gen/description" ]; then ours=$(wanted_routes "$gen"); fi
  wanted_routes "$1" | while read -r dest _; do
    way=$(way_to "$dest")
    if [ "$way" = none ] || has_line_with "$ours" "$dest" || can_be_given_back "$dest" "$way"; then continue; fi
    remedy="ip $(family "$dest") route del $dest"
    case $dest in *:*) remedy+=' metric 1024' ;; esac
    echo "this host's own route to $dest ('${way//$'\n'/"', '"}') could not be put back as it is when wg-office leaves: delete it ('$remedy')"
  done
}

our_prefixes() { # GEN: "PREFIX WAY" lines: its routes, and the VPN
  wanted_routes "$1"
  if has_tunnel "$1"; then network_values "$1" Network Address | sed "s/\$/ dev $(header "$1" interface)/"; fi
}

own_networks() { # DEST INTERFACE INTERFACE-BEFORE WAY
  ip "$(family "$1")" route show match "$1" | awk -v dest="$1" -v new="$2" -v old="$3" -v way="$4" '
    $1 == "default" || / via / || !/ proto (kernel|dhcp|ra)( |$)/ { next }
    { dev = ""; for (i = 2; i < NF; i++) if ($i == "dev") dev = $(i + 1) }
    dev == "" || dev == new || dev == old { next }
    {
      remedy = dev ~ /^(docker|br-)/ ? "give Docker another network (default-address-pools in /etc/docker/daemon.json)" \
        : dev ~ /^virbr/ ? "give libvirt another network (virsh net-edit)" : "one of the two needs another prefix"
      print $1 " is this host\047s own network (" dev "), and " dest " (" way ") would take its place: " remedy
    }'
}

# Forwarding has the kernel forget what routers advertise, unless accept_ra is 2: the host would lose its own way out.
default_route_by_advertisement() { # GEN
  local dev
  has_line_with "$(sysctl_settings "$1")" net.ipv6.conf.all.forwarding || return 0
  ip -6 route show | sed -nE '/ (proto ra|expires) /s/.* dev ([^ ]+) .*/\1/p' | sort -u | while read -r dev; do
    if [ "$dev" != "$(header "$1" interface)" ] && [ "$(cat "/proc/sys/net/ipv6/conf/$dev/"{accept_ra,forwarding})" = $'1\n0' ]; then
      echo "$dev has its IPv6 route by router advertisement, and would lose it when this host forwards (network.cidr6): run 'echo net/ipv6/conf/$dev/accept_ra=2 >/etc/sysctl.d/60-accept-ra.conf && sysctl -p /etc/sysctl.d/60-accept-ra.conf', or leave cidr6 out"
    fi
  done
}

our_port() { # GEN: that our tunnel listens on, or the one that GEN takes over
  local gen
  gen=$(current_gen)
  if takes_over "$1"; then gen=$1; fi
  if [ -e "$gen/description" ] && has_tunnel "$gen"; then wg show "$(header "$gen" interface)" dump 2>/dev/null | awk -F'\t' 'NR == 1 {print $3}' || true; fi
}

# An operator who came in through the tunnel must not be cut off by his own change.
keeps_this_session() { # GEN
  local wg client peer
  wg=$(header "$1" interface)
  client=$(came_through "$wg")
  [ -n "$client" ] || return 0
  peer=$(peer_of "$wg" "$client")
  [ -z "$peer" ] || grep -qxF "PublicKey=$peer" "$(netdev_of "$1")" \
    || die "$rejected" "this session came through $wg, and the new configuration has no place for the peer that carries it; reach the host by another way"
}

# Where this session comes from, if that is by this interface. `sudo` drops SSH_CONNECTION, so that ancestors are asked.
came_through() { # INTERFACE
  local pid=$$ client='' variable stat
  while [ -z "$client" ] && [ "$pid" -gt 1 ]; do
    while IFS= read -r -d '' variable; do
      case $variable in SSH_CONNECTION=*) client=${variable#*=} && client=${client%% *} ;; esac
    done 2>/dev/null <"/proc/$pid/environ" || true
    stat=$(<"/proc/$pid/stat")
    # its name, which may hold anything, stands in brackets before its state and its parent
    read -r _ pid _ <<<"${stat##*) }"
  done
  [ -n "$client" ] || return 0
  ! grep -q " dev $1 " < <(ip -o route get "$client" 2>/dev/null) || printf '%s\n' "$client"
}

peer_of() { # INTERFACE ADDRESS: the only peer, or the one with that /32
  wg show "$1" allowed-ips | awk -v ip="$2" '{n++; only=$1; for (i=2;i<=NF;i++) if ($i==ip "/32" || $i==ip "/128") found=$1} END{print (found!="" ? found : (n==1 ? only : ""))}'
}
