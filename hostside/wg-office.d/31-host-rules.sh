# The text of host.nft: what the environment file cannot know, which links a host had and where its LANs are.
# Touches: a generation's `lans`; before/links, which remembers. It loads nothing.

# --- what the host alone knows, as rules beside the judge's ---------------------------------------------

host_rules() { # GEN: files/host.nft
  local links='' refused
  older "$1" || links=$(closed_links "$1"; lan_rules "$1")
  refused=$(revoked_in "$1")
  cat <<HEAD
table inet wg_office_host
flush table inet wg_office_host
table inet wg_office_host {
$(withdrawn_chains "$1"; revoked_chain "$refused")
	chain spoofed {
		type filter hook prerouting priority raw; policy accept;
$(of_chain spoofed "$links")
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
$(withdrawn_jumps "$1" iifname oifname; revoked_jumps "$1" "$refused" iifname oifname)
$(of_chain forward "$links")
	}

	chain input {
		type filter hook input priority filter; policy accept;
$(withdrawn_jumps "$1" iifname; revoked_jumps "$1" "$refused" iifname)
	}

	chain output {
		type filter hook output priority filter; policy accept;
$(of_chain output "$links")
	}
}
# The end of the rules.
HEAD
}

of_chain() { # CHAIN LINES
  local chain rule
  while read -r chain rule; do [ "$chain" != "$1" ] || printf '\t\t%s\n' "$rule"; done <<<"$2"
}

# A host forwards for nobody else that it did not forward for before us: nothing between the links that it had. Those that Docker, libvirt
# and the like have made, or will make, are not among them. Nor does it tell a neighbour of better ways, which the kernel does first.
closed_links() { # GEN: "CHAIN RULE" lines
  local names='' families='' family key settings
  while read -r family key; do
    if [ "$family" = link ]; then names+="${names:+,}\"$key\""; else families+=$'\n'$family; fi
  done <"$etc/before/links"
  [ -n "$names" ] || return 0
  settings=$(sysctl_settings "$1")
  while read -r family key; do
    if ! has_line "$families" "$family" || ! has_line_with "$settings" "$key"; then continue; fi
    printf 'forward meta nfproto %s iifname { %s } oifname { %s } drop\n' "$family" "$names" "$names"
    printf 'output oifname { %s } %s drop\n' "$names" "$(redirect_of "$family")"
  done <<<"$forwarding"
}

# The LANs whose interface the environment does not name. It is the one that has the host's address in the LAN and leads there: when a change
# is staged, or at an earlier one, since with the link both may be gone, which is when it has to be known.
remember_lans() { # GEN, about to be tried
  local cidr address interface
  [ -e "$1/files/lans" ] || return 0
  while read -r cidr address; do
    interface=$(lan_interface "$cidr" "$address")
    [ -n "$interface" ] || interface=$(lan_known "$current" "$cidr")
    [ -z "$interface" ] || printf '%s %s\n' "$cidr" "$interface"
  done <"$1/files/lans" >"$1/lans.new"
  mv "$1/lans.new" "$1/lans"
}

lan_interface() { # CIDR ADDRESS: what it is now
  local interface
  [ "$2" != behind ] || return 0
  read -r _ interface _ < <(ip -o address show to "$2"; echo)
  [ -z "$interface" ] || [ -z "$(ip "$(family "$1")" route show match "$1" dev "$interface")" ] || printf '%s\n' "$interface"
}

lan_known() { # GEN CIDR: what it was when the rules were made
  local cidr interface
  [ -e "$1/lans" ] || return 0
  while read -r cidr interface; do [ "$cidr" != "$2" ] || printf '%s\n' "$interface"; done <"$1/lans"
}

# What the tunnel brings for such a LAN leaves by its interface alone, and what bears its source comes by one of the site's: while the link is
# down both ways are the host's default route. What lies behind routers may be reached by any of the site's, if all of those are known.
lan_rules() { # GEN: "CHAIN RULE" lines
  local cidr address wg interface all
  [ -e "$1/files/lans" ] || return 0
  wg=$(header "$1" interface)
  all=$(lan_interfaces "$1")
  while read -r cidr address; do
    interface=$(lan_known "$1" "$cidr")
    if [ "$address" = behind ]; then interface=$all; elif [ -n "$interface" ]; then interface="\"$interface\""; fi
    [ -z "$interface" ] || printf 'forward iifname "%s" %s daddr %s oifname != %s drop\n' "$wg" "$(ip_of "$cidr")" "$cidr" "$interface"
    [ -z "$all" ] || printf 'forward oifname "%s" %s saddr %s iifname != %s drop\n' "$wg" "$(ip_of "$cidr")" "$cidr" "$all"
    printf 'spoofed %s%s saddr %s fib saddr . iif oif missing drop\n' "${all:+iifname != $all }" "$(ip_of "$cidr")" "$cidr"
  done <"$1/files/lans"
}

lan_interfaces() { # GEN: the set of them, if all are known
  local cidr address interface set=''
  while read -r cidr address; do
    [ "$address" != behind ] || continue
    interface=$(lan_known "$1" "$cidr")
    [ -n "$interface" ] || return 0
    case $set in *"\"$interface\""*) ;; *) set+="${set:+, }\"$interface\"" ;; esac
  done <"$1/files/lans"
  printf '{ %s }\n' "$set"
}

ip_of() { case $1 in *:*) echo ip6 ;; *) echo ip ;; esac; } # CIDR

lan_differences() { # GEN
  local cidr address now was
  [ -e "$1/lans" ] || return 0
  while read -r cidr address; do
    now=$(lan_interface "$cidr" "$address")
    was=$(lan_known "$1" "$cidr")
    if [ -n "$now" ] && [ "$now" != "$was" ]; then echo "network $cidr is on $now now, not on ${was:-any interface}, as its rules have it"; fi
  done <"$1/files/lans"
}

redirect_of() { if [ "$1" = ipv4 ]; then echo icmp type redirect; else echo icmpv6 type nd-redirect; fi; } # FAMILY

forwarding='ipv4 net.ipv4.ip_forward
ipv6 net.ipv6.conf.all.forwarding'

# Once: in which families the host did not forward before us, and which links it had.
remember_links() { # GEN
  local family key path
  [ ! -e "$etc/before/links" ] || return 0
  mkdir -p "$etc/before"
  {
    while read -r family key; do
      [ "$(setting_before "$key")" != 0 ] || echo "$family"
    done <<<"$forwarding"
    for path in /sys/class/net/*; do
      case ${path##*/} in
        lo | "$(header "$1" interface)" | docker* | br-* | veth* | virbr* | lxcbr* | lxdbr* | incusbr* | cni* | cali* | flannel* | podman* | vnet*) ;;
        *) echo "link ${path##*/}" ;;
      esac
    done
  } >"$etc/before/links.new"
  mv "$etc/before/links.new" "$etc/before/links"
}

setting_before() { # KEY
  local value
  value=$(sed -n "s|^$1 ||p" "$etc/before/sysctl" 2>/dev/null || true)
  if [ -n "$value" ]; then echo "$value"; else sysctl -n "$1" 2>/dev/null || true; fi
}
