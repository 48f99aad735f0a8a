# Names the connections that are no longer allowed, so that they can be taken out of the kernel's connection tracking.
#
#   { conntrack -L -f ipv4; conntrack -L -f ipv6; } 2>/dev/null | awk -f flows.awk was=1 OLD/flows was=0 NEW/flows -
#
# prints one line per such connection: the arguments of `conntrack -D` that delete it and no other.
#
# The `flows` files are rendered by wg_office/firewall/flows.py:
#   scope PREFIX                      what lies on the tunnel's other side; a connection is judged when one of its ends does
#   local ADDRESS                     an address of this host (`ip -o addr` of the running system may be added in the same form, with prefix length)
#   alias PREFIX LAN                  a LAN of this host that the tunnel knows by another prefix; `allow` has the addresses of the LAN
#   allow SOURCE DESTINATION any|icmp
#   allow SOURCE DESTINATION tcp|udp FIRST-LAST
#   allow ... until SECONDS           in seconds since 1970: no longer, where `now` is given and not before it
# Of the file that was in force before (was=1) scope and aliases count alone: a link between sites, or an alias, that is gone has connections
# to end.
#
# POSIX awk, for mawk. An address is the text of its bits with its family in front, so that a prefix is a prefix of the text.

BEGIN {
    for (i = 0; i < 16; i++) {
        nibble = ""
        for (bit = 8; bit >= 1; bit /= 2) nibble = nibble (int(i / bit) % 2)
        hex[substr("0123456789abcdef", i + 1, 1)] = nibble
        nibbles[i] = nibble
    }
}

$1 == "scope" { scopes[++scope_count] = bits($2) }
$1 == "local" { split($2, own, "/"); locals[bits(own[1])] = 1 }
$1 == "alias" { alias_was[++alias_count] = was; aliases[alias_count] = bits($2); lans[alias_count] = bits($3) }
$1 == "allow" && !was && !ended() { permit(bits($2), bits($3), $4, $5) }

# A line of `conntrack -L`: the addresses and ports stand twice, as the first packet had them and as an answer must have them.
/ src=.* dst=.* src=.* dst=/ {
    read_flow()
    if (judged() && (!allowed() || misnamed(destination, bits(first["dst"])) || misnamed(source, bits(answer["dst"])))) print deletion()
}

function ended() { return $(NF - 1) == "until" && $NF + 0 <= now + 0 }

function read_flow(   i, name, value) {
    split("", first)
    split("", answer)
    for (i = 1; i <= NF; i++) {
        if ((name = index($i, "=")) == 0) continue
        value = substr($i, name + 1)
        name = substr($i, 1, name - 1)
        if (name in first) answer[name] = value
        else first[name] = value
    }
    source = bits(first["src"])
    # Where the packets really go, and what the rules see: behind any translation of the destination.
    destination = bits(answer["src"])
    port = ("sport" in answer) ? answer["sport"] + 0 : -1
}

# A connection that this host opened itself is not judged by any rule, and one that comes from elsewhere to this host did not come through the tunnel.
function judged() {
    if (source in locals) return 0
    if (in_scope(source)) return 1
    return in_scope(destination) && !(destination in locals)
}

function in_scope(address,   i) {
    for (i = 1; i <= scope_count; i++) if (within(address, scopes[i])) return 1
    return 0
}

# Whether the tunnel knows a machine of our LANs otherwise than it should: by an alias that is gone, or without the one that came.
function misnamed(real, name,   i, right, ours) {
    right = real
    for (i = 1; i <= alias_count; i++) {
        if (!within(real, lans[i])) continue
        ours = 1
        if (!alias_was[i]) right = aliases[i] substr(real, length(aliases[i]) + 1)
    }
    if (!ours || name == right) return 0
    for (i = 1; i <= alias_count; i++) if (within(name, aliases[i]) || within(name, lans[i])) return 1
    # What the host itself translates, such as a port of its own that leads to a machine, is judged by where it really goes.
    return 0
}

function permit(from, to, protocol, range,   ports) {
    rule_count++
    rule_to[rule_count] = to
    rule_protocol[rule_count] = protocol
    split(range, ports, "-")
    rule_first[rule_count] = ports[1] + 0
    rule_last[rule_count] = ports[2] + 0
    # Senders are single addresses, and many, or prefixes, and few.
    if (length(from) == length_of(from)) rules_from[from] = rules_from[from] " " rule_count
    else prefixes[++prefix_count] = from SUBSEP rule_count
}

function allowed(   i, count, numbers, prefix) {
    count = split(rules_from[source], numbers, " ")
    for (i = 1; i <= count; i++) if (fits(numbers[i])) return 1
    for (i = 1; i <= prefix_count; i++) {
        split(prefixes[i], prefix, SUBSEP)
        if (within(source, prefix[1]) && fits(prefix[2])) return 1
    }
    return 0
}

function fits(rule,   protocol) {
    if (!within(destination, rule_to[rule])) return 0
    # A grant to the whole LAN is none to the gateway that stands in it.
    if (destination in locals && rule_to[rule] != destination) return 0
    protocol = rule_protocol[rule]
    if (protocol == "any") return 1
    if (protocol == "icmp") return ($1 == "icmp" && first["type"] == 8) || ($1 == "icmpv6" && first["type"] == 128)
    return $1 == protocol && port >= rule_first[rule] && port <= rule_last[rule]
}

function deletion(   arguments) {
    arguments = "-f " (substr(source, 1, 1) == "4" ? "ipv4" : "ipv6") " -p " ($1 == "unknown" ? $2 : $1) " -s " first["src"] " -d " first["dst"]
    if ("sport" in first) arguments = arguments " --sport " first["sport"] " --dport " first["dport"]
    if ("type" in first) arguments = arguments " --" $1 "-type " first["type"] " --" $1 "-code " first["code"] " --" $1 "-id " first["id"]
    return arguments
}

function within(address, prefix) { return substr(address, 1, length(prefix)) == prefix }

function length_of(text) { return substr(text, 1, 1) == "4" ? 33 : 129 }

function bits(text,   parts, whole) {
    if (text in known) return known[text]
    split(text, parts, "/")
    whole = index(parts[1], ":") ? "6" bits6(parts[1]) : "4" bits4(parts[1])
    if (2 in parts) whole = substr(whole, 1, parts[2] + 1)
    return known[text] = whole
}

function bits4(text,   i, octets, result) {
    split(text, octets, ".")
    for (i = 1; i <= 4; i++) result = result nibbles[int(octets[i] / 16)] nibbles[octets[i] % 16]
    return result
}

function bits6(text,   i, halves, result, left, right) {
    text = tolower(text)
    if (!index(text, "::")) return groups6(text)
    i = index(text, "::")
    left = groups6(substr(text, 1, i - 1))
    right = groups6(substr(text, i + 2))
    while (length(left) + length(right) < 128) left = left "0000000000000000"
    return left right
}

function groups6(text,   i, j, count, groups, result) {
    count = split(text, groups, ":")
    for (i = 1; i <= count; i++) {
        groups[i] = substr("0000", 1, 4 - length(groups[i])) groups[i]
        for (j = 1; j <= 4; j++) result = result hex[substr(groups[i], j, 1)]
    }
    return result
}
