# Rules in the kernel: written, loaded, tried, compared, taken away; and the routing rule that forbids what they have not stamped.
# Touches: our tables, iptables chains and routing rule; host.nft; the link `running`; before/tables, which remembers.

write_host_rules() { # GEN
  [ -e "$1/files/hand-over.rules" ] || return 0
  remember_links "$1"
  leave_out_ended "$1"
  write "$1/files/host.nft" "$(host_rules "$1")"
}

# Of every generation that may come into force.
write_all_host_rules() {
  local gen
  for gen in "$etc"/gen/*; do write_host_rules "$gen"; done
  to_disk
}

# One transaction, in which chains go as well that the file no longer has.
nft_load() { # FILE TABLE
  { cat "$1"; stale_chains "$1" "$2" | sed "s/^/delete chain inet $2 /"; } | nft -f -
}

stale_chains() { # FILE TABLE
  awk '$1 == "chain" && $3 == "{" { if (running) { if (!($2 in kept)) print $2 } else kept[$2] }' "$1" running=1 <(nft list table inet "$2" 2>/dev/null)
}

# The routing rule by which nothing of the tunnel is forwarded that the table has not stamped: nothing, if somebody takes the table away.
families() { if [ -e /proc/sys/net/ipv6 ]; then echo -4 -6; else echo -4; fi; }

prohibition() { printf 'iif %s fwmark 0/%s prohibit\n' "$(header "$1" interface)" "$(header "$1" mark)"; } # GEN

prohibitions() { # FAMILY
  local rule
  while IFS= read -r rule; do
    if [[ $rule =~ ^10:.*(fwmark\ 0/[^\ ]+)\ (iif\ [^\ ]+)(\ \[detached\])?\ prohibit$ ]]; then printf '%s %s prohibit\n' "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}"; fi
  done < <(ip "$1" rule)
}

# Said to be the kernel's own, since networkd drops other rules that are not its own whenever it configures a link.
put_prohibition() { # GEN
  local family wanted
  wanted=$(prohibition "$1")
  for family in $(families); do
    has_line "$(prohibitions "$family")" "$wanted" && continue
    # shellcheck disable=SC2086 # several words
    ip "$family" rule add priority 10 $wanted protocol kernel
  done
}

# All but the one that belongs to this generation.
drop_prohibition() { # GEN or nothing
  local family wanted='' rule
  if [ -n "$1" ] && ! older "$1"; then wanted=$(prohibition "$1"); fi
  for family in $(families); do
    prohibitions "$family" | while read -r rule; do
      # shellcheck disable=SC2086
      [ "$rule" = "$wanted" ] || ip "$family" rule del priority 10 $rule
    done
  done
}

firewall_drop() { # FROM TO
  [ -e "$1/files/flows" ] || return 0
  if [ -n "$2" ] && [ -e "$2/files/flows" ] && ! older "$2"; then
    if older "$1"; then by_older "$1" firewall_drop "$1" "$2"; fi
    return 0
  fi
  nft delete table inet wg_office_host 2>/dev/null || true
  if older "$1"; then by_older "$1" firewall_drop "$1" "$2"; return; fi
  drop_prohibition ""
  if [ -z "$2" ] || [ ! -e "$2/files/nftables.nft" ]; then nft delete table inet wg_office 2>/dev/null || true; fi
  iptables_drop iptables
  iptables_drop ip6tables
  rm -f "$run/running"
  if brings_firewalld "$1" && { [ -z "$2" ] || ! brings_firewalld "$2"; }; then firewalld_drop "$1"; fi
}

iptables_drop() { # TOOL
  local hook
  command -v "$1-save" >/dev/null || return 0
  for hook in FORWARD INPUT; do
    grep -q "^:WG-OFFICE-$hook " < <("$1-save" -t filter 2>/dev/null) || continue
    while "$1" -w -D "$hook" -j "WG-OFFICE-$hook" 2>/dev/null; do :; done
    "$1" -w -F "WG-OFFICE-$hook"
    "$1" -w -X "WG-OFFICE-$hook"
  done
  forget_table "$1" filter
}

# Where iptables speaks through nft, its first use makes tables, and chains in those of others; what was not there before goes again, unless
# somebody uses it.
forget_table() { # TOOL TABLE
  local family=ip
  [ "$1" = iptables ] || family=ip6
  if grep -qx "table $family $2" "$etc/before/tables" 2>/dev/null; then
    forget_chains "$1" "$2" "$family"
    return 0
  fi
  grep -q '^-A' < <("$1-save" -t "$2" 2>/dev/null) && return 0
  nft delete table "$family" "$2" 2>/dev/null || true
}

# Empty ones that let everything pass. What an earlier version remembered had tables alone.
forget_chains() { # TOOL TABLE FAMILY
  local chain known saved
  known=$(sed -n "s/^chain $3 $2 //p" "$etc/before/tables")
  [ -n "$known" ] || return 0
  saved=$("$1-save" -t "$2" 2>/dev/null || true)
  sed -n 's/^:\([A-Z]*\) ACCEPT .*/\1/p' <<<"$saved" | while read -r chain; do
    has_line "$known" "$chain" || has_line_with "$saved" "-A $chain" || nft delete chain "$3" "$2" "$chain" 2>/dev/null || true
  done
}

# "table FAMILY NAME" and "chain FAMILY TABLE NAME" lines.
remember_tables() {
  [ ! -e "$etc/before/tables" ] || return 0
  { nft list chains 2>/dev/null || true; } | awk '/^table / { table = $2 " " $3; print "table", table } /^\tchain / { print "chain", table, $2 }' >"$etc/before/tables"
}

firewall_check() { # GEN
  local name
  [ -e "$1/files/flows" ] || return 0
  for name in host.nft nftables.nft; do
    nft -c -f "$1/files/$name" || return 1
  done
  if brings_firewalld "$1"; then firewalld_check "$1" || return 1; fi
}

# Our rules as they run, without counters.
firewall_listing() {
  local tool
  judge_listing
  for tool in iptables ip6tables; do
    "$tool-save" -t filter 2>/dev/null | grep WG-OFFICE || true
  done
}

# Ends are listed as dates.
judge_listing() {
  TZ=UTC nft -s list table inet wg_office_host 2>/dev/null || true
  TZ=UTC nft -s list table inet wg_office 2>/dev/null || true
}

# What the same tools make of the generation's files where nothing else is: nft in a network of its own. The hand-over is in iptables' own words.
firewall_wanted() { # GEN
  local tool
  export gen=$1
  # shellcheck disable=SC2016 # expanded there
  unshare --net bash -c "$(declare -f judge_listing)"'
    nft -f "$gen/files/host.nft"; nft -f "$gen/files/nftables.nft"; judge_listing' 2>/dev/null || true
  for tool in iptables ip6tables; do
    "$tool-save" -t filter >/dev/null 2>&1 || continue
    grep -E '^(:|-A )' "$1/files/hand-over.rules"
    printf -- '-A %s -j WG-OFFICE-%s\n' FORWARD FORWARD INPUT INPUT
  done
}

firewall_differences() { # GEN
  local family
  [ -e "$1/files/flows" ] || return 0
  if older "$1"; then by_older "$1" firewall_differences "$1"; return; fi
  for family in $(families); do
    has_line "$(prohibitions "$family")" "$(prohibition "$1")" || echo "routing rule $(prohibition "$1") is missing (IPv${family#-})"
  done
  [ "$(readlink -f "$run/running")" = "$(readlink -f "$1")" ] || echo "link $run/running does not lead to the rules that should run"
  if ! nft list table inet wg_office >/dev/null 2>&1; then echo "firewall table inet wg_office is missing"; return 0; fi
  firewall_listing | awk '
    wanted { want[$0]++; line[++count] = $0; next }
    want[$0] > 0 { want[$0]--; kept++; next }
    { if (!added++) example = $0 " is not ours" }
    END {
      for (i = 1; i <= count && !added; i++) if (want[line[i]] > 0) { example = line[i] " is missing"; break }
      sub(/^[ \t]+/, "", example)
      if (count && !kept) print "firewall rules are gone"
      else if (example != "") print "firewall rules differ (" count - kept " missing, " added + 0 " more): " example
    }' wanted=1 <(firewall_wanted "$1") wanted=0 -
}
