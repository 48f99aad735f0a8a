# Rules come into force, and those that were made before there was one judge do by the script that came with them.
# Touches: the tables inet wg_office and wg_office_host; the link `running`, by which services that start load them again.

# --- firewall: the table inet wg_office judges, others are handed over to ------------------------------

# An installation from before the one judge: its rules are known to the program that came with it, and to nobody else.
older() { [ -e "$1/files/flows" ] && [ ! -e "$1/files/hand-over.rules" ] && ! grep -q '^---- file hand-over.rules ' "$1/description"; } # GEN

by_older() { # GEN FUNCTION ARGUMENTS...
  bash -s -- "${@:2}" < <(sed '/^main "\$@"; exec true$/d' "$1/wg-office"; printf '"$@"\n')
}

# Never open, never without what is granted: the prohibition is only there while the rules in force set its stamp.
firewall_load() { # TO FROM
  [ -e "$1/files/flows" ] || return 0
  drop_prohibition "$1"
  if older "$1"; then
    by_older "$1" firewall_load "$1" "$2"
    return
  fi
  nft_load "$1/files/host.nft" wg_office_host
  nft_load "$1/files/nftables.nft" wg_office
  put_prohibition "$1"
  ln -sfn "$1" "$run/running"
  if brings_firewalld "$1"; then firewalld_load "$1" "$2"; elif brings_firewalld "$2"; then firewalld_drop "$2"; fi
  if [ -n "$2" ] && [ -e "$2/files/flows" ]; then sh "$1/files/after-load" "$2/files/flows"; else sh "$1/files/after-load"; fi
}
