# shellcheck shell=sh disable=SC2034
# Sourced. leader NODE: put the process id, in the virtual machine, of a node's first process into $child, or nothing.
# systemd-nspawn puts itself into `supervisor`; its one child is the node's first process.
# The kernel ends the list of children with a space, not with a line, hence the status of `read` says nothing.
leader() {
    child=
    if { read -r nspawn <"/sys/fs/cgroup/machine.slice/node@$1.service/supervisor/cgroup.procs"; } 2>/dev/null; then
        read -r child _ 2>/dev/null <"/proc/$nspawn/task/$nspawn/children" || true
    fi
}
