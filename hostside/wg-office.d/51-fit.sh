# Whether a host has what a generation needs, which package brings what it lacks, and to whom the host belongs.
# Touches: nothing.

need() { # COMMAND
  command -v "$1" >/dev/null || missing+=" $1"
}

# The package that brings a command, where it has another name than the command or Debian's. Looked up in the distributions' indexes in
# November 2026: conntrack (Debian, Ubuntu), conntrack-tools (Arch, openSUSE), wireguard-tools (Arch), systemd-networkd (Fedora, EPEL 8 to 10)
# and systemd-network (Tumbleweed, Leap 15; none for Leap 16). The others are from memory, and none was installed from there.
packages='default ip iproute2
default flock util-linux
default sysctl procps
default awk mawk
default wg wireguard-tools
default networkctl systemd
default nft nftables
default iptables-restore iptables
default firewall-cmd firewalld
dnf ip iproute
dnf sysctl procps-ng
dnf awk gawk
dnf networkctl systemd-networkd
dnf conntrack conntrack-tools
zypper awk gawk
zypper networkctl systemd-network
zypper conntrack conntrack-tools
pacman sysctl procps-ng
pacman awk gawk
pacman conntrack conntrack-tools'

package_of() { # MANAGER COMMAND
  awk -v manager="$1" -v command="$2" '
    $2 == command && ($1 == manager || ($1 == "default" && !found)) { name = $3; found = $1 == manager }
    END { print (name == "" ? command : name) }' <<<"$packages"
}

# What installs packages here: "MANAGER ID..." by /etc/os-release, whose ID names the distribution and ID_LIKE those it descends from.
manager() {
  local file=/etc/os-release
  [ -e "$file" ] || file=/usr/lib/os-release
  (
    ID='' ID_LIKE=''
    # shellcheck source=/dev/null
    [ ! -e "$file" ] || . "$file"
    for id in $ID $ID_LIKE; do
      case $id in
        debian | ubuntu) echo "apt-get $ID" ;;
        fedora | rhel | centos) echo "dnf $ID $ID_LIKE" ;;
        suse | opensuse* | sles) echo "zypper $ID" ;;
        arch) echo "pacman $ID" ;;
        *) continue ;;
      esac
      break
    done
  )
}

# Fedora and what is made of it have all of it themselves; RHEL and its relatives have networkd, and older ones wg, in EPEL.
install_with() { # COMMANDS: how to install what brings them
  local manager ids command packages_of=''
  read -r manager ids < <(manager; echo)
  for command in $1; do packages_of+=" $(package_of "$manager" "$command")"; done
  packages_of=$(tr ' ' '\n' <<<"$packages_of" | awk 'NF && !seen[$0]++ {printf " %s", $0}')
  case $manager in
    '') echo "install the packages of your distribution that bring them" ;;
    pacman) echo "install with: pacman -S$packages_of" ;;
    dnf) echo "install with: $(epel "$ids" "$packages_of")dnf install$packages_of" ;;
    *) echo "install with: $manager install$packages_of" ;;
  esac
}

epel() { # IDS PACKAGES
  case $2 in *networkd* | *wireguard*) ;; *) return 0 ;; esac
  case " $1 " in
    " rhel "* | " ol "*) printf 'EPEL enabled (see its documentation), ' ;;
    *" rhel "* | *" centos "*) printf 'dnf install epel-release && ' ;;
  esac
}

wireguard_with() { # how to come by a kernel with WireGuard
  local manager _
  read -r manager _ < <(manager; echo)
  case $manager in
    apt-get) echo "install one of 5.6 or newer, or for one that is older: apt-get install wireguard-dkms" ;;
    dnf) echo "install one of 5.6 or newer with its modules: dnf install kernel-modules; for RHEL 8 and its relatives ELRepo has kmod-wireguard" ;;
    zypper) echo "install one of 5.6 or newer: zypper install kernel-default" ;;
    pacman) echo "reboot into the one that is installed, whose modules alone are there, or install one of 5.6 or newer: pacman -S linux" ;;
    *) echo "install one of 5.6 or newer, with its modules" ;;
  esac
}

# Said in one line, before anything is changed.
fit() { # GEN
  local path
  missing=
  [ "$(id -u)" = 0 ] || die "$unfit" "root is needed on this host: set ssh.user to root, or allow the user 'sudo -n'"
  [ -d /run/systemd/system ] || die "$unfit" "this host does not run systemd, which wg-office needs"
  need ip
  need flock
  need sysctl
  need awk
  if has_tunnel "$1"; then
    need wg
    need networkctl
    # the unit may be missing where the command is there; one package brings both
    case "$missing " in *" networkctl "*) ;; *) systemctl cat systemd-networkd >/dev/null 2>&1 || missing+=" networkctl" ;; esac
  fi
  [ ! -e "$1/files/nftables.nft" ] || need nft
  [ ! -e "$1/files/flows" ] || need conntrack
  case $(header "$1" firewall) in iptables | ufw) need iptables-restore ;; esac
  if brings_firewalld "$1"; then need firewall-cmd; fi
  [ -z "$missing" ] || die "$unfit" "this host lacks:${missing/ networkctl/ systemd-networkd}; $(install_with "$missing")"
  # a pipe's loop could only end itself
  for path in $(linked_paths "$1"); do
    ! in_the_way "$path" || die "$unfit" "$(twin "$path") is somebody else's, and would be taken instead of ours: move it away"
  done
  [ -e "$current" ] || [ -z "$(later_settings "$1")" ] || die "$unfit" "$(later_settings "$1" | head -n 1)"
  fit_firewalld "$1"
}

own_deployment() { # DEPLOYMENT
  local owner
  [ -s "$etc/deployment" ] || return 0
  owner=$(cat "$etc/deployment")
  [ "$owner" = "$1" ] || die "$foreign" "this host belongs to deployment $owner, not to $1; destroy that one first, or remove $etc/deployment to take the host over"
}
