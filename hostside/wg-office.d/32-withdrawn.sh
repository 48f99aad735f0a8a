# What a change takes from somebody is refused from before it is tried, also where the host goes back.
# Touches: withdrawn/ and the rule files of the generation in force; the table inet wg_office_host.

# --- what was withdrawn: from before anything is tried until a later description is confirmed -----------

# The generation that the host may go back to keeps, beside its files, what a change has taken from somebody. So it is in force again
# without that, by roll-back and by a reboot; and it goes with this generation, when the next one takes its place.
withdraw() { # GEN, about to be tried
  local old rules
  old=$(current_gen)
  [ -n "$old" ] && [ "$old" != "$1" ] && [ -e "$old/files/flows" ] && [ -e "$1/files/flows" ] || return 0
  rules=$(withdrawn "$1" "$old")
  [ -n "$rules" ] || return 0
  mkdir -p "$old/withdrawn"
  write "$old/withdrawn/$(sha256sum <<<"$rules" | cut -c1-16)" "$rules"
  if older "$old"; then
    host_rules "$old" >>"$old/files/nftables.nft"
  else
    write_host_rules "$old"
    nft_load "$old/files/host.nft" wg_office_host
  fi
  to_disk
}

# For awk: a line of `flows` as rules, in both directions of a connection.
# shellcheck disable=SC2016 # awk's own
as_rules='
  function ports(range,  end) { split(range, end, "-"); return end[1] == end[2] ? end[1] : range } # nft 0.9 takes no 22-22
  function rules(line, verdict,  word, ip, there, back) {
    split(line, word, " ")
    ip = index(word[2], ":") ? "ip6" : "ip"
    if (word[4] == "icmp") { there = (ip == "ip" ? " icmp" : " icmpv6") " type echo-"; back = there "reply"; there = there "request" }
    else if (word[4] != "any") { there = " " word[4] " dport " ports(word[5]); back = " " word[4] " sport " ports(word[5]) }
    print "\t\tct direction original " ip " saddr " word[2] " " ip " daddr " word[3] there " " verdict
    print "\t\tct direction reply " ip " saddr " word[3] " " ip " daddr " word[2] back " " verdict
  }
  function end_of(line) { return match(line, / until [0-9]+$/) ? substr(line, RSTART + 7) : "" }
  function while_it_lasts(line,  end) { end = end_of(line); return end == "" ? "" : "meta time < " end " " }
'

# The content of a chain: what the old generation allows and the new one does not. Lines of `flows`, in both directions of a connection, since
# one that is known already ends as well. A peer whose key goes is denied by its addresses: until the new key is in force nobody else has them.
withdrawn() { # NEW OLD
  awk -v path="$(operators_path "$1")" "$as_rules"'
    FNR == 1 { side++ }
    side == 1 && $1 == "allow" { kept[$0]; lines[++count] = $0 }
    side == 2 && $1 == "allow" && !($0 in kept) { gone[++lost] = $0; loser[$2] }
    side == 3 && $1 == "peer" { stays[$2] }
    side == 4 && $1 == "peer" && !($2 in stays) { denied[$3] }
    END {
      for (prefix in denied) found = found "\t\t# peer " prefix "\n"
      for (i = 1; i <= lost; i++) found = found "\t\t# " substr(gone[i], 7) "\n"
      if (found == "") exit
      printf "%s", found
      if (path != "") print "\t\t" path " return"
      for (prefix in denied) {
        ip = index(prefix, ":") ? "ip6" : "ip"
        print "\t\t" ip " saddr " prefix " drop\n\t\t" ip " daddr " prefix " drop"
      }
      for (i = 1; i <= count; i++) { split(lines[i], word, " "); if (word[2] in loser) rules(lines[i], while_it_lasts(lines[i]) "return") }
      for (i = 1; i <= lost; i++) rules(gone[i], "drop")
    }
  ' "$1/files/flows" "$2/files/flows" <(peer_keys "$1") <(peer_keys "$2")
}

# At the hub, "peer KEYS PREFIX": a gateway has the hub for its peer, and the keys of that are changed by another way.
peer_keys() { # GEN
  echo "# peers of ${1##*/}"
  [ "$(header "$1" role)" = hub ] || return 0
  awk -F= '
    $1 == "[WireGuardPeer]" { keys = "" }
    $1 == "PublicKey" || $1 == "PresharedKeyFile" { keys = keys substr($0, length($1) + 2) "," }
    $1 == "AllowedIPs" { print "peer", keys, $2 }
  ' "$(netdev_of "$1")"
}

# The one exception: the way by which this session came, since a change that cuts it off must be able to go back.
operators_path() { # GEN
  local client ip=ip
  client=$(came_through "$(header "$1" interface)")
  [ -n "$client" ] || return 0
  case $client in *:*) ip=ip6 ;; esac
  printf '%s saddr %s fib daddr type local meta l4proto tcp' "$ip" "$client"
}

withdrawn_chains() { # GEN
  local file
  for file in "$1"/withdrawn/* "$1/ended"; do
    [ -e "$file" ] || continue
    printf '\tchain withdrawn-%s {\n%s\n\t}\n\n' "${file##*/}" "$(<"$file")"
  done
}

withdrawn_jumps() { # GEN DIRECTION...
  local file direction gen=$1
  shift
  for file in "$gen"/withdrawn/* "$gen/ended"; do
    [ -e "$file" ] || continue
    for direction; do printf '\t\t%s "%s" jump withdrawn-%s\n' "$direction" "$(header "$gen" interface)" "${file##*/}"; done
  done
}

# A confirmation of the very generation: whatever was withdrawn from it is granted again.
grant_again() { # GEN
  [ -d "$1/withdrawn" ] || return 0
  rm -rf "$1/withdrawn"
  write_host_rules "$1"
  nft_load "$1/files/host.nft" wg_office_host
}

say_withdrawn() { # GEN: "withdrawn WHAT" lines
  { cat "$1"/withdrawn/* 2>/dev/null || true; } | sed -n 's/^\t\t# /withdrawn /p' | sort -u
}
