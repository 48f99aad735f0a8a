# Hosts with firewalld: its files are tried in a copy, and come into force by a reload.
# Touches: /etc/firewalld and what is mounted there; before/files, which remembers; firewalld, by a reload.

# --- firewalld: its files come into force by a reload, which takes away what others have set at run time only -----

brings_firewalld() { [ -n "$1" ] && [ -d "$1/files/etc/firewalld" ]; }

firewalld_runs() { systemctl -q is-active firewalld; }

firewalld_files() { # GEN
  section_files "$1/description" | awk '$1 ~ "^/etc/firewalld/" {print $1}'
}

# The files are constant: only the first installation, the removal and a take-over need a reload.
firewalld_load() { # TO FROM
  local path committed=
  if [ "$(current_gen)" = "$1" ]; then
    committed=yes
    end_firewalld_trial
    firewalld_files "$1" | while read -r path; do link "$path"; done
  fi
  firewalld_runs || return 0
  if same_firewalld "$1" "$2" && firewalld_has_ours; then return 0; fi
  [ -n "$committed" ] || firewalld_trial "$1"
  firewall-cmd -q --reload
}

firewalld_has_ours() { case " $(firewall-cmd --get-policies 2>/dev/null) " in *" wg-office-in "*) ;; *) return 1 ;; esac; }

# Until the commit firewalld reads a copy of its directory, which a reboot forgets. Links would then lead nowhere, and with one of
# those firewalld starts without any of its settings.
firewalld_trial() { # GEN
  local path
  end_firewalld_trial
  firewalld_files "$1" | while read -r path; do
    if foreign "$path"; then keep "$path"; fi
  done
  firewalld_copy "$1" "$run/firewalld"
  mount --bind "$run/firewalld" /etc/firewalld
}

end_firewalld_trial() {
  if grep -q ' /wg-office/firewalld /etc/firewalld ' /proc/self/mountinfo; then umount -l /etc/firewalld; fi
  rm -rf "$run/firewalld"
}

firewalld_copy() { # GEN DIRECTORY: what /etc/firewalld would be
  local path
  mkdir -p "$2"
  cp -a /etc/firewalld/. "$2"
  firewalld_files "$1" | while read -r path; do
    rm -f "$2${path#/etc/firewalld}"
    install -D -m 0644 "$1/files/${path#/}" "$2${path#/etc/firewalld}"
  done
}

same_firewalld() { # GEN GEN
  brings_firewalld "$1" && brings_firewalld "$2" && diff -rq "$1/files/etc/firewalld" "$2/files/etc/firewalld" >/dev/null
}

firewalld_drop() { # FROM: a roll-back, and a boot, link its files again
  local path
  end_firewalld_trial
  firewalld_files "$1" | while read -r path; do
    foreign "$path" || give_back "$path"
  done
  if firewalld_runs; then firewall-cmd -q --reload; fi
}

firewalld_check() { # GEN
  local copy status=0
  copy=$(mktemp -d "$run/firewalld.XXXXXX")
  firewalld_copy "$1" "$copy"
  firewall-offline-cmd --system-config "$copy" --check-config >/dev/null || status=1
  rm -rf "$copy"
  return "$status"
}

# What a reload would lose of others. Interfaces are not compared: firewalld keeps their zones.
firewalld_is_saved() { cmp -s <(firewalld_settings) <(firewalld_settings --permanent); }

firewalld_settings() { # [--permanent]
  local kind
  for kind in zones policies; do
    firewall-cmd "$@" "--list-all-$kind" \
      | awk -v kind="$kind" '/^[^ \t]/{name=$1; next} NF && $1 != "interfaces:" && name !~ /^wg-office/ {$1=$1; print kind, name, $0}' | sort
  done
  firewall-cmd "$@" --direct --get-all-rules | sort
}

fit_firewalld() { # GEN
  if ! brings_firewalld "$1"; then
    firewalld_runs || return 0
    [ ! -e "$1/files/flows" ] \
      || die "$unfit" "firewalld runs on this host, and would not let the tunnel's packets pass: set firewall: firewalld for it, or run 'systemctl disable --now firewalld'"
    if brings_firewalld "$(current_gen)"; then keeps_firewalld; fi
    return 0
  fi
  firewalld_runs || die "$unfit" "firewall: firewalld, but it does not run on this host: run 'systemctl enable --now firewalld', or set firewall: nftables or iptables"
  firewall-cmd --get-policies >/dev/null 2>&1 || die "$unfit" "this host's firewalld is older than 0.9 and knows no policies: set firewall: nftables or iptables, and stop it"
  same_firewalld "$1" "$(current_gen)" || keeps_firewalld
}

keeps_firewalld() {
  firewalld_is_saved \
    || die "$unfit" "firewalld on this host has settings that are not saved, and wg-office must reload it: keep them with 'firewall-cmd --runtime-to-permanent', or drop them with 'firewall-cmd --reload'"
}
