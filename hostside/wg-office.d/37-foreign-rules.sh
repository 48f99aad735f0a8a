# Two readers, in awk, of rules that are not ours: which drop the tunnel's packets, and which use our bit of the mark.
# Touches: nothing. It says what it finds.

# Reads `nft -s list ruleset`, follows a packet of the tunnel through each forward chain, and names the chains that do not let it pass.
# A drop counts where nothing is asked but the interface and the connection's state; an accept also where more is asked, if it is
# about the tunnel by name, or about our stamp: somebody has thought of it there.
# shellcheck disable=SC2016 # the fields of awk
forward_judge='
  { gsub(/ (comment|prefix) "[^"]*"/, ""); sub(/^[ \t]+/, ""); sub(/[ ;]*$/, "") }
  $1 == "table" { table = $2 " " $3; next }
  $1 == "chain" { chain = table " " $2; next }
  $1 == "set" || $1 == "map" { set = table " @" $2; next }
  $1 == "}" { chain = set = ""; next }
  set && ($1 == "elements" || set in elements) { sub(/.*\{/, ""); sub(/\}.*/, ""); elements[set] = elements[set] $0 }
  $1 == "flags" && /dormant/ { skip[table] = 1 }
  /^type filter hook forward / { bases[++based] = chain; policy[chain] = /policy drop/ ? "drop" : "accept"; next }
  chain == "inet wg_office to-tunnel" && / accept/ { to_tunnel = "new" }
  chain { rules[chain, ++length_of[chain]] = $0 }

  END {
    for (i = 1; i <= based; i++) {
      split(bases[i], name, " ")
      table = name[1] " " name[2]
      if (!(name[1] in judged) || table in skip || bases[i] in skip || lets_pass(bases[i], "iif", "new") && lets_pass(bases[i], "oif", to_tunnel)) continue
      print "table " table " drops what nobody accepts: add \047iifname \"" wg "\" accept\047 and \047oifname \"" wg "\" accept\047 to its chain " name[3]
    }
  }

  function lets_pass(chain, side, state,   end) {
    end = walk(chain, side, state, 0, 1)
    return (end ? end : policy[chain]) == "accept"
  }

  # The verdict on the way through a chain, or nothing. SURE: nothing else is asked on the way here; NAMED: the tunnel is.
  function walk(chain, side, state, named, sure,   at, i, end) {
    at = chain SUBSEP side SUBSEP state SUBSEP named SUBSEP sure
    if (!(at in known)) for (i = 1; i <= length_of[chain]; i++) {
      end = verdict(rules[chain, i], side, state, named, sure)
      if (end) { known[at] = end; break }
    }
    return known[at] == "return" ? "" : known[at]
  }

  function verdict(rule, side, state, named, sure,   rest, word, target) {
    rule = without(rule, "ct state", state)
    rest = without(rule, side "(name)?", wg)
    named = named || rest != rule || mark && index(rule, "meta mark & " mark " == " mark)
    while (sub(/(^| )(counter( name "[^"]*")?|log( (level|flags|group|snaplen|queue-threshold) [^ ]+)*)( |$)/, " ", rest));
    if (!match(rest, /(^| )(accept|drop|reject|return|jump|goto)( |$)/)) return ""
    sure = sure && substr(rest, 1, RSTART - 1) !~ /[^ ]/
    split(substr(rest, RSTART), word, " ")
    if (word[1] == "accept") return named || sure ? "accept" : ""
    if (word[1] == "jump" || word[1] == "goto") {
      target = walk(table " " word[2], side, state, named, sure)
      return target || word[1] == "jump" || !sure ? target : "return"
    }
    if (!sure) return ""
    return word[1] == "return" ? "return" : "drop"
  }

  # The rule for a packet of which WORD tells VALUE: without this condition where the packet meets it, nothing where it does not.
  function without(rule, word, value,   before, after, place, not, map, set, found) {
    if (!match(rule, "(^| )" word " ")) return rule
    before = substr(rule, 1, RSTART - 1)
    after = substr(rule, RSTART + RLENGTH)
    for (place = 1; sub(/[a-z0-9]+ \.$/, "", before); place++) sub(/ $/, "", before)
    if (after ~ /^\. / && match(after, / (vmap |!= )?[{@]/)) after = substr(after, RSTART + 1)
    else if (place == 1) place = 0
    not = sub(/^!= /, "", after)
    map = sub(/^vmap /, "", after)
    match(after, /^(\{[^}]*\}|[^ ]+)/)
    set = substr(after, 1, RLENGTH)
    after = substr(after, RLENGTH + 1)
    found = element(set ~ /^@/ ? elements[table " " set] : set, place, value)
    if (not ? found : !found) return ""
    return before (place ? " and more" : "") (map ? " " found : "") after
  }

  # What a set, a map or a single value has for VALUE, which is the PLACEth of several where they are asked together.
  function element(set, place, value,   n, i, each, pair, part) {
    gsub(/[{}"\t]/, "", set)
    n = split(set, each, ",")
    for (i = 1; i <= n; i++) {
      split(each[i], pair, " : ")
      split(pair[1], part, " [.] ")
      if (is(part[place ? place : 1], value)) return pair[2] ? pair[2] : "found"
    }
    return ""
  }

  function is(pattern, value) {
    gsub(/ /, "", pattern)
    return pattern == value || pattern ~ /\*$/ && index(value, substr(pattern, 1, length(pattern) - 1)) == 1
  }
'

# An accept of ours does not overrule a drop in somebody else's table. iptables' own chains and firewalld's are asked by rules of ours there;
# a bridge's are not asked of what is routed, and an IPv4 tunnel meets no chain for IPv6.
foreign_forward_drops() { # GEN
  local skip='inet wg_office,inet wg_office_host,inet firewalld' families='inet,ip' opens=established
  has_tunnel "$1" || return 0
  case $(network_values "$1" Network Address) in *:*) families+=,ip6 ;; esac
  if command -v iptables >/dev/null; then skip+=',ip filter FORWARD,ip6 filter FORWARD'; fi
  # without a table of ours it is not known here whether somebody behind this host opens connections into the tunnel
  [ -e "$1/files/nftables.nft" ] || opens=new
  { nft -s list ruleset 2>/dev/null || true; } | awk -v wg="$(header "$1" interface)" -v mark="$(header "$1" mark)" -v families="$families" \
    -v skipped="$skip" -v to_tunnel="$opens" "
    BEGIN { split(families, each, \",\"); for (i in each) judged[each[i]]; split(skipped, each, \",\"); for (i in each) skip[each[i]] }
    $forward_judge"
}

# Reads the rules of iptables (each tool's behind "tool FAMILY"), of nft and of routing, and names those that ask for our bit of a packet's mark,
# or set it. A connection's mark is another one, of which nothing is said unless it is taken for the packet's.
# shellcheck disable=SC2016 # the fields of awk
mark_judge='
  BEGIN { match(bit, /[1-9a-f]0*$/); place = RLENGTH - 1; weight = substr(bit, RSTART, 1) }
  { rule = $0; gsub(/\\"/, "", rule); gsub(/"[^"]*"/, "", rule); sub(/^[ \t]+/, "", rule) }
  $1 == "tool" { family = $2; next }
  /^\*/ { table = family " " substr($1, 2); next }
  # a chain of these is told in the words of iptables
  /^:/ { told[table " " substr($1, 2)]; next }
  $1 == "table" { table = $2 " " $3; next }
  $1 == "chain" { ours = table ~ /^inet wg_office/ || table " " $2 in told; next }
  /^-A / { if (rule !~ / WG-OFFICE-/ && of_iptables(rule)) name(); next }
  /^[0-9]+:/ { if (!(/ prohibit$/ && index($0, "fwmark 0/" bit)) && match(rule, /fwmark [^ ]+/) && masked(substr(rule, RSTART + 7, RLENGTH - 7))) name(); next }
  !ours && $1 != "typeof" && of_nft(rule) { name() }

  function name() {
    sub(/^[ \t]+/, "")
    if (!seen[$0]++) print "packet mark " bit " is ours, and somebody else\047s rule touches it: " $0 "; choose another bit with network.mark"
  }

  function has(number) {
    sub(/^0x/, "", number)
    return int((index("0123456789abcdef", substr("0000000" number, length(number) + 7 - place, 1)) - 1) / weight) % 2
  }

  # VALUE, which is about all bits, or VALUE/MASK
  function masked(word,   part) { return split(word, part, "/") == 1 || has(part[1]) || has(part[2]) }

  function of_iptables(rule,   n, i, word, module, option, restored) {
    n = split(rule, word, " ")
    for (i = 1; i <= n; i++) {
      if (word[i] ~ /^-[mj]$/) module = word[i + 1]
      option = module " " word[i]
      if (option ~ /^(mark --mark|MARK --set-x?mark|TPROXY --tproxy-mark)$/ && masked(word[i + 1])) return 1
      if (option ~ /^CONNMARK --restore-mark$/) restored = 1
      if (restored && (option ~ /^CONNMARK --(nf|ct)mask$/ && has(word[i + 1]) || option ~ /-shift-mark$/)) return 1
      if (option ~ /^(HMARK -j|SET --map-mark|socket --restore-skmark)$/) return 1
    }
  }

  function of_nft(rule,   word) {
    gsub(/[()] ?/, "", rule)
    gsub(/ and 0x/, " \\& 0x", rule); gsub(/ x?or 0x/, " | 0x", rule); gsub(/mark set mark/, "mark set meta mark", rule)
    gsub(/ct mark set (meta mark|ct mark|0x[0-9a-f]+)( ([&|^]|<<|>>) (meta mark|ct mark|[0-9a-fx]+))*/, "", rule)
    while (match(rule, /(^| )meta mark( |$)/)) {
      rule = substr(rule, RSTART + RLENGTH)
      if (sub(/^set meta mark( |$)/, "", rule)) {
        # what is kept of it is not touched
        for (; match(rule, /^[&|^] 0x[0-9a-f]+( |$)/); rule = substr(rule, RLENGTH + 1)) {
          split(rule, word, " ")
          if (has(word[2]) != (word[1] == "&")) return 1
        }
        if (rule ~ /^([&|^.]|<<|>>|map) /) return 1
      }
      else if (rule ~ /^& 0x/) { split(rule, word, " "); if (has(word[2])) return 1 }
      else if (match(rule, /^(!= )?0x[0-9a-f]+\/[0-9]+/)) { split(substr(rule, 1, RLENGTH), word, "/"); if (32 - 4 * place - index("1248", weight) < word[2]) return 1 }
      else return 1
    }
  }
'

# Who else uses our bit of the mark: said with the rule, and the way out is another bit.
foreign_marks() { # GEN
  local bit tool family
  bit=$(header "$1" mark)
  [ -n "$bit" ] || return 0
  {
    for tool in iptables ip6tables iptables-legacy ip6tables-legacy; do
      case $tool in *-legacy) family=legacy ;; ip6*) family=ip6 ;; *) family=ip ;; esac
      echo "tool $family"
      "$tool-save" || true
    done
    nft -s list ruleset || true
    for family in $(families); do ip "$family" rule || true; done
  } 2>/dev/null | awk -v bit="$bit" "$mark_judge"
}
