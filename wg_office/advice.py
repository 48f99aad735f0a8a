"""What to do about a connection that failed: one sentence per kind of failure, for the deployment and for the status alike. Pure."""

from enum import Enum

from wg_office.known_hosts import keyscan
from wg_office.model import Ssh


class Failure(Enum):
    """How a connection failed; the value is what is told of the machine, and the remedy."""

    HOST_KEY = (
        "shows another host key than the pinned one ({pinned}). Do not go on before you know why: compare `{scan} | ssh-keygen -lf -` "
        "with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own console; if they agree, pin the new key"
    )
    LOGIN = "does not let the operator in. Make `ssh -p {port} {user}@{host}` work with {key}"
    UNREACHABLE = (
        "cannot be reached. Check that the host runs, that address and port in the environment file are right, and that `{scan}` answers"
    )
    FROM_HUB = "cannot be reached from the hub. Check that the tunnel stands (`wg show` on the hub), and that sshd runs there"
    HANDSHAKE = "ended the connection before the login. Check that an SSH server answers there: `{scan}`"
    AGENT = "was not dialled: the SSH agent that SSH_AUTH_SOCK names does not answer. Start it, or unset SSH_AUTH_SOCK"
    NOT_PINNED = "was not dialled: no key is pinned for it. Compare `{scan} | ssh-keygen -lf -` with the host's own console, and pin it"

    def told(self, ssh: Ssh, key: str) -> str:
        """The sentence, without the machine's name; `key` says which key the operator comes with."""
        scan = keyscan(ssh.host, ssh.port)
        return self.value.format(host=ssh.host, port=ssh.port, user=ssh.user, scan=scan, pinned=ssh.host_key_fingerprint, key=key)
