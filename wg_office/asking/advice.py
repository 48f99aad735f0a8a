"""What to do about a connection that failed: one sentence per kind of failure, for the deployment and for the status alike. Pure."""

from enum import Enum

from wg_office.environment.known_hosts import keyscan
from wg_office.environment.model import Ssh


class Failure(Enum):
    """How a connection failed; the value is what is told of the machine, and the remedy."""

    HOST_KEY = (
        "shows another host key than the pinned one ({pinned}). Do not go on before you know why: compare `{scan} | ssh-keygen -lf -` "
        "with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own console; if they agree, pin the new key"
    )
    LOGIN = "does not let the operator in. Make `ssh {jump}-p {port} {user}@{host}` work with {key}"
    UNREACHABLE = (
        "cannot be reached. Check that the host runs, that address and port in the environment file are right, and that `{scan}` answers"
    )
    BEYOND = (
        "cannot be reached from {through}. Check that `{scan}` answers; where the way leads over the tunnel, that this stands (`wg show` "
        "on the hub); where the machine has dialled the hub itself, that its call has not ended (`wg-office bootstrap`)"
    )
    HANDSHAKE = "ended the connection before the login. Check that an SSH server answers there: `{scan}`"
    SILENT = (
        "takes connections and then says nothing. Check that what listens there is an SSH server, which `{scan}` shows, and that the host "
        "is not overloaded"
    )
    AGENT = "was not dialled: the SSH agent that SSH_AUTH_SOCK names does not answer. Start it, or unset SSH_AUTH_SOCK"
    PASSPHRASE = (
        "was not dialled: the operator's key has a passphrase, which nobody can be asked for. `ssh-add` the key, and unset sshKey and "
        "sshKeyFile, so that the SSH agent is used"
    )
    NO_KEY = "was not dialled: {key} cannot be read as a private key. Set it to one, or unset both, so that the SSH agent is used"
    NOT_PINNED = "was not dialled: no key is pinned for it. Compare `{scan} | ssh-keygen -lf -` with the host's own console, and pin it"

    @property
    def passes(self) -> bool:
        """Whether it may pass by itself, so that doing the same once more is worth while."""
        return self in (Failure.UNREACHABLE, Failure.BEYOND, Failure.HANDSHAKE, Failure.SILENT)

    def told(self, ssh: Ssh, key: str, through: Ssh | None = None) -> str:
        """The sentence, without the machine's name; `key` says which key the operator comes with, `through` what is on the way."""
        return self.value.format(
            host=ssh.host,
            port=ssh.port,
            user=ssh.user,
            scan=keyscan(ssh, through),
            pinned=ssh.host_key_fingerprint,
            key=key,
            through="the machine on the way there" if through is None else through.address,
            jump="" if through is None else f"-J {through.address} ",
        )
