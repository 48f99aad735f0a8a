# What a description says, and a generation, which is one that was unpacked: its files, keys, routes and settings.
# Touches: the directory that `unpack` is given.

# --- reading a generation ---------------------------------------------------------------------------
# GEN is its directory. What it wants at /PATH it keeps as files/PATH.
# Builtins where they do: a process that is started costs more than all the rest of a line, and much more on an emulated or busy host.

header() { # GEN KEY
  local key value
  while read -r key value; do
    case $key in ----) break ;; "$2") printf '%s\n' "$value" && break ;; esac
  done <"$1/description"
}

section_files() { # DESCRIPTION: "PATH MODE" per file section
  awk '/^---- script/{exit} /^---- file /{print $3, $4}' "$1"
}

section() { # DESCRIPTION PATH
  awk -v want="$2" '/^---- script/{exit} /^---- /{on = ($2=="file" && $3==want); next} on' "$1"
}

script_of() { # DESCRIPTION
  awk 'on{print} /^---- script/{on=1}' "$1"
}

unpack() { # DESCRIPTION DIRECTORY
  local path mode
  section_files "$1" | sed -E "s|^/*|$2/files/|; s|/[^/]*\$||" | sort -u | xargs mkdir -p
  awk -v root="$2/files/" '
    /^---- script/ { exit }
    /^---- file / { if (file) close(file); file = $3; sub("^/*", root, file); printf "" >file; next }
    file { print >file }
  ' "$1"
  section_files "$1" | while read -r path mode; do
    [ "$mode" = 0644 ] || chmod "$mode" "$2/files/${path#/}"
  done
  script_of "$1" >"$2/wg-office"
}

netdev_of() { of_networkd "$1" netdev; }
network_of() { of_networkd "$1" network; }

# networkd finds them in /run, where the boot unit puts links when the rules stand. Older installations have them in /etc.
of_networkd() { # GEN netdev|network
  local name
  name=systemd/network/50-$(header "$1" interface).$2
  if older "$1"; then printf '%s\n' "$1/files/etc/$name"; else printf '%s\n' "$1/files/run/$name"; fi
}

no_secret='AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

# Addresses that stand in one text with commas.
sorted_in_awk='
  function sorted(text,  n, i, j, t, a, out) {
    n = split(text, a, ","); for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j+1] = a[j]; a[j+1] = t }
    for (i = 1; i <= n; i++) out = out (i > 1 ? "," : "") a[i]; return out
  }
'

# The .netdev in the words of wg(8). Keys are read here and go through pipes only. Omitted values are written
# out, since older wg tools keep what a configuration does not mention.
wg_config() { # GEN
  awk '
    function read_key(path,  line) { if ((getline line < path) <= 0) { missing = path; exit } close(path); return line }
    function end_peer() { if (in_peer) { print "PresharedKey = " psk; print "PersistentKeepalive = " keepalive } in_peer = 0 }
    /^[#;]/ || !NF { next }
    /^\[/ {
      end_peer(); section = $0
      if (section == "[WireGuard]") { print "[Interface]"; print "FwMark = 0" }
      if (section == "[WireGuardPeer]") { print "[Peer]"; in_peer = 1; keepalive = 0; psk = "'"$no_secret"'" }
      next
    }
    section != "[WireGuard]" && section != "[WireGuardPeer]" { next }
    { split_at = index($0, "="); name = substr($0, 1, split_at - 1); value = substr($0, split_at + 1) }
    name == "PrivateKeyFile" { print "PrivateKey = " read_key(value); next }
    name == "PresharedKeyFile" { psk = read_key(value); next }
    name == "PersistentKeepalive" { keepalive = value; next }
    name == "ListenPort" || name == "PublicKey" || name == "AllowedIPs" || name == "Endpoint" { print name " = " value }
    END { end_peer(); if (missing) { print "wg-office: key file " missing " is missing" > "/dev/stderr"; exit 1 } }
  ' "$(netdev_of "$1")"
}

# wg(8) would take a configuration that ends at a missing key for a whole one, with fewer peers.
missing_keys() { # GEN
  local key
  sed -nE 's/^(PrivateKeyFile|PresharedKeyFile)=//p' "$(netdev_of "$1")" | while read -r key; do
    [ -s "$key" ] || echo "key file $key is missing"
  done
}

# Where the host itself has its private key, in a file that a person has put there: named by the public key, "_" in place of "/".
own_key() { sed -n 's|^PrivateKeyFile=\(/etc/systemd/network/.*\)|\1|p' "$(netdev_of "$1")"; } # GEN

# What is wrong with it, and what to do: nobody else can make it.
own_key_fault() { # GEN
  local file public found group=root make
  file=$(own_key "$1")
  [ -n "$file" ] || return 0
  public=${file##*/} public=${public%.key} public=${public//_//}
  getent group systemd-network >/dev/null && group=systemd-network
  make="make a key on this host as docs/operations.md says (Own keys), and write the public key that this prints into the environment file"
  if [ ! -s "$file" ]; then
    echo "key file $file is missing: put the private key of $public there, or $make"
  elif ! found=$(wg pubkey <"$file" 2>/dev/null); then
    echo "key file $file holds no private key: put that of $public there, or $make"
  elif [ "$found" != "$public" ]; then
    echo "key file $file holds another key, whose public key is $found: put that of $public there, or $make"
  elif [ "$(stat -c %04a:%U:%G "$file")" != "0640:root:$group" ]; then
    echo "key file $file must be for root and networkd alone: chown root:$group $file && chmod 0640 $file"
  fi
}

# The values of a key in one section of the .network file, e.g. `network_values GEN Network Address`.
network_values() { # GEN SECTION KEY
  local line section=''
  while IFS= read -r line; do
    case $line in
      "["*) section=$line ;;
      "$3="*) [ "$section" != "[$2]" ] || printf '%s\n' "${line#*=}" ;;
    esac
  done <"$(network_of "$1")"
}

# What the routing table must hold: a LAN behind the tunnel (.network), or the way back to the VPN (routes).
wanted_routes() { # GEN: "DEST WAY" per line
  local dest wg
  if has_tunnel "$1"; then
    wg=$(header "$1" interface)
    network_values "$1" Route Destination | while read -r dest; do printf '%s dev %s\n' "$dest" "$wg"; done
  fi
  if [ -e "$1/files/routes" ]; then cat "$1/files/routes"; fi
}

sysctl_settings() { # GEN: "KEY VALUE" per line
  local key value conf="$1/files/run/sysctl.d/50-wg-office.conf"
  # Older installations have it in /etc, where it counted before the rules.
  [ -e "$conf" ] || conf="$1/files/etc/sysctl.d/50-wg-office.conf"
  [ -e "$conf" ] || return 0
  while IFS=' =' read -r key value; do
    case $key in '' | '#'* | ';'*) ;; *) printf '%s %s\n' "$key" "$value" ;; esac
  done <"$conf"
}

has_line() { case $'\n'$1$'\n' in *$'\n'"$2"$'\n'*) ;; *) return 1 ;; esac; } # TEXT LINE

has_line_with() { case $'\n'$1 in *$'\n'"$2 "*) ;; *) return 1 ;; esac; } # TEXT FIRST-WORD
